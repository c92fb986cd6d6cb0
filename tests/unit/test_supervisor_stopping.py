"""How things are stopped: by stages, asked first, killed when their time is over. The test moves the time."""

from core.supervisor.processes.stopping import KILL_TIMEOUT, MIN_STAGE_TIME, StopDeadline, stop_in_order


class _World:
    """The time, and what happened in it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[str, str]] = []

    def pause(self) -> None:
        self.now += 0.5

    def clock(self) -> float:
        return self.now

    def of(self, what: str) -> list[str]:
        return [name for event, name in self.events if event == what]


class _Thing:
    """Something that takes `slow` seconds to leave; it never leaves when that is None, and may not even die."""

    def __init__(self, world: _World, name: str, slow: float | None = 0.0, *, mortal: bool = True) -> None:
        self.name = name
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
    stages = [[_Thing(world, "s1", 3.0), _Thing(world, "s2", 1.0)], [_Thing(world, "w1", 2.0)], []]
    assert stop_in_order(stages, StopDeadline(60, world.now), world.pause, world.clock) == []
    assert world.events == [
        ("asked", "s1"), ("asked", "s2"), ("cleaned", "s1"), ("cleaned", "s2"), ("asked", "w1"), ("cleaned", "w1"),
    ]  # fmt: skip
    assert world.now == 1005.0


def test_what_does_not_leave_in_time_is_killed() -> None:
    world = _World()
    stages = [[_Thing(world, "s1", None), _Thing(world, "s2", 1.0)]]
    assert stop_in_order(stages, StopDeadline(10, world.now), world.pause, world.clock) == ["s1"]
    assert world.now == 1010.0


def test_a_slow_stage_does_not_cost_the_next_one_everything() -> None:
    world = _World()
    stages = [[_Thing(world, "s1", None)], [_Thing(world, "w1", MIN_STAGE_TIME)], [_Thing(world, "nginx", None)]]
    assert stop_in_order(stages, StopDeadline(10, world.now), world.pause, world.clock) == ["s1", "nginx"]


def test_no_time_at_all_kills_at_once() -> None:
    world = _World()
    stages = [[_Thing(world, "s1", 1.0)], [_Thing(world, "w1", 1.0)]]
    assert stop_in_order(stages, StopDeadline(0, world.now), world.pause, world.clock) == ["s1", "w1"]
    assert world.now == 1000.0


def test_patience_can_become_less_meanwhile() -> None:
    world = _World()
    patience = StopDeadline(60, world.now)

    def pause() -> None:
        world.pause()
        if world.now == 1003.0:
            patience.shorten(0, world.now)

    stages = [[_Thing(world, "s1", None)], [_Thing(world, "w1", None)]]
    assert stop_in_order(stages, patience, pause, world.clock) == ["s1", "w1"]
    assert world.now == 1003.0


def test_patience_never_becomes_more() -> None:
    patience = StopDeadline(10, 1000.0)
    patience.shorten(60, 1005.0)
    assert not patience.has_passed(1000.0, 1009.9)
    assert patience.has_passed(1000.0, 1010.0)


def test_what_cannot_even_be_killed_holds_nothing_up_for_long() -> None:
    world = _World()
    stages = [[_Thing(world, "s1", None, mortal=False)], [_Thing(world, "w1")]]
    assert stop_in_order(stages, StopDeadline(0, world.now), world.pause, world.clock) == ["s1"]
    assert world.of("asked") == ["s1", "w1"]
    assert world.now == 1000.0 + KILL_TIMEOUT
