"""The measurement of peers, with a toy peer, and with the installed ones in small numbers."""

from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from tests.benchmarks.case import Group, Order, Stage, TasksLost
from tests.benchmarks.peers import results
from tests.benchmarks.peers.kinds import KINDS, Kind
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.peers.processes import Publishers
from tests.benchmarks.peers.publishing import Share, publish_in_threads, split
from tests.benchmarks.peers.tune import variants, with_options
from tests.benchmarks.services import Missing, Services
from tests.services.rabbitmq import RabbitNode

ORDER = Order(tasks=60, warm_up=20, halves=True)
TOY = Kind(
    name="toy",
    description="a toy",
    packages=(),
    module="tests.benchmarks.toy_peer",
    rabbitmq=False,
    most=50,
    publishers=1,
    at_once=2,
    worker=("-c", "import threading; threading.Event().wait()"),
    stored=results.COUNT,
)


def test_a_peer_is_measured_in_every_stage_with_at_most_its_own_number_of_tasks(tmp_path: Path) -> None:
    result = Peer(TOY).run(tmp_path, ORDER)
    assert {stage: measured.tasks for stage, measured in result.items()} == {
        Stage.WHOLE: 50,
        Stage.MEANWHILE: 50,
        Stage.ACCEPT: 50,
        Stage.WORK: 70,
    }
    assert all(measured.seconds > 0 for measured in result.values())
    assert set(result[Stage.WHOLE].cpu) == {Group.CLIENT, Group.WORKERS, Group.ELSEWHERE}


def test_only_the_whole_path_is_measured_without_halves(tmp_path: Path) -> None:
    result = Peer(TOY).run(tmp_path, replace(ORDER, halves=False))
    assert set(result) == {Stage.WHOLE, Stage.MEANWHILE}


def test_a_missing_result_is_lost(tmp_path: Path) -> None:
    forgetful = replace(TOY, stored="SELECT count(*) - 1 FROM results")
    with pytest.raises(TasksLost, match="20 results of toy; there are 19"):
        Peer(forgetful, patience=0.5).run(tmp_path, ORDER)


def test_a_surplus_result_is_an_error(tmp_path: Path) -> None:
    doubling = replace(TOY, stored="SELECT 2 * count(*) FROM results")
    with pytest.raises(TasksLost, match="70 tasks were accepted, and 140 have a result"):
        Peer(doubling).run(tmp_path, ORDER)


def test_workers_that_end_are_noticed_with_their_output(tmp_path: Path) -> None:
    failing = replace(TOY, worker=("-c", "raise SystemExit('out of order')"), stored="SELECT 0")
    with pytest.raises(TasksLost, match="have ended: out of order"):
        Peer(failing).run(tmp_path, ORDER)


def test_a_publishing_process_that_fails_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TasksLost, match="No module named"):
        Publishers(tmp_path, "tests.benchmarks.peers.nothing", 1, Share(10, 2, 1))


def test_an_error_of_a_thread_that_publishes_is_raised() -> None:
    def submit() -> None:
        raise OSError("the connection is cut")

    with pytest.raises(OSError, match="the connection is cut"):
        publish_in_threads(submit, Share(10, 2, 2), lambda: None)


def test_a_number_is_split_evenly() -> None:
    assert split(11, 4) == [3, 3, 3, 2]
    assert split(1, 2) == [1, 0]


def test_a_peer_that_is_not_installed_is_skipped_with_a_reason(tmp_path: Path) -> None:
    with Services(tmp_path / "services") as services, pytest.raises(Missing, match=r"cauce\[benchmarks\]"):
        services.packages(["cauce-of-nowhere"])


def test_options_of_a_command_are_replaced_by_name() -> None:
    command = ("work", "--pool", "few", "--quiet", "--threads", "4")
    assert with_options(command, {"--threads": "8"}) == ["work", "--pool", "few", "--quiet", "--threads", "8"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_set_up_of_the_tuning_is_distinct(kind: Kind) -> None:
    tried = variants(kind)
    assert len({variant.name for variant in tried}) == len(tried) == 10
    assert len({tuple(variant.worker) for variant in tried}) in (4, 5)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.rabbitmq], ids=lambda kind: kind.name)
def test_a_peer_over_rabbitmq_is_measured_and_has_ended_afterwards(
    kind: Kind, rabbitmq_node: RabbitNode, tmp_path: Path
) -> None:
    measure(kind, rabbitmq_node, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.rabbitmq], ids=lambda kind: kind.name)
def test_a_peer_without_rabbitmq_is_measured_and_has_ended_afterwards(kind: Kind, tmp_path: Path) -> None:
    measure(kind, None, tmp_path)


def measure(kind: Kind, node: RabbitNode | None, directory: Path) -> None:
    try:
        Services(directory / "services").packages(kind.packages)
    except Missing as reason:
        pytest.skip(str(reason))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    result = Peer(kind, node).run(directory, ORDER)
    assert set(result) == set(Stage)
    assert {result[stage].tasks for stage in (Stage.WHOLE, Stage.MEANWHILE, Stage.ACCEPT)} == {60}
    assert 0 < result[Stage.WORK].tasks <= 80
    assert result[Stage.MEANWHILE].seconds <= result[Stage.WHOLE].seconds
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
