"""The contract of the journal: processes, and reading."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.database import Database
from core.model import ENDED, Counters, KindDescription, Part, ProcessPhase, Role, RunningTask, State, Trouble
from core.repository.base import MAX_CONTRADICTORY, OpenRepository, Repository
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS, PROCESSES_KEPT, open_sqlite, schema
from tests.contract.repositories import (
    NOTHING_COUNTED,
    NOW,
    begin,
    end,
    enter,
    mark,
    outcome,
    process,
    queue,
    store_outcomes,
)

WEEK = 7 * 24 * 3600

# Processes.


def register(repository: Repository, name: str = "s1", at: float = NOW) -> int:
    """Register a process that starts at `at`. Returns its number."""
    with repository.transaction():
        return repository.register(replace(process(name, started_at=at), seen_at=0.0))


def record_heartbeat(
    repository: Repository, number: int, beats: int, at: float, counters: Counters = NOTHING_COUNTED
) -> None:
    """Record a heartbeat in a transaction."""
    with repository.transaction():
        repository.record_heartbeat(process(number=number, beat=beats, at=at, counters=counters))


def test_a_process_is_listed_from_its_registration_on(journal: Repository) -> None:
    number = register(journal)
    (listed,) = journal.processes()
    assert (listed.number, listed.name, listed.role, listed.status) == (number, "s1", Role.SERVER, "starting")


def test_a_heartbeat_is_the_whole_record(journal: Repository) -> None:
    number = register(journal)
    record = process(
        "s2",
        number=number,
        beat=3,
        at=NOW + 2,
        counters=Counters(accepted=1, published=2, done=3, failed=4, retried=5, discarded=6, busy_seconds=7.5),
        in_hand=(RunningTask("a", "echo", NOW), RunningTask("b", "sum", NOW + 1)),
    )
    troubles = (Trouble(Part.BROKER, "refused: 403; try again; or not"), Trouble(Part.JOURNAL, "database: locked"))
    record = replace(record, phase=ProcessPhase.READY, troubles=troubles, kinds=("echo", "mine"))
    with journal.transaction():
        journal.record_heartbeat(record)
    assert journal.processes() == [record]


def test_processes_come_by_number(journal: Repository) -> None:
    numbers = [register(journal, name) for name in ("c", "a", "b")]
    record_heartbeat(journal, numbers[0], 1, NOW + 5)
    assert numbers == sorted(numbers)
    assert [record.number for record in journal.processes()] == numbers


def test_a_process_that_left_more_than_an_hour_ago_is_not_listed(journal: Repository) -> None:
    leaver = register(journal, "leaver", NOW)
    with journal.transaction():
        journal.record_heartbeat(process("leaver", number=leaver, beat=2, phase=ProcessPhase.LEFT, at=NOW))
    fresh = register(journal, "fresh", NOW + 3601)
    assert [record.number for record in journal.processes()] == [fresh]


def test_each_process_has_its_place_among_those_of_its_name_and_host(journal: Repository) -> None:
    for name in ("w1", "w2", "w1"):
        register(journal, name, NOW)
    elsewhere = replace(process("w1", started_at=NOW), host="elsewhere")
    with journal.transaction():
        journal.register(elsewhere)
        journal.record_heartbeat(process("w1", number=1, beat=2, phase=ProcessPhase.LEFT, at=NOW))
    register(journal, "w1", NOW + 3601)
    # The first has left too long ago to be listed, and counts all the same.
    assert [(record.number, record.name, record.life) for record in journal.processes()] == [
        (2, "w2", 1),
        (3, "w1", 2),
        (4, "w1", 1),
        (5, "w1", 3),
    ]


def test_a_process_keeps_its_place_when_earlier_ones_are_removed(journal: Repository) -> None:
    register(journal, "w1", NOW)
    second = register(journal, "w1", NOW + WEEK)
    third = register(journal, "w1", NOW + WEEK + 1)
    assert [(record.number, record.life) for record in journal.processes()] == [(second, 2), (third, 3)]
    record_heartbeat(journal, second, 2, NOW + WEEK + 2)
    assert [record.life for record in journal.processes()] == [2, 3]


def test_dead_processes_do_not_pile_up(journal: Repository) -> None:
    alive = register(journal, "alive", NOW)
    for number in range(1, 3 * PROCESSES_KEPT):
        record_heartbeat(journal, alive, number, NOW + 60 * number)
        register(journal, "w1", NOW + 60 * number)
    lives = {record.number: record.life for record in journal.processes()}
    # Those that have died, and the one that is alive.
    assert len(lives) == PROCESSES_KEPT + 1
    assert (lives[alive], max(lives.values())) == (1, 3 * PROCESSES_KEPT - 1)


def test_a_removed_process_that_is_alive_has_its_place_again(journal: Repository) -> None:
    first = register(journal, "w1", NOW)
    second = register(journal, "w1", NOW)
    register(journal, "other", NOW + WEEK + 1)
    for number in (first, second):
        with journal.transaction():
            journal.record_heartbeat(process("w1", number=number, beat=2, at=NOW + WEEK + 2))
    assert [(record.name, record.life) for record in journal.processes()] == [("w1", 1), ("w1", 2), ("other", 1)]


def test_an_older_journal_is_read_and_counts_the_lives_when_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    database = Database(path, FAULTS)
    database.migrate(schema()[:5])
    for name in ("w1", "w2", "w1"):
        database.execute(
            "INSERT INTO processes (role, name, host, pid, address, threads, started_at, beat, seen_at, status,"
            " counters, in_hand) VALUES ('worker', ?, 'here', 1, '', 1, 1, 1, 1, 'ready', '{}', '[]')",
            (name,),
        )
    database.close()
    with open_sqlite(path, readonly=True) as reader:
        assert [(record.name, record.life, record.kinds) for record in reader.processes()] == [
            ("w1", 1, ()),
            ("w2", 1, ()),
            ("w1", 1, ()),
        ]
        with open_sqlite(path) as migrated:
            assert [record.life for record in migrated.processes()] == [1, 1, 2]
            assert register(migrated, "w3", 2.0) == 4
        assert [record.life for record in reader.processes()] == [1, 1, 2, 1]


def test_what_workers_tell_of_their_kinds_is_what_was_told_last(journal: Repository) -> None:
    assert journal.told_kinds() == []
    first = [KindDescription(kind="b", schema='{"type":"object"}', retries=0, timeout=0.0), KindDescription(kind="a")]
    with journal.transaction():
        journal.tell_kinds(first)
        journal.tell_kinds([])
    assert journal.told_kinds() == [first[1], first[0]]
    again = KindDescription(kind="a", description="It says é, \u2028 and \x00 now.")
    with journal.transaction():
        journal.tell_kinds([again, KindDescription(kind="c")])
    assert [told.kind for told in journal.told_kinds()] == ["a", "b", "c"]
    assert journal.told_kinds("a") == [again]
    assert journal.told_kinds("A") == []


def test_what_is_told_of_a_kind_and_is_no_json_leaves_its_name(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    with open_sqlite(path) as journal:
        with journal.transaction():
            journal.tell_kinds(
                [KindDescription(kind="a", description="A."), KindDescription(kind="b", description="Do b.")]
            )
        database = Database(path, FAULTS)
        database.execute("UPDATE kinds SET told = 'nonsense' WHERE kind = 'a'")
        database.close()
        assert journal.told_kinds() == [KindDescription(kind="a"), KindDescription(kind="b", description="Do b.")]


def test_a_journal_of_an_older_version_knows_no_kinds(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    database = Database(path, FAULTS)
    database.migrate(schema()[:9])
    with open_sqlite(path, readonly=True) as reader:
        assert reader.told_kinds() == []
        with open_sqlite(path) as migrated, migrated.transaction():
            migrated.tell_kinds([KindDescription(kind="a")])
        assert reader.told_kinds() == [KindDescription(kind="a")]
    database.close()


def test_processes_that_were_stopped_have_left_until_they_beat_again(journal: Repository) -> None:
    host = process().host
    numbers = [register(journal, name) for name in ("w1", "w2", "w1")]
    held = (RunningTask("a", "echo", NOW),)
    with journal.transaction():
        journal.record_heartbeat(process("w1", number=numbers[2], in_hand=held, at=NOW))
        assert journal.mark_left("elsewhere", ["w1"]) == 0
        assert journal.mark_left(host, ["w1", "w3"]) == 1
        assert journal.mark_left(host, ["w1"]) == 0
    # The first died, and another took its place. What that one ran when it was killed stays known.
    left = [record for record in journal.processes() if record.phase is ProcessPhase.LEFT]
    assert [(record.number, record.in_hand) for record in left] == [(numbers[2], held)]
    record_heartbeat(journal, numbers[2], 5, NOW)
    assert ProcessPhase.LEFT not in [record.phase for record in journal.processes()]


def test_a_clock_that_is_ahead_hides_no_process(journal: Repository) -> None:
    numbers = [register(journal, "right", NOW), register(journal, "ahead", NOW + 7200)]
    assert [record.number for record in journal.processes()] == numbers


def test_a_number_is_never_used_again(journal: Repository) -> None:
    numbers = [register(journal, "a"), register(journal, "b")]
    late = register(journal, "late", NOW + WEEK + 1)
    assert late > max(numbers)
    assert register(journal, "later", NOW + 2 * WEEK + 2) > late


def test_a_process_that_was_removed_and_is_alive_comes_back(journal: Repository) -> None:
    number = register(journal, "asleep")
    other = register(journal, "late", NOW + WEEK + 1)
    record_heartbeat(journal, number, 2, NOW + WEEK + 2)
    assert [record.number for record in journal.processes()] == [number, other]


def test_a_sample_a_second_is_kept(journal: Repository) -> None:
    number = register(journal)
    for beats, at in enumerate((0.0, 0.5, 1.0, 1.5, 2.2), 1):
        record_heartbeat(journal, number, beats, NOW + at, Counters(done=beats))
    kept = [(sample.second - int(NOW), sample.counters.done) for sample in journal.samples(int(NOW))]
    assert kept == [(0, 1), (1, 3), (2, 5)]


def test_samples_have_the_name_of_their_process(journal: Repository) -> None:
    one, two = register(journal, "s1"), register(journal, "s2")
    with journal.transaction():
        journal.record_heartbeat(process("s2", number=two, in_hand=(RunningTask("a", "echo", NOW),)))
        journal.record_heartbeat(process("s1", number=one))
        journal.record_heartbeat(process("s1", number=one, at=NOW + 1))
    assert [(sample.second, sample.number, sample.name, sample.in_hand) for sample in journal.samples(0)] == [
        (int(NOW), one, "s1", 0),
        (int(NOW), two, "s2", 1),
        (int(NOW) + 1, one, "s1", 0),
    ]
    assert [sample.second for sample in journal.samples(int(NOW) + 1)] == [int(NOW) + 1]
    assert journal.samples(int(NOW) + 2) == []


# Tasks.


def test_assignments_have_what_a_worker_needs(journal: Repository) -> None:
    one, two = queue(journal, "one", "two")
    store_outcomes(journal, outcome(two, 0, State.RETRYING, due_at=NOW + 8))
    begin(journal, one)
    found = journal.assignments([one, two, two + 1])
    assert set(found) == {one, two}
    assert (found[one].id, found[one].kind, found[one].payload, found[one].strikes) == ("one", "echo", "1", 1)
    assert (found[one].state, found[one].attempts, found[one].due_at) == (State.QUEUED, 0, None)
    assert (found[two].state, found[two].attempts, found[two].due_at) == (State.RETRYING, 1, NOW + 8)
    assert journal.assignments([]) == {}


def test_find_all_leaves_out_unknown_ids(journal: Repository) -> None:
    enter(journal, "a", "b", "c")
    assert {task.id for task in journal.find_all(["a", "c", "nobody"])} == {"a", "c"}
    assert journal.find_all([]) == []


def test_thousands_of_tasks_are_read_at_once(journal: Repository) -> None:
    names = [f"t{number}" for number in range(5000)]
    seqs = enter(journal, *names)
    assert len(journal.find_all(names)) == len(journal.assignments(seqs)) == 5000
    assert journal.ended(names) == []


def end_in_each_way(repository: Repository) -> None:
    """Accept tasks, named by the state in which they end."""
    done, failed, _ = queue(repository, "done", "failed", "cancelled")
    store_outcomes(repository, outcome(done), outcome(failed, 0, State.FAILED))
    with repository.transaction():
        repository.cancel("cancelled", NOW + 9)


def test_ended_returns_tasks_that_have_ended(journal: Repository) -> None:
    end_in_each_way(journal)
    enter(journal, "accepted")
    (retried,) = queue(journal, "retrying")
    store_outcomes(journal, outcome(retried, 0, State.RETRYING))
    asked = [state.value for state in State]
    assert {task.id for task in journal.ended(asked)} == set(ENDED)


def test_latest_comes_newest_first_with_ties_by_number(journal: Repository) -> None:
    for times, name in zip(itertools.cycle([3.0, 1.0, 3.0, 2.0]), "abcdefghijk", strict=False):
        end(journal, name, now=NOW + times)
    enter(journal, "open")
    latest = [(task.times.stored or 0.0, task.seq) for task in journal.latest(20)]
    assert len(latest) == 11
    assert latest == sorted(set(latest), reverse=True)
    assert [(task.times.stored, task.seq) for task in journal.latest(4)] == latest[:4]


def test_latest_is_empty_without_ended_tasks(journal: Repository) -> None:
    enter(journal, "open")
    assert journal.latest(10) == []


# The ledger.


def test_counts_name_the_stored_states(journal: Repository) -> None:
    end_in_each_way(journal)
    seqs = enter(journal, "accepted", "queued", "retrying", owner=1)
    mark(journal, seqs[1:2])
    store_outcomes(journal, outcome(seqs[2], 0, State.RETRYING))
    assert journal.counts() == dict.fromkeys(("accepted", "queued", "retrying", "done", "failed", "cancelled"), 1)
    audit = journal.audit()
    assert audit.is_consistent
    assert {state: number for state, number in audit.counted.items() if number} == journal.counts()


def test_an_audit_lists_tasks_that_contradict_themselves(journal: Repository) -> None:
    done, failed, fine = queue(journal, "no-result", "no-failure", "fine")
    store_outcomes(
        journal,
        outcome(done, result=None),
        outcome(failed, 0, State.FAILED, failure=None),
        outcome(fine),
    )
    audit = journal.audit()
    assert sorted(audit.contradictory) == ["no-failure", "no-result"]
    assert not audit.is_consistent
    assert audit.differences == {}


def test_an_audit_lists_a_limited_number_of_tasks(journal: Repository) -> None:
    seqs = queue(journal, *[f"t{number}" for number in range(MAX_CONTRADICTORY + 1)])
    store_outcomes(journal, *[outcome(seq, result=None) for seq in seqs])
    assert len(journal.audit().contradictory) == MAX_CONTRADICTORY


def test_an_audit_shows_where_the_ledger_differs(tmp_path: Path) -> None:
    journal = Journal("resultados.db", tmp_path)
    with journal.open() as repository:
        end(repository, "a", "b")
        enter(repository, "c")
    with closing(sqlite3.connect(journal.path)) as damaged, damaged:
        damaged.execute("UPDATE ledger SET tasks = tasks + 2 WHERE state = 'queued'")
        damaged.execute("UPDATE ledger SET tasks = tasks - 1 WHERE state = 'done'")
    with journal.open_readonly() as repository:
        audit = repository.audit()
    assert audit.differences == {"done": -1, "queued": 2}
    assert audit.contradictory == ()
    assert not audit.is_consistent


def test_the_data_version_changes_only_with_commits_of_others(open_repository: OpenRepository) -> None:
    with open_repository() as mine, open_repository() as other:
        before = mine.data_version()
        assert mine.data_version() == before
        enter(mine, "a")
        assert mine.data_version() == before
        with pytest.raises(ZeroDivisionError), other.transaction():
            raise ZeroDivisionError
        assert mine.data_version() == before
        enter(other, "b")
        after = mine.data_version()
        assert after != before
        assert mine.data_version() == after
