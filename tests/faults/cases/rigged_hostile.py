"""Negative controls of the cases of hostile clients: each has to condemn a server that lacks what the case is about."""

from collections.abc import Callable
from functools import partial

from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.cases import crowds
from tests.faults.cases.controls import Rigged, condemns
from tests.faults.siege import Siege, besiege
from tests.faults.values import Invariant, Outcome

ANSWERED, CLEAN = Invariant.ANSWERED, Invariant.CLEAN

BOUNDLESS = "tests.faults.broken.boundless_server"
HEEDLESS = "tests.faults.broken.heedless_server"
HOARDING = "tests.faults.broken.hoarding_server"
LEAKING = "tests.faults.broken.leaking_server"
PATIENT = "tests.faults.broken.patient_server"
SINGLE_MINDED = "tests.faults.broken.single_minded_server"


def _case(what: str, run: Callable[[Arena], Outcome], wanted: Invariant, words: str, part: float = 0.0) -> Case:
    control = condemns(Rigged(run=run, wanted=wanted, words=words, part=part))
    return Case(name=f"control: {what}", target="the case condemns it", run=control, profiles=ONLY_LONG)


def _attack(attack: Callable[[Siege], None], server: str, token: str | None = None) -> Callable[[Arena], Outcome]:
    return besiege(attack, token=token, server=server)


CASES = (
    _case(
        "a slow loris is never cut",
        _attack(crowds.slow_loris, PATIENT, crowds.TOKEN),
        ANSWERED,
        "were not cut in",
        part=0.2,
    ),
    _case(
        "a slow loris holds up all others",
        _attack(crowds.slow_loris, SINGLE_MINDED),
        ANSWERED,
        "the honest client was held up",
        part=0.1,
    ),
    _case("reads on of clients that never read", _attack(crowds.deaf, HEEDLESS), CLEAN, "they were not held up"),
    _case(
        "clients that never read are never cut",
        _attack(crowds.deaf, PATIENT),
        ANSWERED,
        "were not cut",
        part=0.35,
    ),
    _case("large answers that nobody reads", _attack(crowds.greedy, HEEDLESS), CLEAN, "the attack took"),
    _case("long begun lines without a bound", _attack(crowds.begun, BOUNDLESS), CLEAN, "the attack took"),
    _case("long begun lines for ever", _attack(crowds.begun, PATIENT), ANSWERED, "were not cut in"),
    _case("keeps memory of each connection", _attack(crowds.flood, HOARDING), CLEAN, "the attack took"),
    _case("forgets no connection", _attack(crowds.flood, LEAKING), CLEAN, "the attack took", part=0.2),
    _case("leaves descriptors open", _attack(crowds.flood, LEAKING), CLEAN, "descriptors to be released"),
    _case("lets in any number", partial(crowds.idle, server=BOUNDLESS), ANSWERED, "too many were not refused"),
    _case("much memory for an idle connection", partial(crowds.idle, server=HOARDING), CLEAN, "an idle connection"),
    _case("idle connections leave descriptors", partial(crowds.idle, server=LEAKING), CLEAN, "to be released"),
)
