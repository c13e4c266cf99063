"""The `mcpc/*` requests of a client, and what their errors stand for."""

from typing import Any

from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, EmptyResult, Request, RequestParams, Result
from pydantic import ConfigDict

from mcpc.errors import ConnectionLost
from mcpc.wire.names import LISTEN_METHOD
from mcpc.wire.reasons import error_of
from mcpc.wire.standard import RESULT_TYPE

__all__ = ["FOR_EVER", "ask_server", "ask_to_listen", "typed"]

FOR_EVER = 10 * 365 * 24 * 3600.0
"""Seconds: a listen request has no answer until it ends, so the session's read timeout is not for it."""


CLOSED = "Connection closed"
"""What the SDK says of a request that its connection left behind."""


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _Answer(Result):
    model_config = ConfigDict(extra="allow")


async def ask_server(session: ClientSession, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """One `mcpc/*` request; the members of its result.

    Raises:
        MCPCError: the typed error that the server named; `ConnectionLost` where the connection went away.
        MCPError: any other error.
    """
    request: Any = Request[_Params, str](method=method, params=_Params.model_validate(params))
    try:
        answer = await session.send_request(request, _Answer)
    except MCPError as exc:
        raise typed(exc) from exc
    return {name: value for name, value in (answer.__pydantic_extra__ or {}).items() if name != RESULT_TYPE}


async def ask_to_listen(session: ClientSession, params: dict[str, Any]) -> None:
    """One `mcpc/listen` request, which has its answer when the server ends the stream.

    Raises:
        MCPError: the server refused, or the connection went away.
    """
    request: Any = Request[_Params, str](method=LISTEN_METHOD, params=_Params.model_validate(params))
    await session.send_request(request, EmptyResult, request_read_timeout_seconds=FOR_EVER)


def typed(exc: MCPError) -> Exception:
    """The error of ours that one of the SDK's stands for, or itself."""
    if exc.code == CONNECTION_CLOSED:
        _, reason, why = exc.message.partition(f"{CLOSED}: ")  # as `Life.explaining` has put it
        return ConnectionLost(f"the connection to the server went away{': ' if reason else ''}{why}")
    return error_of(exc.message, exc.error.data) or exc
