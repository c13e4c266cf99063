"""Every private thing of the MCP SDK, and of FastMCP, that we touch: each in one place, with the reason.

A release of theirs may rename any of them without a word. `tests/core/test_sdk.py` has a test for each that it is still
there and does what is said here, and `tests/house` sees that no other file reaches for one. FastMCP is never imported.
"""

import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import anyio
import mcp
from mcp.client import ClientSession
from mcp.client.client import ConnectMode
from mcp.server import MCPServer, Server
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.dispatcher import Dispatcher, Outbound
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, InitializeRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.latch import Latch
from mcpc.logs import logger_of

__all__ = [
    "connection_of",
    "custom_routes",
    "dispatch_through",
    "forget_entry",
    "has_cleanup",
    "has_session",
    "http_sessions",
    "let_sessions_end_alone",
    "lowlevel_inside",
    "parameters_of_tool",
    "pass_validation",
    "request_channel",
    "request_headers",
    "request_of_item",
    "request_scope",
    "runs_in_loop",
    "sender_context",
    "server_without_logging",
    "share_what_is_known",
]

logger: logging.Logger = logger_of(__name__)

# --- servers ----------------------------------------------------------------------------------------------------


def lowlevel_inside(server: Any) -> Server[Any] | None:
    """The lowlevel server inside an `MCPServer` (`_lowlevel_server`) or a FastMCP (`_mcp_server`); None in others.

    Neither shows it, and middleware, handlers and extensions can be added to it only.
    """
    inner = getattr(server, "_lowlevel_server", None) or getattr(server, "_mcp_server", None)
    return cast("Server[Any]", inner) if isinstance(inner, Server) else None


def server_without_logging(name: str, subscriptions: SubscriptionBus | None = None) -> MCPServer[Any]:
    """An `MCPServer` whose making leaves logging alone.

    Its constructor configures the root logger (`logging.basicConfig`), as is good for a program that is this server and
    nothing else. Where the root has a handler already, that does nothing.
    """
    root, placeholder = logging.root, logging.NullHandler()
    root.addHandler(placeholder)
    try:
        return MCPServer(name, log_level="WARNING", subscriptions=subscriptions)
    finally:
        root.removeHandler(placeholder)


def parameters_of_tool(server: MCPServer[Any], name: str) -> dict[str, Any]:
    """The parameters of a tool, as its schema has them; none for an unknown one (`MCPServer._tool_manager`).

    `list_tools` is async and describes all of them anew; this is asked at each call in the form of mcpc 0.2.
    """
    tool = server._tool_manager.get_tool(name)  # pyright: ignore[reportPrivateUsage]
    return {} if tool is None else tool.parameters.get("properties", {})


def runs_in_loop(server: MCPServer[Any], name: str) -> bool:
    """Whether a tool is async, and has no resolvers, which may be sync (`MCPServer._tool_manager`).

    A sync function is called in a thread of anyio's. The lists that a server shows do not tell of what kind a tool is.
    """
    tool = server._tool_manager.get_tool(name)  # pyright: ignore[reportPrivateUsage]
    return tool is not None and tool.is_async and not tool.resolved_params


def custom_routes(server: Any) -> Sequence[Any]:
    """The routes that were added with `custom_route`, Starlette's.

    An `MCPServer` (`_custom_starlette_routes`) and a FastMCP (`_get_additional_http_routes`) show them only as part of
    an application of their own, and ours serves them.
    """
    fastmcp_routes: Any = getattr(server, "_get_additional_http_routes", None)
    routes: Any = fastmcp_routes() if fastmcp_routes is not None else getattr(server, "_custom_starlette_routes", ())
    return routes


# --- requests ---------------------------------------------------------------------------------------------------


def connection_of(session: ServerSession) -> Connection:
    """The connection that a request came over (`ServerSession._connection`).

    A middleware is given no other way to what outlives a request: its state, its end.
    """
    return session._connection  # pyright: ignore[reportPrivateUsage]


def share_what_is_known(session: ServerSession, known: list[InitializeRequestParams]) -> None:
    """Let the connection of a request share what is known of its client (`ServerSession._connection`).

    Since 2026-07-28 each request has a connection of its own, which reads the client's name and capabilities anew:
    4 KiB that a background tool's call would hold for as long as its task runs.

    Args:
        session: The session of the request.
        known: The clients that were seen, the last one first; changed.
    """
    connection = session._connection  # pyright: ignore[reportPrivateUsage]
    client = connection.client_params
    if client is None or connection.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return
    same = next((one for one in known if one == client), client)
    if same is client:
        known.insert(0, client)
        del known[MAX_KNOWN:]
    connection.client_params = same
    if connection.initialized.is_set():
        connection.initialized = cast("anyio.Event", _ready)


MAX_KNOWN = 8
"""Clients that are told from each other by name and capabilities; most servers see one or two."""
_ready = Latch()
_ready.set()


def has_cleanup(connection: Connection) -> bool:
    """Whether a handler has left something to be done when its connection ends (`AsyncExitStack._exit_callbacks`).

    Since 2026-07-28 each request has a connection of its own, and next to none leaves anything. To close it in the
    SDK's way, under a scope with a deadline, is a twelfth of what a call costs in memory.
    """
    return bool(getattr(connection.exit_stack, "_exit_callbacks", True))


def request_channel(session: ServerSession) -> Outbound:
    """Where messages that belong to a request are sent (`ServerSession._request_outbound`).

    The typed senders of a session validate what they send; this takes it as it is, as a bridge must.
    """
    return session._request_outbound  # pyright: ignore[reportPrivateUsage]


def request_headers(request: Any) -> Mapping[str, str] | None:
    """The headers of the HTTP request that a message came with (`ServerRequestContext.request`); None without HTTP.

    The SDK types it as anything: it is Starlette's `Request` where the SDK's own HTTP transports made it.
    """
    return getattr(request, "headers", None)


def request_scope(request: Any) -> Mapping[str, Any]:
    """The scope of the HTTP request that a message came with (`ServerRequestContext.request`); empty without HTTP."""
    scope: Mapping[str, Any] | None = getattr(request, "scope", None)
    return {} if scope is None else scope


def request_of_item(item: SessionMessage) -> Any:
    """The same request for a message from a read stream (`ServerMessageMetadata.request_context`)."""
    return getattr(item.metadata, "request_context", None)


def sender_context(stream: Any) -> contextvars.Context | None:
    """The context in which a message's handler is to run, which a read stream carries as `last_context`.

    The SDK looks for an attribute of that name on whatever stream it reads from; it is in no protocol.
    """
    return getattr(stream, "last_context", None)


def http_sessions(manager: StreamableHTTPSessionManager) -> tuple[StreamableHTTPServerTransport, ...]:
    """The sessions that are open (`StreamableHTTPSessionManager._server_instances`).

    The manager's own end cancels them; they are to end as by their clients.
    """
    return tuple(manager._server_instances.values())  # pyright: ignore[reportPrivateUsage]


class _EndAlone:
    """A manager's task group, as far as the manager uses it."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    async def start(self, serve: Callable[..., Awaitable[None]]) -> Any:
        async def alone(*, task_status: Any) -> None:
            try:
                await serve(task_status=task_status)
            except BaseExceptionGroup as exc:
                if exc.split((Exception, GeneratorExit))[1] is not None:
                    raise
                logger.exception("a session ended with an error")

        return await self._tasks.start(alone)


def let_sessions_end_alone(manager: StreamableHTTPSessionManager) -> None:
    """Let what ends a session of a manager that runs end no other (`StreamableHTTPSessionManager._task_group`).

    The manager takes nothing but an `Exception`. A `GeneratorExit` that a handler's thread raised closes all of the
    session's coroutines on asyncio, and leaves its task group in a group of errors.
    """
    manager._task_group = cast("Any", _EndAlone(manager._task_group))  # pyright: ignore[reportPrivateUsage]


# --- clients ----------------------------------------------------------------------------------------------------


def forget_entry(client: mcp.Client) -> None:
    """Let a client that was left be entered again, over a new connection (`Client._entered`).

    The SDK's own lives for one connection; ours is one object over many.
    """
    client._entered = False  # pyright: ignore[reportPrivateUsage]


def dispatch_through(client: mcp.Client, wrap: Callable[[Dispatcher[Any]], Dispatcher[Any]]) -> None:
    """Let a client's requests pass another dispatcher, made around the one of its streams (`Client._connect`).

    A client takes a transport, or a server, and makes the dispatcher itself.
    """
    connect = client._connect  # pyright: ignore[reportPrivateUsage]

    async def wrapped(stack: AsyncExitStack, mode: ConnectMode, raise_exceptions: bool) -> Dispatcher[Any]:
        return wrap(await connect(stack, mode, raise_exceptions))

    client._connect = wrapped  # pyright: ignore[reportPrivateUsage]


def has_session(client: mcp.Client) -> bool:
    """Whether a client has a connection at this moment (`Client._session`); the property `session` raises instead."""
    return client._session is not None  # pyright: ignore[reportPrivateUsage]


def pass_validation(session: ClientSession, passes: Callable[[CallToolResult], bool]) -> None:
    """Let some tool results pass without the check against the tool's output schema (`validate_tool_result`).

    The method is public, but replaced on the object: a client makes its session itself and takes no other class.

    Args:
        session: The session.
        passes: Which results are not checked. (Before its first check a session asks for the list of tools; that goes
            too.)
    """
    check: Any = session.validate_tool_result
    if getattr(check, "is_ours", False):
        return

    async def check_others(name: str, result: CallToolResult) -> None:
        if not passes(result):
            await check(name, result)

    check_others.is_ours = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    session.validate_tool_result = check_others
