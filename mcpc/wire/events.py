"""The words of MCP Events, written and read. EXPERIMENTAL: a draft that still moves; all its words stand here.

Draft: modelcontextprotocol/experimental-ext-triggers-events, docs/design-sketch-proposal.md, as of commit 082166f.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from mcpc.errors import MessageError
from mcpc.wire.jsontext import as_object

__all__ = [
    "ACTIVE_METHOD",
    "EVENTS_CAPABILITY",
    "ERROR_METHOD",
    "EVENT_METHOD",
    "HEARTBEAT_METHOD",
    "LIST_METHOD",
    "MAX_AGE",
    "MAX_EVENTS",
    "NOT_FOUND",
    "POLL",
    "POLL_METHOD",
    "PUSH",
    "STREAM_METHOD",
    "TERMINATED_METHOD",
    "UNSUPPORTED",
    "Happened",
    "event_params",
    "event_type",
    "not_found_data",
    "next_page",
    "occurrence",
    "poll_result",
    "read_cursor",
    "read_error",
    "read_event",
    "read_events",
    "read_page",
    "read_position",
    "read_types",
    "type_list",
    "with_events",
    "write_cursor",
]

EVENTS_CAPABILITY = "events"

LIST_METHOD = "events/list"
POLL_METHOD = "events/poll"
STREAM_METHOD = "events/stream"
ACTIVE_METHOD = "notifications/events/active"
EVENT_METHOD = "notifications/events/event"
HEARTBEAT_METHOD = "notifications/events/heartbeat"
ERROR_METHOD = "notifications/events/error"
TERMINATED_METHOD = "notifications/events/terminated"

POLL = "poll"
PUSH = "push"

MAX_AGE = "maxAgeMs"
MAX_EVENTS = "maxEvents"

NOT_FOUND = -32011
"""The draft's code for what is referred to and does not exist."""
UNSUPPORTED = -32014
"""The draft's code for what the server does not offer here, a way of delivery for one."""

_CURSOR = re.compile(r"([0-9a-f]{8}):(0|[1-9][0-9]{0,17})")


def with_events(result: Mapping[str, Any]) -> dict[str, Any]:
    """A server's greeting with the capability in it."""
    capabilities = as_object(result.get("capabilities"))
    return {**result, "capabilities": {**capabilities, EVENTS_CAPABILITY: {"listChanged": False}}}


def event_type(
    name: str, description: str, input_schema: Mapping[str, Any], payload_schema: Mapping[str, Any]
) -> dict[str, Any]:
    """A type as `events/list` shows it."""
    return {
        "name": name,
        "description": description,
        "delivery": [POLL, PUSH],
        "inputSchema": dict(input_schema),
        "payloadSchema": dict(payload_schema),
    }


def type_list(types: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to `events/list`."""
    return {"events": types}


def occurrence(event_id: str, name: str, timestamp: str, data: dict[str, Any]) -> dict[str, Any]:
    """One event."""
    return {"eventId": event_id, "name": name, "timestamp": timestamp, "data": data}


def event_params(name: str, arguments: Mapping[str, Any], cursor: str | None, max_age: float | None) -> dict[str, Any]:
    """The params of `events/poll` and `events/stream`; `max_age` in seconds."""
    params: dict[str, Any] = {"name": name, "arguments": dict(arguments), "cursor": cursor}
    return params if max_age is None else {**params, MAX_AGE: int(max_age * 1000)}


def poll_result(
    events: list[dict[str, Any]], cursor: str, *, truncated: bool, has_more: bool, next_poll_ms: int
) -> dict[str, Any]:
    """The answer to `events/poll`."""
    return {
        "events": events,
        "cursor": cursor,
        "truncated": truncated,
        "hasMore": has_more,
        "nextPollMs": next_poll_ms,
    }


def not_found_data(kind: str) -> dict[str, Any]:
    """The `data` of an error that says what does not exist."""
    return {"kind": kind}


# --- cursors ----------------------------------------------------------------------------------------------------


def write_cursor(epoch: str, number: int) -> str:
    """A position: the log's epoch, of eight hexadecimal digits, and the number of the last event before it."""
    return f"{epoch}:{number}"


def read_cursor(text: str) -> tuple[str, int] | None:
    """The epoch and the number of a cursor; None where it is none of ours."""
    found = _CURSOR.fullmatch(text)
    return None if found is None else (found[1], int(found[2]))


# --- what another server answers --------------------------------------------------------------------------------


def read_types(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The types of an answer to `events/list`.

    Raises:
        MessageError: it is not such an answer.
    """
    types: Any = result.get("events")
    if not isinstance(types, list):
        raise MessageError("the server's answer to events/list has no list of events")
    found = [as_object(each) for each in cast("list[Any]", types)]
    if not all(isinstance(each.get("name"), str) for each in found):
        raise MessageError("the server's answer to events/list has an event without a name")
    return found


def next_page(result: Mapping[str, Any]) -> str | None:
    """The cursor of the next page of an answer to `events/list`; None on the last.

    Raises:
        MessageError: it is none.
    """
    cursor: Any = result.get("nextCursor")
    if cursor is not None and not isinstance(cursor, str):
        raise MessageError("the cursor of the server's list of events is not a text")
    return cursor


def read_page(result: Mapping[str, Any]) -> tuple[str | None, bool, bool, float]:
    """Of an answer to `events/poll`: the cursor, whether something was skipped, whether more waits, and the seconds
    until the next.

    Raises:
        MessageError: it is not such an answer.
    """
    cursor, truncated = read_position(result)
    wait: Any = result.get("nextPollMs", 0)
    seconds = wait / 1000 if isinstance(wait, int | float) and not isinstance(wait, bool) else 0.0
    return cursor, truncated, result.get("hasMore") is True, max(0.0, seconds)


def read_position(members: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Of what a server tells: the cursor after it, and whether something was skipped before it.

    Raises:
        MessageError: the cursor is none.
    """
    cursor: Any = members.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise MessageError("the cursor of the server's events is not a text")
    return cursor, members.get("truncated") is True


@dataclass(frozen=True)
class Happened:
    """One event as a server tells it."""

    event_id: str
    name: str
    timestamp: str
    data: dict[str, Any]


def read_events(result: Mapping[str, Any]) -> list[Happened]:
    """The events of an answer to `events/poll`.

    Raises:
        MessageError: it is not such an answer, or an event lacks what each must have.
    """
    events: Any = result.get("events")
    if not isinstance(events, list):
        raise MessageError("the server's answer to events/poll has no list of events")
    return [read_event(as_object(each)) for each in cast("list[Any]", events)]


def read_event(event: dict[str, Any]) -> Happened:
    """One event, of an answer or of a stream.

    Raises:
        MessageError: it lacks what each must have.
    """
    match event:
        case {"eventId": str(event_id), "name": str(name), "timestamp": str(timestamp), "data": dict()}:
            return Happened(event_id, name, timestamp, as_object(event["data"]))
        case _:
            raise MessageError("an event of the server's lacks eventId, name, timestamp or data")


def read_error(params: Mapping[str, Any]) -> tuple[int, str, Any]:
    """The code, the text and the data of an error that is told on a stream; what is no error gives one of no code."""
    match params.get("error"):
        case {"code": int(code), "message": str(text)} as error:
            return code, text, as_object(error).get("data")
        case _:
            return 0, "the server did not say why", None
