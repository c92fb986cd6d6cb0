"""What the console says about a retry, a discard and their undo: the question before and the result after. Pure."""

from core.repository.archive import BulkAction
from tui.system_control import BulkActionResult, BulkProgress
from tui.translations import Translations


def question(tr: Translations, action: BulkAction, count: int) -> tuple[str, str, str]:
    """Return the question before an action on so many tasks, the label of its button, and what can be undone."""
    if action is BulkAction.RETRY:
        return (
            tr.count(count, "Retry this task?", "Retry {count} tasks?"),
            tr("Retry"),
            tr.count(
                count,
                "{key:failed.undo} undoes it until the task begins.",
                "{key:failed.undo} undoes it for those that have not begun.",
            ),
        )
    return (
        tr.count(count, "Discard this task?", "Discard {count} tasks?"),
        tr("Discard"),
        tr("{key:failed.undo} undoes it."),
    )


def describe_result(tr: Translations, result: BulkActionResult) -> str:
    """Return what a retry or discard has done."""
    progress, retried = result.progress, result.action is BulkAction.RETRY
    if progress.is_complete and not progress.moved:
        return tr.count(progress.total, "The task is no longer failed.", "None of {count} tasks is failed any more.")
    if progress.moved == progress.total:
        return tr.count(
            progress.moved,
            "{count} task runs again" if retried else "{count} task discarded",
            "{count} tasks run again" if retried else "{count} tasks discarded",
        )
    came = tr("{count} of {total} retried" if retried else "{count} of {total} discarded", **_numbers(tr, progress))
    if progress.cancelled:
        return tr("{came}, then cancelled. {key:failed.undo} undoes what was done.", came=came)
    if progress.trouble:
        return tr("{came}, then: {reason}", came=came, reason=progress.trouble)
    return tr("{came}; the rest is no longer failed.", came=came)


def describe_undo(tr: Translations, progress: BulkProgress) -> str:
    """Return what an undo has done."""
    if progress.is_complete and not progress.total:
        return tr("Nothing of the last retry or discard is left to undo.")
    if progress.is_complete and not progress.moved:
        return tr.count(
            progress.total,
            "The task can't be taken back: it has begun or ended since.",
            "None of {count} tasks can be taken back: all have begun or ended since.",
        )
    if progress.moved == progress.total:
        return tr.count(progress.moved, "{count} task is failed again", "{count} tasks are failed again")
    came = tr("{count} of {total} are failed again", **_numbers(tr, progress))
    if progress.cancelled:
        return tr("{came}, then cancelled. {key:failed.undo} undoes the rest.", came=came)
    if progress.trouble:
        return tr("{came}, then: {reason}", came=came, reason=progress.trouble)
    return tr("{came}; the rest has begun or ended since.", came=came)


def _numbers(tr: Translations, progress: BulkProgress) -> dict[str, str]:
    return {"count": tr.amount(progress.moved), "total": tr.amount(progress.total)}
