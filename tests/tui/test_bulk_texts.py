"""What the console says about a retry, a discard and their undo."""

import pytest

from core.repository.archive import BulkAction
from tui import bulk_texts
from tui.system_control import BulkActionResult, BulkProgress
from tui.translations import Translations

WORDS = Translations()


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (BulkProgress(1, 1), "1 task runs again"),
        (BulkProgress(1501, 1501), "1,501 tasks run again"),
        (BulkProgress(0, 1), "The task is no longer failed."),
        (BulkProgress(0, 5), "None of 5 tasks is failed any more."),
        (BulkProgress(2, 5), "2 of 5 retried; the rest is no longer failed."),
        (BulkProgress(2, 5, cancelled=True), "2 of 5 retried, then cancelled. z undoes what was done."),
        (BulkProgress(2, 5, trouble="disk full"), "2 of 5 retried, then: disk full"),
    ],
)
def test_the_result_of_a_retry(progress: BulkProgress, text: str) -> None:
    assert bulk_texts.describe_result(WORDS, BulkActionResult(BulkAction.RETRY, 1, progress)) == text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (BulkProgress(1, 1), "1 task discarded"),
        (BulkProgress(0, 5), "None of 5 tasks is failed any more."),
        (BulkProgress(2, 5), "2 of 5 discarded; the rest is no longer failed."),
    ],
)
def test_the_result_of_a_discard(progress: BulkProgress, text: str) -> None:
    assert bulk_texts.describe_result(WORDS, BulkActionResult(BulkAction.DISCARD, 1, progress)) == text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (BulkProgress(1, 1), "1 task is failed again"),
        (BulkProgress(5, 5), "5 tasks are failed again"),
        (BulkProgress(0, 0), "Nothing of the last retry or discard is left to undo."),
        (BulkProgress(0, 1), "The task can't be taken back: it has begun or ended since."),
        (BulkProgress(0, 1501), "None of 1,501 tasks can be taken back: all have begun or ended since."),
        (BulkProgress(2, 5), "2 of 5 are failed again; the rest has begun or ended since."),
        (BulkProgress(2, 5, cancelled=True), "2 of 5 are failed again, then cancelled. z undoes the rest."),
        (BulkProgress(0, 5, trouble="disk full"), "0 of 5 are failed again, then: disk full"),
    ],
)
def test_the_result_of_an_undo(progress: BulkProgress, text: str) -> None:
    assert bulk_texts.describe_undo(WORDS, progress) == text


def test_a_question_about_one_task_speaks_of_one_task() -> None:
    assert bulk_texts.question(WORDS, BulkAction.RETRY, 1) == (
        "Retry this task?",
        "Retry",
        "z undoes it until the task begins.",
    )
    assert bulk_texts.question(WORDS, BulkAction.DISCARD, 2) == ("Discard 2 tasks?", "Discard", "z undoes it.")
