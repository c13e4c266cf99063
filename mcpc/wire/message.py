"""One decoded JSON-RPC message: its members read, and messages made of their members.

What is read here has passed `rpc.decode_frame`, or comes from the SDK: the envelope is sound. Knows nothing of bytes.
"""

from collections.abc import Mapping
from typing import Any

from mcp_types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from mcpc.wire.jsontext import as_object

__all__ = [
    "ERROR",
    "ID",
    "META",
    "METHOD",
    "PARAMS",
    "RESULT",
    "Message",
    "answer_message",
    "error_message",
    "from_sdk",
    "id_of",
    "is_answer",
    "is_error",
    "is_request",
    "meta_of",
    "method_of",
    "notification_message",
    "params_meta",
    "params_of",
    "refused_message",
    "request_message",
    "with_meta",
]

ID = "id"
METHOD = "method"
PARAMS = "params"
RESULT = "result"
ERROR = "error"
META = "_meta"

Message = dict[str, Any]
"""A decoded JSON-RPC message whose envelope is sound."""


# --- reading ----------------------------------------------------------------------------------------------------


def method_of(message: Mapping[str, Any]) -> str | None:
    """The method of a request or a notification; None for an answer."""
    return message.get(METHOD)


def id_of(message: Mapping[str, Any]) -> Any:
    """The id of a message; None where it has none, as an error that answers nothing may."""
    return message.get(ID)


def params_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a message; empty where there are none."""
    return as_object(message.get(PARAMS))


def meta_of(holder: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `_meta` of params or of a result; empty where there is none."""
    return {} if holder is None else as_object(holder.get(META))


def params_meta(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `_meta` of a message's params; empty where there is none."""
    return meta_of(params_of(message))


def is_request(message: Mapping[str, Any]) -> bool:
    """Whether an answer is due."""
    return METHOD in message and ID in message


def is_error(value: Any) -> bool:
    """Whether a decoded value, whatever it is, is an answer that says what went wrong."""
    return "jsonrpc" in as_object(value) and ERROR in value


def is_answer(message: Mapping[str, Any]) -> bool:
    """Whether it answers a request: with a result, or an error."""
    return METHOD not in message


# --- writing ----------------------------------------------------------------------------------------------------


def notification_message(method: str, params: Mapping[str, Any] | None = None) -> Message:
    """A notification."""
    message: Message = {"jsonrpc": "2.0", METHOD: method}
    if params is not None:
        message[PARAMS] = dict(params)
    return message


def request_message(request_id: Any, method: str, params: Mapping[str, Any] | None = None) -> Message:
    """A request."""
    return {**notification_message(method, params), ID: request_id}


def answer_message(request_id: Any, result: Mapping[str, Any]) -> Message:
    """An answer."""
    return {"jsonrpc": "2.0", ID: request_id, RESULT: result}


def error_message(request_id: Any, code: int, text: str) -> Message:
    """An answer that says what went wrong. The id is None where it is not known whose it is."""
    return {"jsonrpc": "2.0", ID: request_id, ERROR: {"code": code, "message": text}}


def refused_message(request_id: Any, error: ErrorData) -> Message:
    """The same of an error of the SDK's."""
    return {"jsonrpc": "2.0", ID: request_id, ERROR: error.model_dump(exclude_none=True)}


def with_meta(holder: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Params or a result with one more member in their `_meta`."""
    return {**holder, META: {**meta_of(holder), key: value}}


def from_sdk(message: JSONRPCMessage) -> Message:
    """One of the SDK's messages as it was on the wire, nothing validated and nothing left out that it still holds."""
    unknown = message.model_extra
    return {**_named(message), **unknown} if unknown else _named(message)


def _named(message: JSONRPCMessage) -> Message:
    match message:
        case JSONRPCRequest():
            return request_message(message.id, message.method, message.params)
        case JSONRPCNotification():
            return notification_message(message.method, message.params)
        case JSONRPCResponse():
            return answer_message(message.id, message.result)
        case JSONRPCError():
            return {"jsonrpc": "2.0", ID: message.id, ERROR: message.error.model_dump(exclude_unset=True)}
