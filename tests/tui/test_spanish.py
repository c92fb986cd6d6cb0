"""Every screen of the Spanish console, over a journal with tasks in every state: nothing is left in English."""

import argparse
import asyncio
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from core import config, dead_letters
from core.model import Failure, Part, ProcessPhase, Role, State, Trouble
from core.repository.archive import BulkAction
from core.repository.rules import worker_lost
from core.tasks.registry import builtin_registry
from tests.contract.repositories import enter, mark, outcome, process, store_outcomes
from tests.tui.journals import JournalWriter
from tests.tui.test_console import main, text, wait_for
from tui.app import Console
from tui.dialogs.help import HelpDialog
from tui.dialogs.task_detail import TaskDetail
from tui.options import OPTIONS
from tui.services import LocalSource
from tui.tabs import all_tabs
from tui.translations import load, translations_for
from tui.widgets.text_view import TextView

FAILURES = (
    worker_lost(1),
    worker_lost(5),
    dead_letters.FAILURE,
    Failure(type="UnknownKind", message="no function is registered for the kind 'ecco'; did you mean echo?"),
)

ALLOWED = frozenset({"cauce", "echo", "kind", "state", "since", "took", "worker", "type", "pid", "lab", "line"})
"""English words that Spanish screens have: names, and the words of the search language."""

_WORD = re.compile(r"[^\W\d_]{3,}")


def english_words() -> frozenset[str]:
    """Return the words of the English texts that no Spanish text has."""
    catalogue = load("es")
    english, spanish = (
        {word.lower() for each in texts for word in _WORD.findall(re.sub(r"\{[^}]*\}|`[^`]*`", " ", each))}
        for texts in (catalogue, catalogue.values())
    )
    kinds = {word for kind in builtin_registry(lab_kinds=True).kinds for word in _WORD.findall(kind)}
    return frozenset(english - spanish - kinds - ALLOWED)


ENGLISH = english_words()


def left_in_english(shown: str) -> list[str]:
    """Return the lines with an English word, with the words. Names of files and of classes are no words."""
    found = []
    for line in shown.splitlines():
        plain = re.sub(r"\S*[/_]\S*|\w+(?:Lost|Limit|Kind|Error)\b|\b\w+:\S+|\$ .*|`[^`]*`|\w+…", " ", line)
        words = ENGLISH.intersection(word.lower() for word in _WORD.findall(plain))
        found += [f"{sorted(words)}: {line.strip()}"] if words else []
    return found


def fill(directory: Path) -> list[int]:
    """Make a journal with tasks in every state, and processes in trouble. Returns the numbers of the tasks."""
    now = time.time()
    with closing(JournalWriter(directory)) as journal:
        repository = journal.repository
        seqs = enter(repository, "t-1", now=now)
        [later, undone, cancelled] = journal.enter("t-2", "t-3", "t-4")
        store_outcomes(repository, outcome(later, state=State.RETRYING, due_at=now + 500), now=now)
        seqs += [later, undone, cancelled, *journal.enter("t-5"), *journal.end("t-6")]
        with repository.transaction():
            repository.cancel("t-4", now)
        for number, failure in enumerate(FAILURES):
            seqs += journal.fail(f"t-1{number}", failure=failure)
        with journal.archive() as archive:
            archive.apply(archive.begin_operation(BulkAction.RETRY, "ana", now), BulkAction.RETRY, [seqs[-1]], now)
        mark(repository, [seqs[-1]], 1, now=now)
        store_outcomes(repository, replace(outcome(seqs[-1], 1, State.FAILED), failure=FAILURES[0]), now=now)
        troubles = (Trouble(Part.BROKER, "the connection was closed"), Trouble(Part.JOURNAL, "database is locked"))
        for number, trouble in enumerate(troubles, 1):
            record = process(f"w{number}", started_at=now, phase=ProcessPhase.READY)
            with repository.transaction():
                repository.register(replace(record, role=Role.WORKER, address="", troubles=(trouble,)))
        with repository.transaction():
            repository.register(process("s1", started_at=now, phase=ProcessPhase.DRAINING))
    return seqs


def test_an_english_line_is_found() -> None:
    assert left_in_english("each of 5 processes that began the task died") != []
    assert left_in_english("cada uno de los 5 trabajadores") == []


@pytest.mark.parametrize("size", [(80, 24), (140, 50)])
def test_nothing_is_left_in_english(tmp_path: Path, size: tuple[int, int]) -> None:
    seqs = fill(tmp_path)
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, OPTIONS)
    settings = config.load(OPTIONS, parser.parse_args(["--dir", str(tmp_path)]), {})
    tr = translations_for("es", {})
    app = Console(LocalSource(settings, {}), tr, all_tabs(tr, {}), first="submit")
    app.animation_level = "none"
    found: list[str] = []

    def look() -> None:
        found.extend(left_in_english(text(app)))

    async def scenario(pilot: Pilot[None]) -> None:
        await wait_for(pilot, lambda: main(app).view.ledger.total == len(seqs), "the journal")
        for tab, sign in (("submit", ""), ("monitor", "t-6"), ("processes", ""), ("failed", "t-10"), ("diagram", "")):
            await main(app).action_show_tab(tab)
            await wait_for(pilot, shows(sign), f"the tab {tab}")
            look()
            await app.run_action("app.help")
            await wait_for(pilot, lambda: isinstance(app.screen, HelpDialog), "the help")
            await pilot.pause()
            found.extend(left_in_english("\n".join(line for line, _ in app.screen.query_one(TextView).lines)))
            look()
            await pilot.press("escape")
            await wait_for(pilot, lambda: app.screen is main(app), "the help to go")
        for seq in seqs:
            record = LocalSource(settings, {}).task(seq)
            assert record is not None
            main(app)._show_detail(record)  # noqa: SLF001 - as the screen does when the task has been read
            await wait_for(pilot, lambda: isinstance(app.screen, TaskDetail), "the sheet")
            await pilot.pause()
            found.extend(left_in_english("\n".join(line for line, _ in app.screen.query_one(TextView).lines)))
            look()
            await pilot.press("escape")
            await wait_for(pilot, lambda: app.screen is main(app), "the sheet to go")

    def shows(sign: str) -> Callable[[], bool]:
        return lambda: sign in text(app)

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await scenario(pilot)

    asyncio.run(run())
    assert "\n".join(sorted(set(found))) == ""
