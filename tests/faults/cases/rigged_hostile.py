"""Negative controls of the cases of hostile clients: each case must fail without the protection it tests."""

from collections.abc import Callable
from functools import partial

from tests.faults.attack_scene import AttackScene, attack_case
from tests.faults.case import ONLY_LONG, Case
from tests.faults.cases import crowds
from tests.faults.cases.controls import CaseControl, condemns
from tests.faults.context import CaseContext
from tests.faults.values import Invariant, Outcome

ANSWERED, CLEAN = Invariant.ANSWERED, Invariant.CLEAN

BOUNDLESS = "tests.faults.broken.boundless_server"
HEEDLESS = "tests.faults.broken.heedless_server"
HOARDING = "tests.faults.broken.hoarding_server"
LEAKING = "tests.faults.broken.leaking_server"
PATIENT = "tests.faults.broken.patient_server"
SINGLE_MINDED = "tests.faults.broken.single_minded_server"


def _case(fault: str, run: Callable[[CaseContext], Outcome], expected: Invariant, text: str, part: float = 0.0) -> Case:
    control = condemns(CaseControl(run=run, expected=expected, text=text, part=part))
    return Case(name=f"control: {fault}", target="the case condemns it", run=control, profiles=ONLY_LONG)


def _attack(
    attack: Callable[[AttackScene], None], server: str, token: str | None = None
) -> Callable[[CaseContext], Outcome]:
    return attack_case(attack, token=token, server=server)


CASES = (
    _case(
        "a slow loris is never cut",
        _attack(crowds.slow_loris, PATIENT, crowds.TOKEN),
        ANSWERED,
        "were not cut in",
        part=0.2,
    ),
    _case(
        "a slow loris blocks all others",
        _attack(crowds.slow_loris, SINGLE_MINDED),
        ANSWERED,
        "the honest client was blocked",
        part=0.1,
    ),
    _case("reads on from clients that never read", _attack(crowds.deaf, HEEDLESS), CLEAN, "they were not throttled"),
    _case(
        "clients that never read are never cut",
        _attack(crowds.deaf, PATIENT),
        ANSWERED,
        "were not cut",
        part=0.35,
    ),
    _case("large unread replies", _attack(crowds.greedy, HEEDLESS), CLEAN, "the attack took"),
    _case("unfinished long lines without a limit", _attack(crowds.unfinished, BOUNDLESS), CLEAN, "the attack took"),
    _case("unfinished long lines without a timeout", _attack(crowds.unfinished, PATIENT), ANSWERED, "were not cut in"),
    _case("leaks memory per connection", _attack(crowds.flood, HOARDING), CLEAN, "the attack took"),
    _case("leaks connections", _attack(crowds.flood, LEAKING), CLEAN, "the attack took", part=0.2),
    _case("leaves descriptors open", _attack(crowds.flood, LEAKING), CLEAN, "descriptors to be released"),
    _case("accepts any number", partial(crowds.idle, server=BOUNDLESS), ANSWERED, "too many were not refused"),
    _case("much memory for an idle connection", partial(crowds.idle, server=HOARDING), CLEAN, "an idle connection"),
    _case("idle connections leave descriptors", partial(crowds.idle, server=LEAKING), CLEAN, "to be released"),
)
