"""Wire forms <-> values. The only place that knows JSON-RPC shapes and `_meta` keys.

Pure functions over bytes and dicts: no I/O, no clock, no state. Two layers:

- *frames*: one JSON-RPC message as bytes. `decode_frame` is our edge. The SDK
  would let some bad ones through (a request whose id is 1.5 becomes a
  notification and its sender hangs; 1e999 becomes null; of two equal members the
  last wins), so they are refused here.
- *MCPC messages* in their three wire forms: `listen`, `direct` and `content`.

JSON is pydantic-core's. Messages are encoded once, as bytes, and frames are put
together from those bytes.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer, core_schema, from_json, to_json

from mcpc.errors import FrameError, MessageError
from mcpc.heads import KnownHeads
from mcpc.messages import PROTOCOL, MCPCMessage, check_message

__all__ = [
    "CALLBACKS_EXTENSION",
    "CHANNEL_META",
    "DIRECT_ID",
    "INFO_METHOD",
    "LISTENING_METHOD",
    "LISTEN_METHOD",
    "MESSAGES_METHOD",
    "NOTIFICATION_HEAD",
    "NOTIFICATION_PREFIX",
    "SEND_METHOD",
    "SESSION_META",
    "STOP_METHOD",
    "SUBSCRIPTION_META",
    "TASK_META",
    "TASK_METHOD",
    "CallMetadata",
    "call_meta",
    "decode_direct",
    "decode_frame",
    "decode_message",
    "decode_messages",
    "encode_batch",
    "encode_direct",
    "encode_error",
    "encode_json",
    "encode_listening",
    "encode_message",
    "encode_rpc",
    "known_messages",
    "message_prefix",
    "message_with_result",
    "messages_in_content",
    "read_call",
    "rpc_message",
]

INFO_METHOD = "mcpc/info"
LISTEN_METHOD = "mcpc/listen"
SEND_METHOD = "mcpc/send"
STOP_METHOD = "mcpc/stop"
TASK_METHOD = "mcpc/task"
NOTIFICATION_PREFIX = "notifications/mcpc/"
LISTENING_METHOD = "notifications/mcpc/listening"
MESSAGES_METHOD = "notifications/mcpc/messages"
CALLBACKS_EXTENSION = "mcpc/callbacks"

CHANNEL_META = "mcpc/channel"
SESSION_META = "mcpc/sessionId"
TASK_META = "mcpc/taskId"
SUBSCRIPTION_META = "io.modelcontextprotocol/subscriptionId"

DIRECT_ID = "MCPC_CALLBACK"
"""The id of the unsolicited response that carries a message in the original's form."""


SURE_DEPTH = 150
"""As many brackets or fewer can be decoded however they nest (the decoder's limit is 200 levels)."""
FRAME_DEPTH = 8
"""Levels that a frame adds around a message's result."""
MAX_DIGITS = 4300
"""Digits of the longest number that the decoder takes (CPython's own limit)."""
_LONG_NUMBER = re.compile(rb"\d{4301}")
N, I = b"NI"  # noqa: E741 - what NaN and Infinity begin with


# --- JSON -------------------------------------------------------------------------------------------------------


_to_json = SchemaSerializer(core_schema.any_schema(), CoreConfig(ser_json_inf_nan="constants")).to_json
"""`pydantic_core.to_json`, set up once: that is a tenth of what it takes for a small value."""


def encode_json(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        MessageError: it cannot be JSON: an unknown type, a lone surrogate, NaN or an infinity (RFC 8259).
    """
    try:
        data = _to_json(value)
        # One byte is found ten times faster than a word, and this runs for every message.
        if (N in data or I in data) and (b"NaN" in data or b"Infinity" in data) and _non_finite(data):
            raise MessageError("not a JSON value: NaN and infinities have no JSON form")
        if len(data) > 2 * SURE_DEPTH and _may_be_undecodable(data):
            from_json(b"[" * FRAME_DEPTH + data + b"]" * FRAME_DEPTH)  # what the peer's decoder will make of it
    except MessageError:
        raise
    except (PydanticSerializationError, ValueError, RecursionError) as exc:
        raise MessageError(f"not a JSON value that can travel: {exc}") from exc
    return data


def _may_be_undecodable(data: bytes) -> bool:
    """Whether `data` could be nested too deep, or hold a number too long, for the peer's decoder."""
    return data.count(b"[") + data.count(b"{") > SURE_DEPTH or (
        len(data) > MAX_DIGITS and _LONG_NUMBER.search(data) is not None
    )


def _non_finite(data: bytes) -> bool:
    """Whether NaN or an infinity stands in `data` as a number, not as part of a text."""
    found = False

    def constant(_: str) -> None:
        nonlocal found
        found = True

    json.loads(data, parse_constant=constant)
    return found


def _has_infinity(value: Any) -> bool:
    """Whether a decoded value holds a float that was too large to be one (`1e999`)."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))
        elif isinstance(item, float) and not math.isfinite(item):
            return True
    return False


# --- frames -----------------------------------------------------------------------------------------------------

_ENVELOPE_NAMES = ("jsonrpc", "id", "method", "params", "result", "error")
_ENVELOPE = tuple(f'"{name}"'.encode() for name in _ENVELOPE_NAMES)


def decode_frame(frame: bytes | bytearray) -> dict[str, Any]:
    """One JSON-RPC message as a dict whose envelope is known to be sound.

    Raises:
        FrameError: with the JSON-RPC code to answer, and the id where a usable one was there.
    """
    try:
        decoded: Any = from_json(frame, allow_inf_nan=False)
    except ValueError as exc:
        raise FrameError(f"invalid JSON: {exc}", code=PARSE_ERROR) from exc
    if not isinstance(decoded, dict):
        raise FrameError("a message must be one JSON object (batches are not part of MCP)", code=INVALID_REQUEST)
    message = cast("dict[str, Any]", decoded)
    if message.get("method") == MESSAGES_METHOD and "id" not in message:
        if message.get("jsonrpc") == "2.0" and isinstance(message.get("params"), dict):
            return message  # the busy path: its content is checked by decode_messages
        message.setdefault("params", None)  # here they are needed
    _check_envelope(message)
    _check_duplicates(bytes(frame), message)
    if b"Infinity" in to_json(message, inf_nan_mode="constants") and _has_infinity(message):
        raise FrameError("a number is out of range", code=PARSE_ERROR, request_id=_usable_id(message))
    return message


def _usable_id(message: dict[str, Any]) -> RequestId | None:
    found = message.get("id")
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _check_envelope(message: dict[str, Any]) -> None:
    """The members of the envelope, after JSON-RPC 2.0 and MCP's stricter id (a string or an integer, never null)."""
    request_id = _usable_id(message)

    def refuse(why: str) -> FrameError:
        return FrameError(why, code=INVALID_REQUEST, request_id=request_id)

    if message.get("jsonrpc") != "2.0":
        raise refuse('"jsonrpc" must be "2.0"')
    if "method" in message:
        if not isinstance(message["method"], str):
            raise refuse('"method" must be a string')
        if "id" in message and request_id is None:
            raise refuse('"id" must be a string or an integer')
        if not isinstance(message.get("params", {}), dict):
            raise refuse('"params" must be an object')
        return
    if ("result" in message) == ("error" in message):
        raise refuse('a message needs "method", or one of "result" and "error"')
    if "result" in message:
        if request_id is None:
            raise refuse('"id" must be a string or an integer')
        if not isinstance(message["result"], dict):
            raise refuse('"result" must be an object')
    else:
        _check_error(message, refuse)


def _check_error(message: dict[str, Any], refuse: Any) -> None:
    if message.get("id") is not None and _usable_id(message) is None:
        raise refuse('"id" must be a string, an integer or null')
    error: Any = message["error"]
    if not isinstance(error, dict):
        raise refuse('"error" must be an object')
    found = cast("dict[str, Any]", error)
    if type(found.get("code")) is not int or not isinstance(found.get("message"), str):
        raise refuse('"error" needs an integer "code" and a string "message"')


def _check_duplicates(frame: bytes, message: dict[str, Any]) -> None:
    """Refuse a second member of the envelope: two readers would take different ones (RFC 8259, section 4)."""
    if not _may_hold_duplicates(frame) or _is_one_member_after_another(frame, message):
        return
    doubled = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        names = [name for name, _ in pairs if name in _ENVELOPE_NAMES]
        # json.loads calls this innermost first: what counts is the last call, the envelope.
        doubled = len(names) != len(set(names))
        return {}

    json.loads(frame, object_pairs_hook=collect)
    if doubled:
        raise FrameError("a member of the message stands twice", code=INVALID_REQUEST, request_id=_usable_id(message))


def _may_hold_duplicates(frame: bytes) -> bool:
    """Whether a name of the envelope stands twice in `frame`, at whatever depth, or might in other spelling."""
    for name in _ENVELOPE:
        if frame.count(name) > 1:
            return True
    return b"\\u00" in frame


def _is_one_member_after_another(frame: bytes, message: dict[str, Any]) -> bool:
    """Whether `frame` is what we would write for `message`, up to its last member, and that member is all the rest.

    So it is of nearly every sender, where only the last member is large: a name that stands twice stands inside it.
    """
    *head, last = message
    begin = b"%b,%b:" % (to_json({name: message[name] for name in head})[:-1], to_json(last))
    if not frame.startswith(begin) or not frame.endswith(b"}"):
        return False
    try:
        from_json(frame[len(begin) : -1])
    except ValueError:
        return False
    return True


def rpc_message(message: dict[str, Any]) -> JSONRPCMessage:
    """A decoded frame as the SDK's value. The envelope is sound already, so nothing is validated again."""
    if "method" in message:
        fields: dict[str, Any] = {"jsonrpc": "2.0", "method": message["method"]}
        if "params" in message:
            fields["params"] = message["params"]
        if "id" in message:
            return JSONRPCRequest.model_construct(id=message["id"], **fields)
        return JSONRPCNotification.model_construct(**fields)
    if "result" in message:
        return JSONRPCResponse.model_construct(jsonrpc="2.0", id=message["id"], result=message["result"])
    error = message["error"]
    data = ErrorData.model_construct(code=error["code"], message=error["message"], data=error.get("data"))
    if "data" not in error:
        data = ErrorData.model_construct(code=error["code"], message=error["message"])
    return JSONRPCError.model_construct(jsonrpc="2.0", id=message.get("id"), error=data)


def encode_rpc(message: JSONRPCMessage) -> bytes:
    """One of the SDK's messages as a frame."""
    if isinstance(message, JSONRPCResponse):
        result = to_json(message.result, inf_nan_mode="null")
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (to_json(message.id), result)
    if isinstance(message, JSONRPCRequest) and message.params is not None:
        members = to_json(message.id), to_json(message.method), to_json(message.params, inf_nan_mode="null")
        return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % members
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def encode_error(error: FrameError) -> bytes:
    """The answer to a bad frame: a JSON-RPC error with the request's id, or null where it had none."""
    body = {"code": error.code, "message": str(error)}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (to_json(error.request_id), to_json(body))


# --- one MCPC message -------------------------------------------------------------------------------------------

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
    if _has_infinity(message.result):
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


def known_messages(values: list[Any]) -> list[MCPCMessage] | None:
    """`decode_messages` for whole messages of tasks, in half the time; None where one is not, or is not good.

    The values belong to the messages afterwards.
    """
    return _known.messages(values)


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


def encode_listening(listen_id: RequestId, params: dict[str, Any]) -> bytes:
    """A `notifications/mcpc/listening` frame."""
    body = {"_meta": {SUBSCRIPTION_META: listen_id}, **params}
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (LISTENING_METHOD.encode(), to_json(body))


# --- the direct form --------------------------------------------------------------------------------------------


def encode_direct(message: bytes) -> bytes:
    """A message in the original's form: an unsolicited response whose text is the message."""
    text = to_json(message.decode())
    return (
        b'{"jsonrpc":"2.0","id":"MCPC_CALLBACK","result":{"content":[{"type":"text","text":%b}],"isError":false}}'
        % text
    )


def decode_direct(result: dict[str, Any]) -> list[MCPCMessage]:
    """The messages in the `result` of an unsolicited response; what is not one is left out."""
    return messages_in_content(result.get("content"))


# --- the content form -------------------------------------------------------------------------------------------


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


# --- metadata of a tool call ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CallMetadata:
    """What a `tools/call` says of its session and task, whichever form it came in."""

    session_id: str = "default"
    task_id: str | None = None
    channel: str | None = None
    form: str = "none"
    """`meta` (ours), `0.2.6`, `0.2.1`, or `none`: an ordinary call."""


def call_meta(*, channel: str, session_id: str, task_id: str) -> dict[str, Any]:
    """The `_meta` members of a tool call in our form."""
    return {CHANNEL_META: channel, SESSION_META: session_id, TASK_META: task_id}


def read_call(params: dict[str, Any]) -> CallMetadata:
    """The MCPC metadata of a `tools/call`'s params; ours first, then the older forms inside `arguments`.

    Raises:
        MessageError: a member has the wrong type.
    """
    meta: Any = params.get("_meta")
    if isinstance(meta, dict) and (CHANNEL_META in meta or TASK_META in meta):
        return _read(cast("dict[str, Any]", meta), "meta", SESSION_META, TASK_META, CHANNEL_META)
    arguments: Any = params.get("arguments")
    if isinstance(arguments, dict):
        found = cast("dict[str, Any]", arguments)
        newer, older = found.get("mcpc_params"), found.get("_metadata")
        if isinstance(newer, dict):
            return _read(cast("dict[str, Any]", newer), "0.2.6", "session_id", "task_id", None)
        if isinstance(older, dict) and ("mcpc_session_id" in older or "mcpc_task_id" in older):
            return _read(cast("dict[str, Any]", older), "0.2.1", "mcpc_session_id", "mcpc_task_id", None)
    return CallMetadata()


def _read(members: dict[str, Any], form: str, session: str, task: str, channel: str | None) -> CallMetadata:
    def text(name: str | None) -> str | None:
        value = None if name is None else members.get(name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= 1024):
            raise MessageError(f"{name!r} must be a text of 1 to 1024 characters")
        return value

    return CallMetadata(text(session) or "default", text(task), text(channel), form)
