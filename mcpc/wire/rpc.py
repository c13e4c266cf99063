"""The JSON-RPC envelope: frames <-> values, and everything that our edge refuses.

A frame is one JSON-RPC message as bytes. The SDK would let some bad ones through (a
request whose id is 1.5 becomes a notification and its sender hangs; 1e999 becomes
null; of two equal members the last wins), so they are refused here.
"""

import json
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
from pydantic_core import from_json, to_json

from mcpc.errors import FrameError
from mcpc.wire.jsontext import has_infinity
from mcpc.wire.names import MESSAGES_METHOD

__all__ = ["decode_frame", "encode_error", "encode_rpc", "rpc_message"]

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
    if b"Infinity" in to_json(message, inf_nan_mode="constants") and has_infinity(message):
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
