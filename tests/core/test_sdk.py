"""What `mcpc/sdk.py` reaches for is still there, and is what it is said to be."""

import contextvars
import logging
from typing import Any

import anyio
import mcp
import pytest
from mcp.client import ClientSession
from mcp.server import MCPServer, Server
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.dispatcher import Dispatcher
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import CallToolResult, Implementation, InitializeRequestParams, JSONRPCNotification, TextContent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mcpc import sdk

pytestmark = pytest.mark.anyio


async def nothing(request: Request) -> Response:
    return PlainTextResponse("")


def test_the_lowlevel_server_is_found_in_an_mcp_server_and_in_nothing_else() -> None:
    server = MCPServer("outside")
    inner = sdk.lowlevel_inside(server)
    assert isinstance(inner, Server)
    assert inner.name == "outside"
    assert sdk.lowlevel_inside(object()) is None


def test_the_lowlevel_server_is_found_in_a_fastmcp() -> None:
    fastmcp = pytest.importorskip("fastmcp")
    inner = sdk.lowlevel_inside(fastmcp.FastMCP("outside"))
    assert isinstance(inner, Server)
    assert inner.name == "outside"


def test_a_server_can_be_made_without_configuring_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    assert sdk.server_without_logging("outside").name == "outside"
    assert (root.handlers, root.level) == ([], level)


def test_the_parameters_of_a_tool_are_those_of_its_schema() -> None:
    server: MCPServer[Any] = MCPServer("outside")

    @server.tool()
    def add(left: int, right: int = 1) -> int:
        return left + right

    assert set(sdk.parameters_of_tool(server, "add")) == {"left", "right"}
    assert sdk.parameters_of_tool(server, "no such") == {}


def test_the_custom_routes_of_an_mcp_server_are_found() -> None:
    server = MCPServer("outside")
    server.custom_route("/health", ["GET"])(nothing)
    assert [route.path for route in sdk.custom_routes(server)] == ["/health"]
    assert list(sdk.custom_routes(object())) == []


def test_the_custom_routes_of_a_fastmcp_are_found() -> None:
    fastmcp = pytest.importorskip("fastmcp")
    server = fastmcp.FastMCP("outside")
    server.custom_route("/health", ["GET"])(nothing)
    assert [route.path for route in sdk.custom_routes(server)] == ["/health"]


async def test_a_middleware_reaches_the_connection_and_the_channel_of_its_request() -> None:
    server = MCPServer("outside")
    seen: list[tuple[object, object]] = []

    async def look(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list":
            seen.append((sdk.connection_of(ctx.session), sdk.request_channel(ctx.session)))
        return await call_next(ctx)

    inner = sdk.lowlevel_inside(server)
    assert inner is not None
    inner.middleware.append(look)
    async with mcp.Client(server, mode="legacy") as client:  # in the newer era each request is a connection
        await client.list_tools()
        await client.list_tools()
    (connection, channel), (same, _) = seen
    assert isinstance(connection, Connection)
    assert hasattr(connection, "state")
    assert hasattr(connection, "exit_stack")
    assert same is connection
    assert callable(getattr(channel, "notify", None))
    assert callable(getattr(channel, "send_raw_request", None))


async def test_requests_of_one_client_share_what_is_known_of_it() -> None:
    """Each has a connection of its own in the newer era, which would hold the same capabilities once more."""
    server = MCPServer("outside")
    seen: list[Connection] = []
    known: list[InitializeRequestParams] = []

    async def look(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list":
            before = sdk.connection_of(ctx.session).client_params
            sdk.share_what_is_known(ctx.session, known)
            seen.append(sdk.connection_of(ctx.session))
            assert seen[-1].client_params == before
        return await call_next(ctx)

    inner = sdk.lowlevel_inside(server)
    assert inner is not None
    inner.middleware.append(look)
    for name in ("one", "one", "another", "one"):
        async with mcp.Client(server, client_info=Implementation(name=name, version="1")) as client:
            await client.list_tools()
    one, same, another, again = (connection.client_params for connection in seen)
    assert one is not None
    assert one is same is again
    assert another is not None
    assert (one.client_info.name, another.client_info.name) == ("one", "another")
    assert all(connection.client_capabilities is not None for connection in seen)
    assert seen[0] is not seen[1]
    with anyio.fail_after(60):
        await seen[-1].initialized.wait()
    for number in range(20):
        async with mcp.Client(server, client_info=Implementation(name=f"{number}", version="1")) as client:
            await client.list_tools()
    assert len(known) == 8


async def test_a_handler_runs_in_the_context_that_its_stream_carries() -> None:
    """Else it would not know the connection that its request came over."""
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")
    context = contextvars.copy_context()
    context.run(mark.set, "the stream's")
    found: list[str] = []
    server = MCPServer("outside")

    @server.tool()
    def look() -> str:
        found.append(mark.get())
        return "looked"

    class Carrying:
        """A read stream with a context."""

        last_context = context

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            return await self._inner.__anext__()

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *raised: Any) -> None:
            await self._inner.aclose()

    assert sdk.sender_context(Carrying(None)) is context
    assert sdk.sender_context(object()) is None
    inner = sdk.lowlevel_inside(server)
    assert inner is not None
    to_server, server_reads = anyio.create_memory_object_stream[Any](8)
    to_client, client_reads = anyio.create_memory_object_stream[Any](8)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group, to_server, client_reads:
            carrying: Any = Carrying(server_reads)
            group.start_soon(inner.run, carrying, to_client, inner.create_initialization_options())
            async with ClientSession(client_reads, to_server) as session:
                await session.initialize()
                await session.call_tool("look", {})
            group.cancel_scope.cancel()
    assert found == ["the stream's"]


def test_the_headers_of_a_request_are_those_that_came_with_it() -> None:
    request = Request({"type": "http", "headers": [(b"mcp-name", b"one")]})
    assert dict(sdk.request_headers(request) or {}) == {"mcp-name": "one"}
    assert sdk.request_headers(None) is None


def test_the_scope_of_the_request_that_brought_a_message_is_found() -> None:
    request, message = Request({"type": "http", "headers": []}), JSONRPCNotification(jsonrpc="2.0", method="m")
    item = SessionMessage(message, ServerMessageMetadata(request_context=request))
    assert sdk.request_scope(sdk.request_of_item(item)) == {"type": "http", "headers": []}
    assert sdk.request_scope(sdk.request_of_item(SessionMessage(message))) == {}


def test_a_manager_tells_its_open_sessions() -> None:
    manager = StreamableHTTPSessionManager(Server("outside"))
    assert sdk.http_sessions(manager) == ()


async def test_a_client_that_was_left_can_be_entered_again_once_that_is_forgotten() -> None:
    client = mcp.Client(MCPServer("outside"))
    assert not sdk.has_session(client)
    async with client:
        assert sdk.has_session(client)
    assert not sdk.has_session(client)
    with pytest.raises(RuntimeError):
        await client.__aenter__()
    sdk.forget_entry(client)
    async with client:
        await client.list_tools()


async def test_a_clients_requests_pass_a_dispatcher_around_its_own() -> None:
    asked: list[str] = []

    class Noting:
        def __init__(self, inner: Dispatcher[Any]) -> None:
            self.run, self.notify, self._ask = inner.run, inner.notify, inner.send_raw_request

        async def send_raw_request(self, method: str, params: Any, opts: Any = None) -> dict[str, Any]:
            asked.append(method)
            return await self._ask(method, params, opts)

    client = mcp.Client(MCPServer("outside"))
    sdk.dispatch_through(client, Noting)
    async with client:
        await client.list_tools()
    assert asked[-1] == "tools/list"


async def test_what_a_handler_leaves_to_its_connections_end_is_seen() -> None:
    connection = Connection.from_envelope("2026-07-28", None, None)
    assert not sdk.has_cleanup(connection)
    connection.exit_stack.callback(print)
    assert sdk.has_cleanup(connection)


async def test_a_result_passes_the_check_against_the_output_schema_where_it_is_let() -> None:
    server = MCPServer("outside")

    @server.tool()
    def count() -> int:
        return 1

    async def answer(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/call":
            assert isinstance(result, dict)
            result["structuredContent"] = {"this is": "no count"}
        return result

    inner = sdk.lowlevel_inside(server)
    assert inner is not None
    inner.middleware.append(answer)
    passing: list[bool] = []
    async with mcp.Client(server) as client:
        with pytest.raises(RuntimeError, match="structured content"):
            await client.call_tool("count", {})
        sdk.pass_validation(client.session, lambda result: bool(passing))
        with pytest.raises(RuntimeError, match="structured content"):
            await client.call_tool("count", {})
        passing.append(True)
        sdk.pass_validation(client.session, lambda result: pytest.fail("the first word stands"))
        result = await client.call_tool("count", {})
    assert isinstance(result, CallToolResult)
    assert isinstance(result.content[0], TextContent)
