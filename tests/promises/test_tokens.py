"""What an access token opened ends with it; its tasks go on, for whoever comes back as the same principal. And who
called, and with which headers, is there over WebSocket as it is over HTTP."""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.clock import Clock
from mcpc.errors import ChannelClosed
from mcpc.transport import FrameChannel, Peer
from mcpc_transports.tokens import is_expired, lifetime
from mcpc_transports.websocket.expiry import ending_with_token
from mcpc_transports.websocket.mounted import mounted

pytestmark = pytest.mark.anyio

NEVER = 1 << 33

ADDRESSES = {"ws": "ws://127.0.0.1:0/mcp", "http": "http://127.0.0.1:0/mcp", "sse": "sse+http://127.0.0.1:0/sse"}


class Tokens:
    """Issues tokens of one principal, which last as long as is said, and knows them."""

    def __init__(self) -> None:
        self.issued: dict[str, int] = {}

    def issue(self, expires_at: int = NEVER) -> str:
        token = f"t{len(self.issued)}"
        self.issued[token] = expires_at
        return token

    async def verify_token(self, token: str) -> AccessToken | None:
        if token not in self.issued:
            return None
        return AccessToken(token=token, client_id="ann", scopes=["all"], expires_at=self.issued[token], subject="42")


def make_server() -> MCPServer[Any]:
    server = MCPServer[Any]("tokens", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def hold(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        await task.update("holding")
        async for said in task.inputs():
            return said
        return None

    def caller(ctx: Context[Any, Any]) -> dict[str, Any]:
        access, headers = get_access_token(), ctx.headers or {}
        return {"client": access and access.client_id, "x-team": headers.get("X-Team"), "host": "host" in headers}

    @callbacks.tool()
    async def who_works(ctx: Context[Any, Any], task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        await task.update("soon")
        return caller(ctx)

    @server.tool()
    async def who_calls(ctx: Context[Any, Any]) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return caller(ctx)

    return server


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if anyio_backend_name == "trio" and request.param != "ws":
        pytest.skip("uvicorn serves on asyncio")
    return ADDRESSES[request.param]


# --- who calls ----------------------------------------------------------------------------------------------------


async def test_a_tool_and_a_background_worker_see_who_calls_and_the_headers(address: str) -> None:
    tokens = Tokens()
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), address, token_verifier=tokens) as listener:
            options: dict[str, Any] = {"token": tokens.issue(), "headers": {"X-Team": "blue"}}
            async with mcpc.Client(listener.uri, **options) as client:
                known = {"client": "ann", "x-team": "blue", "host": True}
                assert (await client.call_tool("who_calls", {})).structured_content == known
                assert await (await client.start_task("who_works")).result() == known


async def test_without_a_verifier_nobody_is_known_and_the_headers_are_there(address: str) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), address) as listener:
            async with mcpc.Client(listener.uri, headers={"X-Team": "red"}) as client:
                known = {"client": None, "x-team": "red", "host": True}
                assert (await client.call_tool("who_calls", {})).structured_content == known


# --- how long -----------------------------------------------------------------------------------------------------


def test_a_token_lasts_until_its_end_by_the_clock_that_is_handed_in() -> None:
    clock = Clock(wall=lambda: 1000.0, steady=lambda: 0.0)
    access = AccessToken(token="t", client_id="ann", scopes=[], expires_at=1030)
    assert lifetime(access, clock) == 30
    assert not is_expired(access, clock)
    late = Clock(wall=lambda: 1031.0, steady=lambda: 0.0)
    assert lifetime(access, late) == 0
    assert is_expired(access, late)
    assert lifetime(None) == lifetime(access.model_copy(update={"expires_at": None})) == float("inf")


class Closed:
    """A connection that notes how it was closed."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.closed = anyio.Event()

    async def close(self, code: int, reason: str) -> None:
        self.told.append((code, reason))
        self.closed.set()


async def test_a_connection_is_closed_once_its_token_has_expired_and_not_before() -> None:
    access = AccessToken(token="t", client_id="ann", scopes=[], expires_at=1000)
    early, late = Closed(), Closed()
    with anyio.fail_after(60):
        async with ending_with_token(early, access, Clock(wall=lambda: 0.0, steady=time.monotonic)):
            async with ending_with_token(late, access, Clock(wall=lambda: 1001.0, steady=time.monotonic)):
                await late.closed.wait()
    assert late.told == [(1008, "the access token has expired")]
    assert early.told == []


LIVES = (2, 8, 30, 120)
"""Seconds that a token lasts, a little less in truth; the next one, where a machine was too busy to use it in time."""


def soon(life: int) -> int:
    """A moment, in whole seconds, that comes within so many."""
    return int(time.time()) + life


@asynccontextmanager
async def holding(address: str, tokens: Tokens, token: Callable[[int], Any]) -> AsyncGenerator[tuple[Any, list[str]]]:
    """A running task and the states of its client, over a connection whose token is about to expire.

    Args:
        address: Where it is served.
        tokens: Knows the tokens.
        token: Gives what the client is given, for a token that lasts so many seconds.
    """
    async with mcpc.listen(make_server(), address, token_verifier=tokens) as listener, AsyncExitStack() as stack:
        for life in LIVES:
            states: list[str] = []
            task = await held(stack, listener.uri, token(life), states)
            if task is not None:
                yield task, states
                return
    raise AssertionError("no token lasted until a task was held")


async def held(stack: AsyncExitStack, uri: str, token: Any, states: list[str]) -> mcpc.TaskHandle | None:
    """A running task, whose client the stack closes; None where the token has expired before."""
    backoff = mcpc.Backoff(first=0.01, maximum=0.1)
    async with AsyncExitStack() as opened:
        try:
            client = mcpc.Client(uri, on_connection=states.append, reconnect=backoff, token=token)
            await opened.enter_async_context(client)
            task = await client.start_task("hold")
            async for message in task:
                if message.result == "holding":
                    stack.push_async_exit(opened.pop_all())
                    return task
        except (mcpc.MCPCError, MCPError):
            return None
    raise AssertionError("the task has ended")


async def test_who_has_another_token_comes_back_and_nothing_is_lost(address: str) -> None:
    tokens, renewed = Tokens(), anyio.Event()

    async def token() -> str:
        """The newest token; another one where it has expired."""
        newest = next(reversed(tokens.issued), None)
        if newest is None:
            return tokens.issue(soon(LIVES[0]))
        if tokens.issued[newest] >= time.time():
            return newest
        renewed.set()
        return tokens.issue()

    with anyio.fail_after(250):
        async with holding(address, tokens, lambda _: token) as (task, _):
            await renewed.wait()
            while not task.ended:
                try:
                    await task.send("kept")
                    break
                except mcpc.ConnectionLost:
                    await anyio.sleep(0.05)  # it is being dialled
            assert await task.result() == "kept"
    assert len(tokens.issued) == 2


async def test_who_has_none_is_refused_and_the_handle_says_so(address: str) -> None:
    tokens = Tokens()
    with anyio.fail_after(250):
        async with holding(address, tokens, lambda life: tokens.issue(soon(life))) as (task, states):
            with pytest.raises(mcpc.ConnectRefused, match="401"):
                await task.result()
    assert "lost" in states


async def test_an_event_stream_ends_with_its_token(anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("uvicorn serves on asyncio")
    tokens, lines = Tokens(), list[str]()
    with anyio.fail_after(250):
        async with mcpc.listen(make_server(), ADDRESSES["sse"], token_verifier=tokens) as listener:
            for life in LIVES:
                headers = {"Authorization": f"Bearer {tokens.issue(soon(life))}"}
                async with httpx2.AsyncClient(headers=headers, timeout=None) as http:
                    async with http.stream("GET", listener.uri.removeprefix("sse+")) as response:
                        lines = [line async for line in response.aiter_lines()]
                if "event: endpoint" in lines:
                    break
                assert response.status_code == 401
    assert "event: endpoint" in lines


# --- in somebody else's web server --------------------------------------------------------------------------------


class Waits:
    """An endpoint that waits for a message until its channel is closed."""

    server: Any = None

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        with contextlib.suppress(ChannelClosed):
            await channel.receive()

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        raise AssertionError("a WebSocket is a channel")


async def test_a_mounted_connection_ends_with_its_token_too() -> None:
    told = list[Any]()
    for life in LIVES:
        told = await _mounted_for(life)
        if told[0]["type"] == "websocket.accept":
            break
    assert [message["type"] for message in told] == ["websocket.accept", "websocket.close"]
    assert told[-1]["code"] == 1008


async def test_a_mounted_connection_is_not_opened_by_an_expired_token() -> None:
    told = await _mounted_for(-5)
    assert [message["type"] for message in told] == ["websocket.close"]
    assert told[-1]["code"] == 1008


async def _mounted_for(life: int) -> list[Any]:
    """What a client is told whose token ends in so many seconds."""
    tokens, sent = Tokens(), list[Any]()
    token = tokens.issue(soon(life))
    app = mounted(Waits(), "/mcp", tokens, None, None, 1000).apps["/mcp"]
    told = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        return next(told, None) or await anyio.sleep_forever()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"any"), (b"authorization", f"Bearer {token}".encode())]
    with anyio.fail_after(250):
        await app({"type": "websocket", "path": "/mcp", "headers": headers}, receive, send)
    return sent
