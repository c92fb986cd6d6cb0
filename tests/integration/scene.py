"""What the tests of workers share: a server's client, our kinds of task, and the traces that they leave."""

from pathlib import Path

from core.jsontext import Json
from core.repository.journal import Journal
from tests.integration.programs import counts
from tests.integration.wire import Wire
from tests.services.waiting import wait_until

KINDS = str(Path(__file__).with_name("kinds.py"))


class Scene:
    """One system, seen from a test.

    Args:
        directory: the system's.
        wire: a connection to its server.
    """

    def __init__(self, directory: Path, wire: Wire) -> None:
        self.directory = directory
        self.wire = wire
        self.file = directory / "traces"
        self.gate = directory / "gate"

    def traces(self) -> list[str]:
        """The ids of the tasks that ran, each as often as it did."""
        return self.file.read_text("utf-8").splitlines() if self.file.exists() else []

    @property
    def gated(self) -> Json:
        """The payload of a task that ends when the gate is there."""
        return {"trace": str(self.file), "gate": str(self.gate)}

    def submit(self, count: int, kind: str, name: str = "t") -> None:
        """Submit tasks that leave traces: `trace`, or one that waits for the gate."""
        payload = str(self.file) if kind == "trace" else self.gated
        self.wire.send(
            *(
                {"op": "submit", "ref": ref, "id": f"{name}{ref}", "kind": kind, "payload": payload}
                for ref in range(count)
            )
        )
        replies = [self.wire.reply() for _ in range(count)]
        assert all("ok" in reply for reply in replies), replies

    def submit_one(self, task_id: str, kind: str, payload: Json = None, **fields: Json) -> None:
        """Submit any task."""
        self.wire.ok("submit", id=task_id, kind=kind, payload=payload, **fields)

    def settled(self, **expected: int) -> bool:
        """Whether the books say just this."""
        return counts(self.directory) == expected

    def queued(self, count: int) -> None:
        """Wait until so many are with the broker."""
        wait_until(lambda: counts(self.directory).get("queued", 0) == count, f"{count} tasks to be queued")

    def three_heartbeats(self, name: str) -> None:
        """Wait for so many of a worker: that is a second, in which it has looked again at whatever waits there."""

        def beat() -> int:
            with Journal("resultados.db", self.directory).open_readonly() as repository:
                return max(record.beat for record in repository.processes() if record.name == name)

        goal = beat() + 3
        wait_until(lambda: beat() >= goal, "three heartbeats")
