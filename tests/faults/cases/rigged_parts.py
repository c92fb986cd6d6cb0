"""Negative controls of the cases of links, foreign messages and suspended processes."""

from collections.abc import Callable
from functools import partial

from tests.faults.case import ONLY_LONG, Case
from tests.faults.cases import clocks, foreign, links
from tests.faults.cases.controls import CaseControl, condemns
from tests.faults.context import CaseContext
from tests.faults.values import Invariant, Outcome

TARGET = "the case condemns it"

FICKLE = "tests.faults.broken.fickle_server"
SULKING = "tests.faults.broken.sulking_server"
TWOFOLD = "tests.faults.broken.twofold_server"

LOST = "accepted and not ended"
INVENTED = "in the journal and never sent"
LATE = "answers took up to"


def _nginx(fault: str, server: str, expected: Invariant, text: str, part: float = 0.0) -> Case:
    run = partial(links.behind_nginx, server=server)
    control = condemns(CaseControl(run=run, expected=expected, text=text, part=part))
    return Case(name=f"control: {fault}, NGINX", target=TARGET, run=control, profiles=ONLY_LONG, nginx=True)


def _all_dead(fault: str, server: str, expected: Invariant, text: str) -> Case:
    control = condemns(CaseControl(run=partial(links.all_dead, server=server), expected=expected, text=text))
    return Case(name=f"control: {fault}, all unreachable", target=TARGET, run=control, profiles=ONLY_LONG)


def _worker(
    fault: str,
    run: Callable[[CaseContext], Outcome],
    worker: str,
    expected: Invariant,
    text: str,
    *,
    rabbitmq: bool = False,
) -> Case:
    control = condemns(CaseControl(run=run, expected=expected, text=text, worker=f"tests.faults.broken.{worker}"))
    return Case(name=f"control: {fault}", target=TARGET, run=control, profiles=ONLY_LONG, rabbitmq=rabbitmq)


def _foreign_message(fault: str, worker: str, expected: Invariant, text: str) -> Case:
    return _worker(f"{fault}, RabbitMQ", foreign.foreign_messages, worker, expected, text, rabbitmq=True)


_suspended = partial(clocks.suspended, names=["w1"], seconds=14.0)

CASES = (
    _nginx("loses what it accepted when a link is cut", FICKLE, Invariant.NO_LOSS, LOST),
    # With so many faults there are black holes, after each of which a task is sent again.
    _nginx("two ids for a task that is sent again", TWOFOLD, Invariant.NOTHING_INVENTED, INVENTED, part=0.1),
    _nginx("ignores its clients after a cut", SULKING, Invariant.ANSWERED, LATE),
    _all_dead("loses what it accepted", FICKLE, Invariant.NO_LOSS, LOST),
    _all_dead("ignores its clients afterwards", SULKING, Invariant.ANSWERED, LATE),
    _foreign_message("dies of a foreign message", "fragile_worker", Invariant.HARMLESS, " died"),
    _foreign_message("never settles a foreign message", "clinging_worker", Invariant.CONSERVED, "never settled"),
    _worker(
        "overwrites the outcomes of others",
        clocks.late_outcome,
        "overwriting_worker",
        Invariant.ONCE,
        "the late outcome changed the journal",
    ),
    _worker(
        "dies when its lease is over", _suspended, "despairing_worker", Invariant.HARMLESS, "were started again: w1"
    ),
)
