"""MCPC messages as JSON, and the notifications that carry them to a listener (the listen form)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from mcp_types import RequestId
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from mcpc.errors import MessageError
from mcpc.messages import PROTOCOL, MCPCMessage, check_message
from mcpc.wire.heads import KnownHeads
from mcpc.wire.jsontext import as_object, encode_json, has_infinity
from mcpc.wire.names import LISTENING_METHOD, MESSAGES_METHOD, NOTIFICATION_PREFIX, SUBSCRIPTION_META

__all__ = [
    "NOTIFICATION_HEAD",
    "decode_message",
    "decode_messages",
    "encode_batch",
    "encode_listening",
    "encode_message",
    "encode_runs",
    "known_messages",
    "known_runs",
    "message_prefix",
    "message_with_result",
    "messages_in_content",
    "messages_of",
]

# --- one message ------------------------------------------------------------------------------------------------

_messages: TypeAdapter[list[MCPCMessage]] = TypeAdapter(list[MCPCMessage])


def encode_message(message: MCPCMessage) -> bytes:
    """A message as JSON, members that are None left out (bar `result`).

    Raises:
        MessageError: it may not travel (`check_message`), or its result is not a JSON value.
    """
    check_message(message)
    body: dict[str, Any] = {"type": message.type, "event": message.event, "session_id": message.session_id}
    if message.type == "task":
        body["task_id"] = message.task_id
        body["tool_name"] = message.tool_name
    body["protocol"] = PROTOCOL
    body["result"] = message.result
    return encode_json(body)


def message_prefix(event: str, *, session_id: str, task_id: str, tool_name: str) -> bytes:
    """What a task's messages of one kind begin with, up to the result; see `message_with_result`."""
    head = {
        "type": "task",
        "event": event,
        "session_id": session_id,
        "task_id": task_id,
        "tool_name": tool_name,
    }
    return encode_json(head)[:-1] + b',"protocol":"mcpc","result":'


def message_with_result(prefix: bytes, result: Any) -> bytes:
    """The whole message: only the result is encoded anew.

    Raises:
        MessageError: the result is not a JSON value.
    """
    return prefix + encode_json(result) + b"}"


def decode_message(value: Any) -> MCPCMessage:
    """A message from its JSON text, or from the decoded object.

    Raises:
        MessageError: it is not one.
    """
    try:
        if isinstance(value, str | bytes | bytearray):
            message = MCPCMessage.model_validate_json(value)
        else:
            message = MCPCMessage.model_validate(value)
    except ValidationError as exc:
        raise MessageError(f"not an MCPC message: {exc.error_count()} members do not fit") from exc
    if has_infinity(message.result):
        raise MessageError("not an MCPC message: a number is out of range")
    return _check_received(message)


def _check_received(message: MCPCMessage) -> MCPCMessage:
    if message.protocol != PROTOCOL:
        raise MessageError("not an MCPC message: the protocol is another")
    # The usual case first and in one line: this runs for every callback.
    if message.event == "update" and message.session_id and message.task_id and message.tool_name:
        return message
    return check_message(message)


def _is_message(value: dict[str, Any]) -> bool:
    try:
        decode_message(value)
    except MessageError:
        return False
    return True


_known = KnownHeads(_is_message)


known_messages: Callable[[Sequence[Any]], list[MCPCMessage] | None] = _known.messages
"""`decode_messages` for whole messages of tasks, in half the time; None where one is not, or is not good.

The values belong to the messages afterwards.
"""


def known_runs(params: dict[str, Any]) -> list[MCPCMessage] | None:
    """The messages of a notification whose heads stand there once, without writing them out again.

    None where it has the other form, or where a head is not good or not whole; see `messages_of`.
    """
    runs: Any = params.get("runs")
    if not isinstance(runs, list):
        return None
    found: list[MCPCMessage] = []
    for run in cast("list[Any]", runs):
        members = as_object(run)
        made = _known.run(members.get("head"), members.get("results"))
        if made is None:
            return None
        found += made
    return found


def decode_messages(values: Any) -> Sequence[MCPCMessage | None]:
    """The messages of one notification, by position; None stands where one is not an MCPC message.

    A bad message costs its own place only, so the numbers of the others hold.
    """
    if not isinstance(values, list):
        return []
    try:
        messages: list[MCPCMessage] = _messages.validate_python(values)
        return list(map(_check_received, messages))
    except ValueError:
        return [_message_or_none(value) for value in cast("list[Any]", values)]


def _message_or_none(value: Any) -> MCPCMessage | None:
    try:
        return decode_message(value)
    except MessageError:
        return None


def messages_in_content(content: Any) -> list[MCPCMessage]:
    """The messages among the text blocks of a tool result (models or decoded objects), in order."""
    found: list[MCPCMessage] = []
    if not isinstance(content, Sequence) or isinstance(content, str | bytes):
        return found
    for block in cast("Sequence[Any]", content):
        text: Any = (
            cast("dict[str, Any]", block).get("text") if isinstance(block, dict) else getattr(block, "text", None)
        )
        if isinstance(text, str) and '"mcpc"' in text:
            message = _message_or_none(text)
            if message is not None:
                found.append(message)
    return found


# --- the listen form --------------------------------------------------------------------------------------------

NOTIFICATION_HEAD = b'{"jsonrpc":"2.0","method":"%b' % NOTIFICATION_PREFIX.encode()
"""How `encode_batch` and `encode_listening` begin a frame, and the SDK too."""


_BATCH = b'{"jsonrpc":"2.0","method":"%b","params":{"_meta":{"%b":%%b},"first":%%d,"messages":[%%b]}}' % (
    MESSAGES_METHOD.encode(),
    SUBSCRIPTION_META.encode(),
)


def encode_batch(listen_id: RequestId, first: int, messages: Iterable[bytes]) -> bytes:
    """A `notifications/mcpc/messages` frame: encoded messages with contiguous numbers from `first`."""
    return _BATCH % (to_json(listen_id), first, b",".join(messages))


_RUNS = _BATCH.replace(b'"messages":', b'"runs":')
_RUN = b'{"head":%b,"results":[%b]}'
_MARK = b',"protocol":"mcpc","result":'
"""What stands between a message's head and its result. No text holds it: there the quotes are escaped."""


def encode_runs(listen_id: RequestId, first: int, messages: Sequence[bytes]) -> bytes:
    """The same notification with what messages in a row share written once: `runs`, of a head and its results.

    For messages that were encoded here; where one is spelled in another way, `encode_batch` is used.
    """
    runs: list[bytes] = []
    prefix, results = b"", list[bytes]()
    for message in messages:
        if not (prefix and message.startswith(prefix)):
            if results:
                runs.append(_run(prefix, results))
            at = message.find(_MARK)
            if at < 0 or not message.endswith(b"}"):
                return encode_batch(listen_id, first, messages)
            prefix, results = message[: at + len(_MARK)], []
        results.append(message[len(prefix) : -1])
    if results:
        runs.append(_run(prefix, results))
    return _RUNS % (to_json(listen_id), first, b",".join(runs))


def _run(prefix: bytes, results: list[bytes]) -> bytes:
    return _RUN % (prefix[: -len(b',"result":')] + b"}", b",".join(results))


def messages_of(params: dict[str, Any]) -> list[Any] | None:
    """The messages in a `notifications/mcpc/messages`, in whichever of its two forms; None where it has neither."""
    if "runs" not in params:
        values: list[Any] | None = params.get("messages")
        return values if type(values) is list else None
    found: list[Any] = []
    runs: Any = params["runs"]
    for run in cast("list[Any]", runs) if isinstance(runs, list) else [None]:
        members = as_object(run)
        head, results = members.get("head"), members.get("results")
        if not isinstance(head, dict) or not isinstance(results, list):
            return None  # how many messages it stands for cannot be known
        found.extend({**cast("dict[str, Any]", head), "result": result} for result in cast("list[Any]", results))
    return found


def encode_listening(listen_id: RequestId, params: dict[str, Any]) -> bytes:
    """A `notifications/mcpc/listening` frame."""
    body = {"_meta": {SUBSCRIPTION_META: listen_id}, **params}
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (LISTENING_METHOD.encode(), to_json(body))
