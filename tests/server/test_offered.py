"""A client of a server of ours needs one round trip before its first call, and older ones are met as before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp.server import MCPServer

import mcpc
from mcpc.framing import Connection
from mcpc.server.kinds import lowlevel_of
from mcpc.uri import dial
from support import ASYNCIO_ONLY, serving

pytestmark = pytest.mark.anyio

Change = Callable[[dict[str, Any]], None]


def make_server(**limits: Any) -> tuple[MCPServer[Any], mcpc.MCPCHelper]:
    server = MCPServer[Any]("offered", log_level="ERROR")
    callbacks = mcpc.MCPCHelper(server, **limits)

    @callbacks.tool()
    async def work(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update("under way")
        return "done"

    return server, callbacks


class Watched:
    """A transport whose frames are written down, sent ones changed, and received ones held back as the test says."""

    def __init__(self, uri: str, change: Change = lambda message: None) -> None:
        self.sent: list[str] = []
        self.received = 0
        self.let_through = 10**9
        """Messages that may be received."""
        self._uri = uri
        self._change = change

    async def __aenter__(self) -> Any:
        self._dialled = dial(self._uri)
        self._inner: Any = await self._dialled.__aenter__()
        self._open = Connection(self, side="client").open()
        return (await self._open.__aenter__()).streams

    async def __aexit__(self, *exc: object) -> None:
        await self._open.__aexit__(None, None, None)
        await self._dialled.__aexit__(None, None, None)

    async def send(self, *frames: bytes) -> None:
        messages = [json.loads(frame) for frame in frames]
        for message in messages:
            self._change(message)
            self.sent.append(message.get("method", ""))
        await self._inner.send(*(json.dumps(message).encode() for message in messages))

    async def receive(self) -> bytes:
        frame = await self._inner.receive()
        while self.received >= self.let_through:
            await checkpoint()
        self.received += 1
        return bytes(frame)

    async def aclose(self) -> None:
        await self._inner.aclose()


def offer_nothing(message: dict[str, Any]) -> None:
    """As a client of the release before does: it offers no channel."""
    if message.get("method") == "server/discover":
        del message["params"]["_meta"]["mcpc/channel"]


async def test_one_answer_is_waited_for_before_the_first_call(tmp_path: Path) -> None:
    results: list[Any] = []
    async with serving("unix", tmp_path, make_server()[0]) as served:
        with anyio.fail_after(60):
            transport = Watched(served.uri)
            transport.let_through = 1
            async with mcpc.Client(transport) as client, anyio.create_task_group() as group:

                async def call() -> None:
                    results.append(await (await client.start_task("work")).result())

                group.start_soon(call)
                while "tools/call" not in transport.sent:
                    await checkpoint()
                assert transport.received == 1
                transport.let_through = 10**9
    assert results == ["done"]
    assert transport.sent[0] == "server/discover"


async def test_a_server_that_has_not_opened_the_channel_is_waited_for(tmp_path: Path) -> None:
    async with serving("unix", tmp_path, make_server()[0]) as served:
        with anyio.fail_after(60):
            transport = Watched(served.uri, offer_nothing)  # to the client it looks like an older server
            async with mcpc.Client(transport) as client:
                assert transport.received == 2  # what the server is, and that it lets us listen
                assert await (await client.start_task("work")).result() == "done"
    assert transport.sent[:2] == ["server/discover", "mcpc/listen"]


async def test_a_server_that_says_nothing_of_itself_is_asked(tmp_path: Path) -> None:
    server, _ = make_server()
    lowlevel_of(server).extensions["mcpc/callbacks"] = {}  # as a server of the first 1.0 does
    async with serving("unix", tmp_path, server) as served:
        with anyio.fail_after(60):
            transport = Watched(served.uri, offer_nothing)
            async with mcpc.Client(transport) as client:
                assert await (await client.start_task("work")).result() == "done"
    assert transport.sent[:3] == ["server/discover", "mcpc/info", "mcpc/listen"]


async def test_a_client_of_the_release_before_is_answered_as_it_was(tmp_path: Path) -> None:
    server, _ = make_server()
    key = "k" * 32
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"mcpc/callbacks": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "old", "version": "1"},
    }
    call = {"mcpc/channel": key, "mcpc/sessionId": "s", "mcpc/taskId": "0c3f9b5e-0000-4000-8000-000000000000"}
    asked: list[dict[str, Any]] = [
        {"method": "server/discover", "params": {"_meta": meta}},
        {"method": "mcpc/info", "params": {"_meta": meta, "mcpc_info": {"mcpc_provider": "old"}}},
        {"method": "mcpc/listen", "params": {"_meta": meta, "channel": key, "after": 0, "forms": ["heads"]}},
        {"method": "tools/call", "params": {"_meta": {**meta, **call}, "name": "work", "arguments": {}}},
    ]
    answers: dict[int, Any] = {}
    events: list[str] = []
    async with serving("unix", tmp_path, server) as served, dial(served.uri) as opened:
        channel: Any = opened
        with anyio.fail_after(60):
            for number, request in enumerate(asked):
                await channel.send(json.dumps({"jsonrpc": "2.0", "id": number, **request}).encode())
                while (len(events) < 2 or 3 not in answers) if number == 3 else number != 2 and number not in answers:
                    message = json.loads(bytes(await channel.receive()))
                    if "id" in message:
                        answers[message["id"]] = message["result"]
                    elif message["method"] == "notifications/mcpc/messages":
                        params: dict[str, Any] = message["params"]
                        runs: list[Any] = params.get("runs", [])
                        events += [run["head"]["event"] for run in runs for _ in run["results"]]
                        events += [one["event"] for one in params.get("messages", [])]
    information = answers[0]["capabilities"]["extensions"]["mcpc/callbacks"]
    told = {"mcpc_enabled", "mcpc_version", "mcpc_provider", "mcpc_direct_updates"}
    assert set(information) == told | {"mcpc_max_message_size"}  # the limit is told to everybody; the channel is not
    assert {name: answers[1][name] for name in information} == information
    assert answers[3]["structuredContent"]["event"] == "created"
    assert events == ["update", "complete"]


@pytest.mark.parametrize("scheme", ["memory", "tcp", "ws", "http"])
async def test_an_event_that_is_sent_as_soon_as_a_client_is_there_reaches_it(
    scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    if scheme in ASYNCIO_ONLY and anyio_backend_name == "trio":
        pytest.skip("HTTP listeners need asyncio")
    server, callbacks = make_server()
    heard, came = list[Any](), anyio.Event()

    def listener(message: mcpc.MCPCMessage) -> None:
        heard.append(message.result)
        came.set()

    async with serving(scheme, tmp_path, server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(listener, event="news")
                assert await callbacks.emit("news", 1) == 1
                await came.wait()
    assert heard == [1]


async def test_a_channel_that_may_not_be_opened_is_refused_on_entering_as_ever(tmp_path: Path) -> None:
    server, _ = make_server(max_channels=1)
    async with serving("unix", tmp_path, server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                with pytest.raises((mcpc.ConnectFailed, mcpc.LimitReached)):
                    async with mcpc.Client(served.uri):
                        pass
                assert await (await client.start_task("work")).result() == "done"


@pytest.mark.parametrize("offered", [7, None, "short", "x" * 257, ["x" * 32]])
async def test_what_is_no_key_opens_nothing_and_spoils_no_answer(offered: Any, tmp_path: Path) -> None:
    def spoil(message: dict[str, Any]) -> None:
        if message.get("method") == "server/discover":
            message["params"]["_meta"]["mcpc/channel"] = offered

    async with serving("unix", tmp_path, make_server()[0]) as served:
        with anyio.fail_after(60):
            transport = Watched(served.uri, spoil)
            async with mcpc.Client(transport) as client:
                assert transport.received == 2
                assert await (await client.start_task("work")).result() == "done"
