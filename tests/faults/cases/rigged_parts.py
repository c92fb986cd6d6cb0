"""Negative controls of the cases of links, strangers' messages and suspended processes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import broken
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.cases import clocks, foreign, links
from tests.faults.cases.controls import Rigged, condemns
from tests.faults.values import Invariant, Outcome

TARGET = "the case condemns it"

FICKLE = "tests.faults.broken.fickle_server"
SULKING = "tests.faults.broken.sulking_server"
TWOFOLD = "tests.faults.broken.twofold_server"

LOST = "accepted and not ended"
INVENTED = "in the books and never sent"
LATE = "answers took up to"


def _kinds(name: str) -> Path:
    """The module of tasks with which a worker is broken."""
    return Path(broken.__path__[0]) / f"{name}.py"


def _nginx(what: str, server: str, wanted: Invariant, words: str, part: float = 0.0) -> Case:
    run = partial(links.behind_nginx, server=server)
    control = condemns(Rigged(run=run, wanted=wanted, words=words, part=part))
    return Case(name=f"control: {what}, NGINX", target=TARGET, run=control, profiles=ONLY_LONG, nginx=True)


def _dark(what: str, server: str, wanted: Invariant, words: str) -> Case:
    control = condemns(Rigged(run=partial(links.all_dead, server=server), wanted=wanted, words=words))
    return Case(name=f"control: {what}, all out of reach", target=TARGET, run=control, profiles=ONLY_LONG)


def _worker(
    what: str,
    run: Callable[[Arena], Outcome],
    tasks: str,
    wanted: Invariant,
    words: str,
    *,
    rabbitmq: bool = False,
) -> Case:
    control = condemns(Rigged(run=run, wanted=wanted, words=words, tasks=_kinds(tasks)))
    return Case(name=f"control: {what}", target=TARGET, run=control, profiles=ONLY_LONG, rabbitmq=rabbitmq)


def _stranger(what: str, tasks: str, wanted: Invariant, words: str) -> Case:
    return _worker(f"{what}, RabbitMQ", foreign.strangers, tasks, wanted, words, rabbitmq=True)


_suspended = partial(clocks.suspended, names=["w1"], seconds=14.0)

CASES = (
    _nginx("loses what it accepted when a link is cut", FICKLE, Invariant.NO_LOSS, LOST),
    # With so many there are holes among the troubles, each of which has a task sent again.
    _nginx("two ids for a task that is sent again", TWOFOLD, Invariant.NOTHING_INVENTED, INVENTED, part=0.1),
    _nginx("hears nobody after a cut", SULKING, Invariant.ANSWERED, LATE),
    _dark("loses what it accepted", FICKLE, Invariant.NO_LOSS, LOST),
    _dark("hears nobody afterwards", SULKING, Invariant.ANSWERED, LATE),
    _stranger("dies of a foreign message", "fragile_tasks", Invariant.HARMLESS, " died"),
    _stranger("never settles a foreign message", "clinging_tasks", Invariant.CONSERVED, "never settled"),
    _worker(
        "stores what others have stored",
        clocks.late_outcome,
        "overwriting_tasks",
        Invariant.ONCE,
        "the late outcome has changed the books",
    ),
    _worker(
        "dies when its lease is over", _suspended, "despairing_tasks", Invariant.HARMLESS, "were started again: w1"
    ),
)
