"""The private node of the other tests is isolated and leaves nothing behind."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.broker.rabbitmq import RabbitBroker
from tests.services.fixtures import MakeRabbitNode
from tests.services.listening import listening
from tests.services.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq


def test_a_node_listens_on_loopback_only_and_has_separate_virtual_hosts(rabbitmq_node: RabbitNode) -> None:
    found = listening(rabbitmq_node.processes())
    assert rabbitmq_node.port in {port for _, port in found}
    assert {host for host, _ in found} <= {"127.0.0.1", "::1"}
    assert rabbitmq_node.vhost() != rabbitmq_node.vhost()


def test_a_node_that_was_stopped_leaves_no_process(own_rabbitmq_node: RabbitNode) -> None:
    url = own_rabbitmq_node.vhost()
    RabbitBroker([url]).prepare()
    assert len(own_rabbitmq_node.processes()) >= 2
    own_rabbitmq_node.stop()
    assert own_rabbitmq_node.processes() == []
    own_rabbitmq_node.stop()


def test_a_node_reports_an_error_of_an_expression(rabbitmq_node: RabbitNode) -> None:
    with pytest.raises(RuntimeError, match="could not evaluate"):
        rabbitmq_node.eval("erlang:error(nonsense).")


def test_a_node_evaluates_several_expressions_at_the_same_time(rabbitmq_node: RabbitNode) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(rabbitmq_node.eval, [f"{number} * 1000." for number in range(1, 25)]))
    assert [f"{number}000" in answer for number, answer in enumerate(answers, 1)] == [True] * 24


def test_a_copy_uses_the_node_and_can_not_stop_it(rabbitmq_node: RabbitNode) -> None:
    copy = pickle.loads(pickle.dumps(rabbitmq_node))  # noqa: S301 - it was made just now
    assert copy.pid == rabbitmq_node.pid
    copy.kill()
    RabbitBroker([rabbitmq_node.vhost()]).prepare()


def test_a_node_that_was_not_started_can_be_stopped(
    make_rabbitmq_node: MakeRabbitNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = make_rabbitmq_node(tmp_path_factory.mktemp("unstarted") / "node")
    node.stop()
    assert node.processes() == []
