"""How processes are stopped: by stages, asked first, killed when their time is over. The test moves the time."""

from core.supervisor.processes.stopping import KILL_TIMEOUT, MIN_STAGE_TIME, StopDeadline, stop_in_order


class _World:
    """The time and the events."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[str, str]] = []

    def pause(self) -> None:
        self.now += 0.5

    def clock(self) -> float:
        return self.now

    def of(self, what: str) -> list[str]:
        return [name for event, name in self.events if event == what]


class _Process:
    """Takes `slow` seconds to end, or never ends when that is None; may also survive a kill."""

    def __init__(
        self,
        world: _World,
        name: str,
        slow: float | None = 0.0,
        *,
        mortal: bool = True,
        stop_timeout: float | None = None,
    ) -> None:
        self.name = name
        self.stop_timeout = stop_timeout
        self._world = world
        self._slow = slow
        self._mortal = mortal
        self._ends: float | None = None

    def terminate(self) -> None:
        self._world.events.append(("asked", self.name))
        if self._slow is not None:
            self._ends = self._world.now + self._slow

    def kill(self) -> None:
        self._world.events.append(("killed", self.name))
        if self._mortal:
            self._ends = self._world.now

    def has_ended(self) -> bool:
        return self._ends is not None and self._world.now >= self._ends

    def kill_leftovers(self) -> None:
        self._world.events.append(("cleaned", self.name))


def test_a_stage_begins_when_the_one_before_has_ended() -> None:
    world = _World()
    stages = [[_Process(world, "s1", 3.0), _Process(world, "s2", 1.0)], [_Process(world, "w1", 2.0)], []]
    assert stop_in_order(stages, StopDeadline(60, world.now), world.pause, world.clock) == []
    assert world.events == [
        ("asked", "s1"), ("asked", "s2"), ("cleaned", "s1"), ("cleaned", "s2"), ("asked", "w1"), ("cleaned", "w1"),
    ]  # fmt: skip
    assert world.now == 1005.0


def test_a_process_that_does_not_end_in_time_is_killed() -> None:
    world = _World()
    stages = [[_Process(world, "s1", None), _Process(world, "s2", 1.0)]]
    assert stop_in_order(stages, StopDeadline(10, world.now), world.pause, world.clock) == ["s1"]
    assert world.now == 1010.0


def test_a_process_with_a_stop_timeout_of_its_own_is_killed_after_that() -> None:
    world = _World()
    own = _Process(world, "website", None, stop_timeout=3.0)
    patient = _Process(world, "reports", 8.0, stop_timeout=100.0)
    assert stop_in_order([[own, patient]], StopDeadline(10, world.now), world.pause, world.clock) == ["website"]
    assert world.now == 1008.0
    own, patient = (_Process(world, name, None, stop_timeout=100.0) for name in ("website", "reports"))
    assert stop_in_order([[own, patient]], StopDeadline(10, world.now), world.pause, world.clock) == [
        "website",
        "reports",
    ]
    assert world.now == 1018.0


def test_a_slow_stage_does_not_cost_the_next_one_everything() -> None:
    world = _World()
    stages = [[_Process(world, "s1", None)], [_Process(world, "w1", MIN_STAGE_TIME)], [_Process(world, "nginx", None)]]
    assert stop_in_order(stages, StopDeadline(10, world.now), world.pause, world.clock) == ["s1", "nginx"]


def test_no_time_at_all_kills_at_once() -> None:
    world = _World()
    stages = [[_Process(world, "s1", 1.0)], [_Process(world, "w1", 1.0)]]
    assert stop_in_order(stages, StopDeadline(0, world.now), world.pause, world.clock) == ["s1", "w1"]
    assert world.now == 1000.0


def test_the_deadline_can_be_brought_forward() -> None:
    world = _World()
    deadline = StopDeadline(60, world.now)

    def pause() -> None:
        world.pause()
        if world.now == 1003.0:
            deadline.shorten(0, world.now)

    stages = [[_Process(world, "s1", None)], [_Process(world, "w1", None)]]
    assert stop_in_order(stages, deadline, pause, world.clock) == ["s1", "w1"]
    assert world.now == 1003.0


def test_the_deadline_is_never_put_back() -> None:
    deadline = StopDeadline(10, 1000.0)
    deadline.shorten(60, 1005.0)
    assert not deadline.has_passed(1000.0, 1009.9)
    assert deadline.has_passed(1000.0, 1010.0)


def test_a_process_that_cannot_be_killed_delays_the_next_stage_only_briefly() -> None:
    world = _World()
    stages = [[_Process(world, "s1", None, mortal=False)], [_Process(world, "w1")]]
    assert stop_in_order(stages, StopDeadline(0, world.now), world.pause, world.clock) == ["s1"]
    assert world.of("asked") == ["s1", "w1"]
    assert world.now == 1000.0 + KILL_TIMEOUT
