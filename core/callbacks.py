"""The callback that does nothing, for interfaces that require one."""


def ignore(*_: object) -> None:
    """Do nothing."""
