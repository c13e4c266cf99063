"""What a listener may choose its messages by, and the choice as one function."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TypedDict

from mcpc.messages import MCPCMessage, MessageType

__all__ = ["Matches", "message_filter"]


class Matches(TypedDict, total=False):
    """The members of a message that a listener may choose by; None matches any."""

    session_id: str | None
    task_id: str | None
    tool_name: str | None
    type: MessageType | None
    event: str | None


def message_filter(matches: Mapping[str, str]) -> Callable[[MCPCMessage], bool] | None:
    """Whether a message has all these members, made once: it is asked of every message. None where there are none."""
    if not matches:
        return None
    read = attrgetter(*matches)
    wanted = tuple(matches.values()) if len(matches) > 1 else next(iter(matches.values()))
    return lambda message: read(message) == wanted
