"""What one client may take: its share of what is bounded for all, and no more, with an error that says which limit."""

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp
import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

import mcpc
from support import ASYNCIO_ONLY, serving

pytestmark = pytest.mark.anyio

SCHEMES = ("memory", "unix", "tcp", "ws", "sse+http")


class Held:
    """A server whose tools wait until they are let go, plain ones and background ones."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("held", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.go = anyio.Event()
        self.stopped = anyio.Event()
        self.taken = anyio.Event()
        """Set when a background tool has taken an input."""
        self.came = 0
        self.ended: list[Any] = []
        self._one_came = anyio.Event()

        @self.server.tool()
        async def hold(text: str = "") -> int:  # pyright: ignore[reportUnusedFunction]
            self.came += 1
            self._one_came.set()
            await self.go.wait()
            return len(text)

        @self.server.tool()
        def quick() -> str:  # pyright: ignore[reportUnusedFunction]
            return "quick"

        @self.callbacks.tool()
        async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            async for _ in task.inputs():
                self.taken.set()
                await self.go.wait()
            self.stopped.set()
            return "done"

        @self.callbacks.tool()
        async def two_readers(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
            seen: list[Any] = []

            async def read() -> None:
                async for value in task.inputs():
                    seen.append(value)
                seen.append("end")

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
            self.ended = seen
            return seen

    async def arrived(self, count: int) -> None:
        """Wait until so many calls have come."""
        while self.came < count:
            self._one_came = anyio.Event()
            await self._one_came.wait()


def only_where_it_listens(scheme: str, backend: str) -> None:
    if scheme in ASYNCIO_ONLY and backend != "asyncio":
        pytest.skip("HTTP listeners need asyncio")


async def fill(client: mcpc.Client, tool: str = "wait") -> tuple[list[mcpc.TaskHandle], mcpc.TooManyTasks]:
    """Start tasks until one is refused."""
    started: list[mcpc.TaskHandle] = []
    while True:
        task = await client.start_task(tool)
        if task.ended:
            with pytest.raises(mcpc.TooManyTasks) as refused:
                await task.result()
            return started, refused.value
        started.append(task)


async def test_a_greedy_client_leaves_room_for_another_and_is_told_which_limit_it_met() -> None:
    held = Held(max_tasks=20)
    with anyio.fail_after(60):
        async with mcpc.Client(held.server) as greedy, mcpc.Client(held.server) as other:
            started, refused = await fill(greedy)
            assert len(started) == 18
            assert (refused.limit, refused.value) == ("client_share", 0.9)
            assert "20 tasks are running" in str(refused)
            assert "MCPCHelper(server, client_share=" in str(refused)
            assert not (await other.start_task("wait")).ended
            await started[0].stop()
            with pytest.raises(mcpc.TaskStopped):
                await started[0].result()
            assert not (await other.start_task("wait")).ended


async def test_tasks_of_a_client_are_bounded_at_the_limit_and_not_one_before() -> None:
    held = Held(max_tasks_per_client=3)
    with anyio.fail_after(60):
        async with mcpc.Client(held.server) as one, mcpc.Client(held.server) as other:
            started, refused = await fill(one)
            assert len(started) == 3
            assert (refused.limit, refused.value) == ("max_tasks_per_client", 3)
            assert len((await fill(other))[0]) == 3
            await started[0].stop()
            with pytest.raises(mcpc.TaskStopped):
                await started[0].result()
            assert len((await fill(one))[0]) == 1


async def test_made_up_channels_of_one_connection_leave_some_for_others() -> None:
    held = Held(max_channels=40)
    with anyio.fail_after(60):
        async with mcpc.Client(held.server) as greedy, mcpc.Client(held.server) as other:
            refused: MCPError | None = None
            opened = 0
            while refused is None:
                meta: Any = {"mcpc/channel": f"made-up-channel-{opened}", "mcpc/sessionId": "s"}
                try:
                    assert not (await greedy.call_tool("wait", meta=meta)).is_error
                    opened += 1
                except MCPError as exc:
                    refused = exc
            assert opened < 38
            assert refused.error.data == {"reason": "limit", "limit": "client_share", "value": 0.9}
            assert not (await other.start_task("wait")).ended


@asynccontextmanager
async def plain_client(scheme: str, held: Held, tmp_path: Path) -> AsyncGenerator[mcp.Client]:
    async with serving(scheme, tmp_path, held.server) as served:
        async with mcp.Client(mcpc.connect(served.uri, **served.options)) as client:
            yield client


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_open_requests_of_a_connection_are_bounded_and_the_next_works_when_one_is_answered(
    scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    only_where_it_listens(scheme, anyio_backend_name)
    held = Held(max_requests=3)
    with anyio.fail_after(60):
        async with plain_client(scheme, held, tmp_path) as client, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.call_tool, "hold")
            await held.arrived(3)
            with pytest.raises(MCPError, match="max_requests") as refused:
                await client.call_tool("quick")
            assert refused.value.error.data == {"reason": "limit", "limit": "max_requests", "value": 3}
            held.go.set()
        assert held.came == 3


async def test_bytes_of_open_requests_are_bounded_and_a_cancelled_one_counts_no_more(tmp_path: Path) -> None:
    held = Held(max_request_bytes=100_000)
    with anyio.fail_after(60):
        async with plain_client("tcp", held, tmp_path) as client, anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "hold", {"text": "x" * 90_000})
            await held.arrived(1)
            with pytest.raises(MCPError, match="max_request_bytes"):
                await client.call_tool("hold", {"text": "x" * 20_000})
            group.cancel_scope.cancel()  # the call is cancelled, and the server is told
        assert held.came == 1


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_second_request_of_a_live_id_is_refused_and_the_first_is_answered(
    scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    only_where_it_listens(scheme, anyio_backend_name)
    held = Held()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            served = await stack.enter_async_context(serving(scheme, tmp_path, held.server))
            streams = await stack.enter_async_context(mcpc.connect(served.uri, **served.options))
            read, write = streams[0], streams[1]

            async def send(request_id: int, method: str, params: dict[str, Any]) -> None:
                message = JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=params)
                await write.send(SessionMessage(message))

            async def answer() -> Any:
                while True:
                    item: Any = await read.receive()
                    if not hasattr(item.message, "method"):
                        return item.message

            client_info = {"name": "c", "version": "1"}
            await send(
                1, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info}
            )
            assert (await answer()).id == 1
            initialized = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
            await write.send(SessionMessage(initialized))
            await send(7, "tools/call", {"name": "hold", "arguments": {"text": "first"}})
            await held.arrived(1)
            await send(7, "tools/call", {"name": "hold", "arguments": {"text": "the second"}})
            refused = await answer()
            assert refused.id == 7
            assert "of this id" in refused.error.message
            held.go.set()
            first = await answer()
            assert isinstance(first, JSONRPCResponse)
            assert first.id == 7
            assert first.result["structuredContent"] == {"result": len("first")}
            await send(7, "tools/call", {"name": "quick", "arguments": {}})  # answered: the id is free again
            assert (await answer()).result["structuredContent"] == {"result": "quick"}
        assert held.came == 1


async def test_inputs_are_bounded_in_bytes_and_two_readers_of_them_both_end() -> None:
    held = Held(max_input_bytes=1000)
    with anyio.fail_after(60):
        async with mcpc.Client(held.server) as client:
            task = await client.start_task("wait")
            await task.send("taken at once, and then nothing is until it may go")
            await held.taken.wait()
            await task.send("x" * 898)
            await task.send("y" * 98)  # 900 + 100 bytes with the quotes
            with pytest.raises(mcpc.InputRefused, match="max_input_bytes") as refused:
                await task.send("z")
            assert (refused.value.limit, refused.value.value) == ("max_input_bytes", 1000)
            held.go.set()
            await task.stop()

            both = await client.start_task("two_readers")
            await both.send(1)
            await both.send(2)
            await both.stop()
            with pytest.raises(mcpc.TaskStopped):
                await both.result()
            assert sorted(map(str, held.ended)) == ["1", "2", "end", "end"]


async def test_a_task_whose_client_is_gone_for_good_is_stopped_and_says_why() -> None:
    held = Held(abandon_after=0.2)
    channel = "a-channel-that-is-taken-up-again"
    with anyio.fail_after(60):
        async with mcpc.listen(held.server, "memory://abandoned") as listener:
            async with mcpc.Client(listener.uri, channel=channel) as client:
                task_id = (await client.start_task("wait")).task_id
            await held.stopped.wait()
            again = mcpc.Client(listener.uri, channel=channel)
            task = again.task(task_id)
            async with again:
                with pytest.raises(mcpc.TaskStopped) as stopped:
                    await task.result()
                assert stopped.value.result["abandoned"] is True


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_one_client_of_a_shared_bridge_leaves_room_for_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.modules[mcpc.bridging.__module__.replace("serving", "hub")], "MAX_SHARED", 20)
    held = Held()
    async with serving("unix", tmp_path, held.server) as served:
        with anyio.fail_after(60):
            async with (
                mcpc.bridging("tcp://127.0.0.1:0", served.uri, shared=True) as bridge,
                mcp.Client(mcpc.connect(bridge.uri)) as greedy,
                mcp.Client(mcpc.connect(bridge.uri)) as other,
                anyio.create_task_group() as group,
            ):
                for _ in range(18):
                    group.start_soon(greedy.call_tool, "hold")
                await held.arrived(18)
                with pytest.raises(MCPError, match="as many as it may of the 20 requests"):
                    await greedy.call_tool("quick")
                assert not (await other.call_tool("quick")).is_error
                held.go.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_asks_for_events_that_are_not_kept_is_told_so(tmp_path: Path) -> None:
    async with serving("http", tmp_path, Held().server) as served, httpx2.AsyncClient(timeout=60) as http:
        headers = {"accept": "text/event-stream", "last-event-id": "5"}
        answer = await http.get(served.uri, headers=headers)
        assert answer.status_code == 400
        assert "no events are kept here" in answer.json()["error"]["message"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_a_session_of_http_too_a_live_id_is_refused_and_the_first_is_answered(tmp_path: Path) -> None:
    held = Held(max_requests=2)
    answers: dict[str, httpx2.Response] = {}
    json_headers = {"accept": "application/json, text/event-stream"}
    async with serving("http", tmp_path, held.server) as served, httpx2.AsyncClient(timeout=60) as http:

        async def call(name: str, request_id: int, tool: str, text: str = "") -> httpx2.Response:
            arguments = {"text": text} if text else {}
            params = {"name": tool, "arguments": arguments}
            body = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
            answers[name] = await http.post(served.uri, json=body, headers=json_headers)
            return answers[name]

        start = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": start}
        begun = await http.post(served.uri, json=body, headers=json_headers)
        json_headers["mcp-session-id"] = begun.headers["mcp-session-id"]
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(call, "first", 7, "hold", "first")
                await held.arrived(1)
                refused = (await call("second", 7, "hold")).json()
                assert refused["id"] == 7
                assert "of this id" in refused["error"]["message"]
                group.start_soon(call, "other", 8, "hold", "other")
                await held.arrived(2)
                over = (await call("third", 9, "quick")).json()
                assert over["id"] == 9
                assert over["error"]["data"] == {"reason": "limit", "limit": "max_requests", "value": 2}
                held.go.set()
        assert '"id":7,"result":{"content":[{"text":"5"' in answers["first"].text
        assert (await call("again", 7, "quick")).status_code == 200
