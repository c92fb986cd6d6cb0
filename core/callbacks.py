"""Callbacks for callers that have nothing to do."""


def ignore(*_: object) -> None:
    """Do nothing."""
