"""The JSON-RPC envelope: frames <-> values, and everything that our edge refuses.

A frame is one JSON-RPC message as bytes. The SDK would let some bad ones through (a
request whose id is 1.5 becomes a notification and its sender hangs; 1e999 becomes
null; of two equal members the last wins), so they are refused here.
"""

from collections.abc import Container
from typing import Any, cast

from mcp_types import (
    INTERNAL_ERROR,
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
from pydantic_core import from_json, to_json

from mcpc.errors import FrameError, FrameKind, FrameTooLarge
from mcpc.garbage import collection_paused
from mcpc.wire.envelope import BEGINNING, END, ENVELOPE_NAMES, has_doubled, read_apart, read_cut
from mcpc.wire.jsontext import BYTES_PER_CONTAINER, MAX_CONTAINERS, has_infinity, is_too_dense, may_overflow
from mcpc.wire.names import MESSAGES_METHOD

__all__ = ["decode_frame", "dump_rpc", "encode_error", "encode_rpc", "failed_answer", "rpc_message", "too_large"]

_ENVELOPE = tuple(f'"{name}"'.encode() for name in ENVELOPE_NAMES)
_BUSY = b'{"jsonrpc":"2.0","method":"%b"' % MESSAGES_METHOD.encode()
_BOM = b"\xef\xbb\xbf"

_TOO_DENSE = f"over {MAX_CONTAINERS} lists and objects a message must have {BYTES_PER_CONTAINER} bytes for each of them"
LARGE = 4096
"""Bytes from which on a frame is read apart at once: below that two looks at it cost less."""
MAX_SUSPICIOUS = 256 * 1024
"""Bytes of the largest frame that is read by our own slow reader: some 50 ms. See `_check_duplicates`."""


def decode_frame(frame: bytes | bytearray) -> dict[str, Any]:
    """One JSON-RPC message as a dict whose envelope is known to be sound.

    A byte order mark before it is passed over (RFC 8259, section 8.1), and a member that is null where it may be left
    out counts as left out: `params`, and the one of `result` and `error` that is not there.

    Raises:
        FrameError: with the JSON-RPC code to answer, and the id where a usable one was there.
    """
    if frame.startswith(_BOM):
        frame = frame[len(_BOM) :]
    if len(frame) <= MAX_CONTAINERS:
        return _decode(frame)
    if is_too_dense(frame):
        request_id, kind = _about(frame[:BEGINNING], frame[-END:])
        raise FrameError(_TOO_DENSE, code=INVALID_REQUEST, request_id=request_id, kind=kind)
    with collection_paused:  # it would look through the half-made value again and again: three times the time
        return _decode(frame)


def _decode(frame: bytes | bytearray) -> dict[str, Any]:
    apart = read_apart(frame) if len(frame) > LARGE and not frame.startswith(_BUSY) else None
    message = _parse(frame) if apart is None else apart
    if message.get("method") == MESSAGES_METHOD and "id" not in message:
        if message.get("jsonrpc") == "2.0" and isinstance(message.get("params"), dict):
            return message  # the busy path: its content is checked by decode_messages
        message.setdefault("params", 0)  # here they are needed
    _drop_nulls(message)
    _check_envelope(message)
    if apart is None:
        _check_duplicates(frame, message)
    if may_overflow(frame) and has_infinity(message):
        raise _refused(message, "a number is out of range", PARSE_ERROR)
    return message


def _parse(frame: bytes | bytearray) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = from_json(frame, allow_inf_nan=False)
    except ValueError as exc:
        request_id, kind = _about(frame[:BEGINNING], frame[-END:])
        raise FrameError(f"invalid JSON: {exc}", code=PARSE_ERROR, request_id=request_id, kind=kind) from exc
    if type(decoded) is not dict:
        raise FrameError(
            "a message must be one JSON object (batches are not part of MCP)", code=INVALID_REQUEST, kind="noise"
        )
    return decoded


def too_large(limit: int, beginning: bytes | bytearray, end: bytes | bytearray = b"") -> FrameTooLarge:
    """The error for a frame over `limit` of which only its beginning and its end were kept (`BEGINNING`, `END`)."""
    request_id, kind = _about(beginning[:BEGINNING], end[-END:])
    return FrameTooLarge(limit, request_id=request_id, kind=kind)


def _about(beginning: bytes | bytearray, end: bytes | bytearray) -> tuple[RequestId | None, FrameKind | None]:
    """The id and the kind of a frame of which no more is known than its beginning and its end."""
    if beginning and not beginning.lstrip().startswith(b"{"):
        return None, "noise"
    cut = read_cut(beginning, end)
    if cut is None or cut.members.get("jsonrpc") != "2.0":
        return None, None
    return _usable_id(cut.members), _kind(cut.members, {*cut.members, cut.name})


def _kind(message: dict[str, Any], names: Container[str]) -> FrameKind | None:
    if "method" in names:
        return "request" if "id" in message else "notification"
    return "answer" if "result" in names or "error" in names else None


def failed_answer(error: FrameError) -> JSONRPCError:
    """What whoever waits is given in the place of an answer that could not be read.

    Raises:
        ValueError: it is not known whose it was.
    """
    if error.kind != "answer" or error.request_id is None:
        raise ValueError("not an answer to anybody")
    data = ErrorData(code=INTERNAL_ERROR, message=f"the answer cannot be read: {error}")
    return JSONRPCError(jsonrpc="2.0", id=error.request_id, error=data)


def _drop_nulls(message: dict[str, Any]) -> None:
    """Some peers write every member of their model. The SDK reads a null there as left out, too."""
    if "params" in message and message["params"] is None:
        del message["params"]
    if "result" in message and "error" in message:
        for name in ("error", "result"):
            if message[name] is None:
                del message[name]
                break


def _refused(message: dict[str, Any], why: str, code: int = INVALID_REQUEST) -> FrameError:
    return FrameError(why, code=code, request_id=_usable_id(message), kind=_kind(message, message))


def _usable_id(message: dict[str, Any]) -> RequestId | None:
    found = message.get("id")
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _check_envelope(message: dict[str, Any]) -> None:
    """The members of the envelope, after JSON-RPC 2.0 and MCP's stricter id (a string or an integer, never null)."""
    if message.get("jsonrpc") != "2.0":
        why = '"jsonrpc" must be "2.0"'
    elif "method" in message:
        why = _wrong_with_method(message)
    elif ("result" in message) == ("error" in message):
        why = 'a message needs "method", or one of "result" and "error"'
    elif "result" in message:
        why = _wrong_with_result(message)
    else:
        why = _wrong_with_error(message)
    if why:
        raise _refused(message, why)


def _wrong_with_method(message: dict[str, Any]) -> str:
    """What is wrong with a request or a notification; an empty text where nothing is."""
    if not isinstance(message["method"], str):
        return '"method" must be a string'
    if "id" in message and _usable_id(message) is None:
        return '"id" must be a string or an integer'
    return "" if isinstance(message.get("params", {}), dict) else '"params" must be an object'


def _wrong_with_result(message: dict[str, Any]) -> str:
    if _usable_id(message) is None:
        return '"id" must be a string or an integer'
    return "" if isinstance(message["result"], dict) else '"result" must be an object'


def _wrong_with_error(message: dict[str, Any]) -> str:
    if message.get("id") is not None and _usable_id(message) is None:
        return '"id" must be a string, an integer or null'
    error: Any = message["error"]
    if not isinstance(error, dict):
        return '"error" must be an object'
    found = cast("dict[str, Any]", error)
    is_sound = type(found.get("code")) is int and isinstance(found.get("message"), str)
    return "" if is_sound else '"error" needs an integer "code" and a string "message"'


def _check_duplicates(frame: bytes | bytearray, message: dict[str, Any]) -> None:
    """Refuse a second member of the envelope: two readers would take different ones (RFC 8259, section 4).

    To be sure takes our own reader, at 0.2 µs a byte. Of a frame so large that this would hold up all others, one that
    may hold a second member is refused: no sender in use writes its envelope so that this is not plain.
    """
    if not _may_hold_duplicates(frame) or (len(frame) <= LARGE and read_apart(frame) is not None):
        return
    if len(frame) > MAX_SUSPICIOUS:
        why = f"a message over {MAX_SUSPICIOUS} bytes must have plain members around one large one"
    elif has_doubled(frame):
        why = "a member of the message stands twice"
    else:
        return
    raise _refused(message, why)


def _may_hold_duplicates(frame: bytes | bytearray) -> bool:
    """Whether a name of the envelope stands twice in `frame`, at whatever depth, or might in other spelling."""
    for name in _ENVELOPE:
        if frame.count(name) > 1:
            return True
    return b"\\u00" in frame


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
    return dump_rpc(message)


def dump_rpc(message: JSONRPCMessage) -> bytes:
    """The same, whatever it holds. What has no params has no member of that name: JSON-RPC knows no null there."""
    no_params = {"params"} if getattr(message, "params", ...) is None else None
    return message.model_dump_json(by_alias=True, exclude_unset=True, exclude=no_params).encode()


def encode_error(error: FrameError) -> bytes:
    """The answer to a bad frame: a JSON-RPC error with the request's id, or null where it had none."""
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        body["data"] = error.data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (to_json(error.request_id), to_json(body))
