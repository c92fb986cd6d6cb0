"""The verdict of a control, on a system that is broken on purpose."""

from tests.faults.cases.controls import reversed_verdict
from tests.faults.values import Finding, Invariant, Outcome

LOST = Finding(Invariant.NO_LOSS, "1 tasks accepted and not ended, such as t-1")
TWICE = Finding(Invariant.ONCE, "1 rows too many")


def test_a_control_that_is_condemned_for_the_right_reason_holds() -> None:
    verdict = reversed_verdict(Outcome(lost=1, broken=(TWICE, LOST)), Invariant.NO_LOSS)
    assert verdict.broken == ()
    assert verdict.lost == 0
    assert "lost on purpose: 1" in verdict.remarks


def test_a_control_that_is_not_condemned_is_a_finding() -> None:
    (missed,) = reversed_verdict(Outcome(), Invariant.NO_LOSS).broken
    assert "was not condemned; the judge found: nothing" in missed.text


def test_a_control_that_is_condemned_for_something_else_is_a_finding() -> None:
    (missed,) = reversed_verdict(Outcome(broken=(TWICE,)), Invariant.NO_LOSS).broken
    assert missed.invariant is Invariant.NO_LOSS
    assert "1 rows too many" in missed.text


def test_a_control_that_is_condemned_with_another_text_is_a_finding() -> None:
    outcome = Outcome(lost=1, broken=(LOST,))
    (missed,) = reversed_verdict(outcome, Invariant.NO_LOSS, "ran more than once").broken
    assert "1 tasks accepted" in missed.text
    assert reversed_verdict(outcome, Invariant.NO_LOSS, "accepted and not ended").broken == ()
