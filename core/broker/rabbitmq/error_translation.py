"""Translates the exceptions of pika into our errors, each with one sentence for people."""

import re
from collections.abc import Iterator

from pika import exceptions

from core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable

_OTHER_SETTINGS = re.compile(r"inequivalent arg '[^']*' for (queue|exchange) '([^']*)'")

_NOT_ALLOWED = 530
_ACCESS_REFUSED = 403
_EXPLAINED = {
    404: "the queues of Cauce do not exist yet; a server or worker creates them",
    405: "another process of Cauce is creating the queues now",
}
_PRECONDITION_FAILED = 406


def translate(error: BaseException, place: str) -> BrokerError:
    """Translate an error of pika. `place` is the broker's address, without a password."""
    if isinstance(error, BrokerError):
        return error
    causes = list(_causes(error))
    for cause in causes:
        refusal = _refusal(cause, place)
        if refusal is not None:
            return refusal
    return BrokerUnavailable(f"{place}: {_explain(causes)}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    # pika wraps the error of a failed connection up to three times, each time in another attribute.
    yield error
    inner = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    for each in inner:
        if isinstance(each, BaseException):
            yield from _causes(each)


def _refusal(error: BaseException, place: str) -> BrokerMisconfigured | None:
    if isinstance(error, exceptions.ChannelClosedByBroker):
        return _channel_refusal(error.reply_code, error.reply_text, place)
    # pika infers these two from the moment of the loss; only the reply code proves them.
    if isinstance(error, exceptions.ProbableAuthenticationError) and f"({_ACCESS_REFUSED})" in str(error):
        return BrokerMisconfigured(f"{place} refuses the user name or the password: correct the broker URL")
    if isinstance(error, exceptions.ProbableAccessDeniedError) and f"({_NOT_ALLOWED})" in str(error):
        return BrokerMisconfigured(
            f"{place} refuses this user: the virtual host does not exist, or the user has no permission for it"
        )
    return None


def _channel_refusal(code: int, text: str, place: str) -> BrokerMisconfigured | None:
    other_settings = _OTHER_SETTINGS.search(text)
    if code == _PRECONDITION_FAILED and other_settings is not None:
        kind, name = other_settings.groups()
        return BrokerMisconfigured(
            f"{place} has a {kind} {name} with other settings than Cauce needs: delete it when it is empty, "
            f"or use another virtual host (RabbitMQ: {text})"
        )
    if code == _ACCESS_REFUSED:
        return BrokerMisconfigured(
            f"{place} denies this user access: grant the permissions configure, write and read "
            f"on names that begin with cauce (RabbitMQ: {text})"
        )
    return None


def _explain(causes: list[BaseException]) -> str:
    """Return the clearest text among the causes: the broker's, else the operating system's, else pika's."""
    for cause in causes:
        if isinstance(cause, exceptions.ChannelClosedByBroker) and cause.reply_code in _EXPLAINED:
            return f"{_EXPLAINED[cause.reply_code]} (RabbitMQ: {cause.reply_text})"
        if isinstance(cause, exceptions.ConnectionClosedByBroker | exceptions.ChannelClosedByBroker):
            return f"RabbitMQ replied {cause.reply_code} {cause.reply_text}"
    for cause in causes:
        if isinstance(cause, exceptions.AMQPHeartbeatTimeout):
            return "it stopped responding"
        if isinstance(cause, exceptions.ConnectionBlockedTimeout):
            return "it accepted no messages for too long"
        if isinstance(cause, OSError):
            return cause.strerror or str(cause) or type(cause).__name__
    last = causes[-1]
    return f"{last}" or type(last).__name__
