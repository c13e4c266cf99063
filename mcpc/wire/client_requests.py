"""Requests of the standard that a server makes of the client's program: for its model (sampling), for its roots.

As a question of a task one is answered by a response: `{"result": …}`, or `{"error": {"code", "message", "data"?}}`.
Knows no session and no task.
"""

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    ClientCapabilities,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    ErrorData,
    ListRootsResult,
    RootsCapability,
    SamplingCapability,
)
from pydantic import BaseModel, ValidationError

from mcpc.errors import PromptError
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import ERROR, METHOD, PARAMS, RESULT, method_of
from mcpc.wire.standard import ROOTS_METHOD, SAMPLING_METHOD

__all__ = [
    "NEEDED",
    "check_response",
    "error_response",
    "response_value",
    "result_response",
    "request_from",
    "roots_request",
    "sampling_options",
    "sampling_request",
]

NEEDED = {
    SAMPLING_METHOD: ClientCapabilities(sampling=SamplingCapability()),
    ROOTS_METHOD: ClientCapabilities(roots=RootsCapability()),
}
"""What a client has declared that answers a request, by the request's method."""

_OPTIONS = frozenset(CreateMessageRequestParams.model_fields) - {"messages", "meta", "task"}
"""What is asked with the messages."""

_RESULTS: dict[str, tuple[type[BaseModel], ...]] = {
    SAMPLING_METHOD: (CreateMessageResult, CreateMessageResultWithTools),
    ROOTS_METHOD: (ListRootsResult,),
}


def sampling_request(messages: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The request that asks the client's model.

    Raises:
        ValidationError: an option has no such value.
    """
    return request_from(CreateMessageRequestParams(messages=messages, **options))


def request_from(params: CreateMessageRequestParams) -> dict[str, Any]:
    """The request that asks the client's model, of its params."""
    return {METHOD: SAMPLING_METHOD, PARAMS: params.model_dump(by_alias=True, mode="json", exclude_none=True)}


def sampling_options(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The messages of a request that asks the client's model, and its options by the names that the SDK gives them.

    Raises:
        ValidationError: it is no such request.
    """
    params = CreateMessageRequestParams.model_validate(request.get(PARAMS))
    options = {name: getattr(params, name) for name in params.model_fields_set if name in _OPTIONS}
    return params.messages, options


def roots_request() -> dict[str, Any]:
    """The request that asks for the client's roots."""
    return {METHOD: ROOTS_METHOD}


def result_response(result: BaseModel) -> dict[str, Any]:
    """The response that answers a request."""
    return {RESULT: result.model_dump(by_alias=True, mode="json", exclude_none=True)}


def error_response(error: ErrorData) -> dict[str, Any]:
    """The response that refuses a request."""
    return {ERROR: error.model_dump(by_alias=True, mode="json", exclude_none=True)}


def check_response(request: dict[str, Any], response: Any) -> None:
    """See that a response is one to that request.

    Raises:
        PromptError: it is none.
    """
    try:
        response_value(request, response)
    except MCPError:
        return
    except ValueError as exc:
        raise PromptError(f"the answer is no response to {method_of(request)}") from exc


def response_value(request: dict[str, Any], response: Any) -> Any:
    """The result that a response carries, as one of the SDK's.

    Raises:
        MCPError: it carries an error.
        ValueError: it is no response to that request.
    """
    members = as_object(response)
    if ERROR in members:
        raise MCPError.from_error_data(ErrorData.model_validate(members[ERROR]))
    problem: Exception = ValueError("there is no such request")
    for kind in _RESULTS.get(str(method_of(request)), ()):
        try:
            return kind.model_validate(members.get(RESULT))
        except ValidationError as exc:
            problem = exc
    raise problem
