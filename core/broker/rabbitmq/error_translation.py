"""Says in our own errors, as a sentence for people, what pika says in its many ways."""

import re
from collections.abc import Iterator

from pika import exceptions

from core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable

_OTHER_SETTINGS = re.compile(r"inequivalent arg '[^']*' for (queue|exchange) '([^']*)'")

_NOT_ALLOWED = 530
_ACCESS_REFUSED = 403
_EXPLAINED = {
    404: "it has no queues of ours yet, which servers and workers make",
    405: "another of us is making the queues at this moment",
}
_PRECONDITION_FAILED = 406


def translate(error: BaseException, place: str) -> BrokerError:
    """Make our error of pika's. `place` says which RabbitMQ it is, without a password."""
    if isinstance(error, BrokerError):
        return error
    causes = list(_causes(error))
    for cause in causes:
        refusal = _refusal(cause, place)
        if refusal is not None:
            return refusal
    return BrokerUnavailable(f"{place}: {_words(causes)}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    # pika wraps a failed attempt to connect up to three times, each time in another attribute.
    yield error
    inner = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    for each in inner:
        if isinstance(each, BaseException):
            yield from _causes(each)


def _refusal(error: BaseException, place: str) -> BrokerMisconfigured | None:
    if isinstance(error, exceptions.ChannelClosedByBroker):
        return _channel_refusal(error.reply_code, error.reply_text, place)
    # pika guesses these two from the moment at which the connection was lost; only the code proves it.
    if isinstance(error, exceptions.ProbableAuthenticationError) and f"({_ACCESS_REFUSED})" in str(error):
        return BrokerMisconfigured(f"{place} refuses the user name or the password: correct the broker's URL")
    if isinstance(error, exceptions.ProbableAccessDeniedError) and f"({_NOT_ALLOWED})" in str(error):
        return BrokerMisconfigured(
            f"{place} does not let this user in: the virtual host does not exist, or the user has no permission for it"
        )
    return None


def _channel_refusal(code: int, text: str, place: str) -> BrokerMisconfigured | None:
    other_settings = _OTHER_SETTINGS.search(text)
    if code == _PRECONDITION_FAILED and other_settings is not None:
        thing, name = other_settings.groups()
        return BrokerMisconfigured(
            f"{place} has a {thing} {name} with other settings than ours: delete it when it is empty, "
            f"or use another virtual host (RabbitMQ says: {text})"
        )
    if code == _ACCESS_REFUSED:
        return BrokerMisconfigured(
            f"{place} forbids what this user has to do: give it the permissions configure, write and read "
            f"on names that begin with cauce (RabbitMQ says: {text})"
        )
    return None


def _words(causes: list[BaseException]) -> str:
    """The most telling words among the causes: the broker's own, the system's, or pika's."""
    for cause in causes:
        if isinstance(cause, exceptions.ChannelClosedByBroker) and cause.reply_code in _EXPLAINED:
            return f"{_EXPLAINED[cause.reply_code]} (RabbitMQ says: {cause.reply_text})"
        if isinstance(cause, exceptions.ConnectionClosedByBroker | exceptions.ChannelClosedByBroker):
            return f"RabbitMQ says: {cause.reply_code} {cause.reply_text}"
    for cause in causes:
        if isinstance(cause, exceptions.AMQPHeartbeatTimeout):
            return "it stopped answering"
        if isinstance(cause, exceptions.ConnectionBlockedTimeout):
            return "it accepted no messages for too long"
        if isinstance(cause, OSError):
            return cause.strerror or str(cause) or type(cause).__name__
    last = causes[-1]
    return f"{last}" or type(last).__name__
