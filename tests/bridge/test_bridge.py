"""Any transport in, any transport out: what is promised of a connection is promised of a bridged one."""

import json
import re
import shlex
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx2
import mcp
import pytest
from mcp.server import MCPServer, Server
from mcp.server.auth.provider import AccessToken

import mcpc
import ws_kit
from http_kit import killable_server
from mcpc.bridge.box import Box
from mcpc.bridge.hub import Hub
from mcpc.bridge.links import Target
from mcpc.framing import Connection
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import dial, listen_at
from support import ASYNCIO_ONLY, HERE, TEMPLATES, make_server, serving

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy"]
ROUTES = [
    ("memory", "memory"),
    ("unix", "ws"),
    ("tcp", "unix"),
    ("ws", "stdio"),
    ("http", "tcp"),
    ("http", "stdio"),
    ("memory", "http"),
    ("http", "http"),
    ("sse+http", "memory"),
    ("unix", "sse+http"),
]
SHARED_ROUTES = [("memory", "tcp"), ("http", "memory")]
ALL_ROUTES = [(*route, False) for route in ROUTES] + [(*route, True) for route in SHARED_ROUTES]


@pytest.fixture(autouse=True)
def only_where_both_ends_can_run(request: pytest.FixtureRequest) -> None:
    """HTTP listeners need asyncio."""
    parameters: dict[str, Any] = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("anyio_backend") == "trio" and ASYNCIO_ONLY & {
        value for value in parameters.values() if isinstance(value, str)
    }:
        pytest.skip("HTTP is served on asyncio only")


def listen_uri(scheme: str, tmp_path: Path) -> str:
    return TEMPLATES[scheme].format(name="bridge", tmp=tmp_path, python=sys.executable, here=HERE)


@asynccontextmanager
async def bridged(come: str, go: str, tmp_path: Path, *, shared: bool = False) -> AsyncGenerator[str]:
    """The address of a bridge from one scheme to the test server at another."""
    async with (
        serving(go, tmp_path) as served,
        mcpc.bridging(listen_uri(come, tmp_path), served.uri, shared=shared) as listener,
    ):
        yield listener.uri


# --- what is promised of every transport ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("come", "go", "shared"), ALL_ROUTES)
async def test_a_bridged_connection_keeps_every_promise_of_a_direct_one(
    come: str, go: str, shared: bool, mode: str, tmp_path: Path
) -> None:
    with anyio.fail_after(60):
        async with bridged(come, go, tmp_path, shared=shared) as uri:
            async with mcpc.Client(uri, mode=mode) as client:
                await a_thousand_updates_arrive_in_order(client)
                await a_task_is_modified_asked_by_and_stopped(client)
            await the_sdks_own_client_gets_progress_and_results(uri, mode)


async def a_thousand_updates_arrive_in_order(client: mcpc.Client) -> None:
    task = await client.start_task("count", {"n": 1000}, session_id="chat-1")
    messages = [message async for message in task]
    assert await task.result() == {"rows": 1000}
    assert [message.event for message in messages] == ["created", *["update"] * 1000, "complete"]
    assert [message.result["progress"] for message in messages[1:-1]] == list(range(1, 1001))


async def a_task_is_modified_asked_by_and_stopped(client: mcpc.Client) -> None:
    task = await client.start_task("wait_for_input")
    await task.send({"focus": "subset"})
    await task.send("done")
    assert await task.result() == [{"focus": "subset"}]
    client.on_prompt(lambda prompt: (prompt.choices or [None])[1])
    assert await (await client.start_task("ask")).result() == {"answer": "b"}
    stopped = await client.start_task("wait_for_input")
    await stopped.stop()
    with pytest.raises(mcpc.TaskStopped):
        await stopped.result()


async def the_sdks_own_client_gets_progress_and_results(uri: str, mode: str) -> None:
    reported: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))

    async with mcp.Client(mcpc.connect(uri), mode=mode) as client:
        assert {"count", "add"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        result = await client.call_tool("count", {"n": 3}, progress_callback=on_progress)
        assert result.structured_content == {"rows": 3}
        assert (await client.call_tool("fail", {})).is_error
    assert sorted(reported) == [(float(i), 3.0, f"step {i}/3") for i in (1, 2, 3)]


async def test_a_bridge_on_this_process_stdin_and_stdout(tmp_path: Path) -> None:
    run = "import sys, anyio, mcpc; anyio.run(mcpc.bridge, 'stdio:', sys.argv[1])"
    with anyio.fail_after(60):
        async with serving("unix", tmp_path) as served:
            command = shlex.join([sys.executable, "-c", run, served.uri])
            async with mcpc.Client(f"stdio:{command}") as client:
                await a_task_is_modified_asked_by_and_stopped(client)


class OneToken:
    """Knows one bearer token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="me", scopes=[]) if token == "secret" else None


@pytest.mark.parametrize("come", ["http", "ws"])
async def test_who_may_come_in_is_checked_where_clients_come_in(come: str, tmp_path: Path) -> None:
    options = {"token_verifier": OneToken()}
    with anyio.fail_after(60):
        async with (
            serving("memory", tmp_path) as served,
            mcpc.bridging(listen_uri(come, tmp_path), served.uri, listen_options=options) as listener,
        ):
            with pytest.raises(mcpc.ConnectFailed):
                async with mcpc.connect(listener.uri):
                    pass
            async with mcpc.Client(listener.uri, token="secret") as client:
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


FOREIGN: list[tuple[dict[str, str | None], int]] = [
    ({"Host": "evil.example"}, 421),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
]


async def status_of(uri: str, headers: dict[str, str | None]) -> int:
    """How a request with those headers is answered, whose body is a good call or which opens a WebSocket or events."""
    if uri.startswith("ws"):
        return int((await ws_kit.ask(uri, ws_kit.request(uri, headers)))[9:12])
    given = {name: value for name, value in headers.items() if value is not None}
    accept = {"Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(timeout=60) as http:
        plain = uri.removeprefix("sse+")
        if plain != uri:
            return (await http.get(plain, headers={**accept, **given})).status_code
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        return (await http.post(plain, json=body, headers={**accept, **given})).status_code


@pytest.mark.parametrize("come", ["http", "sse+http", "ws"])
async def test_web_pages_and_foreign_hosts_are_refused_where_clients_come_in(come: str, tmp_path: Path) -> None:
    recorder = Recorder()
    options = {"allowed_origins": ["https://app.example"]}
    with anyio.fail_after(60):
        async with listen_at("memory://behind", RawEndpoint(recorder)) as behind:
            async with mcpc.bridging(listen_uri(come, tmp_path), behind.uri) as listener:
                for headers, status in FOREIGN:
                    assert await status_of(listener.uri, headers) == status
            async with mcpc.bridging(listen_uri(come, tmp_path), behind.uri, listen_options=options) as listener:
                assert await status_of(listener.uri, {"Origin": "http://localhost"}) == 403
            assert recorder.connections == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_that_a_client_sends_chooses_the_server(tmp_path: Path) -> None:
    mark = tmp_path / "spawned"
    command = f"stdio:{shlex.join([sys.executable, '-c', f'open({str(mark)!r}, chr(119))'])}"
    with anyio.fail_after(60):
        async with (
            bridged("http", "tcp", tmp_path) as uri,
            httpx2.AsyncClient(timeout=60, params={"connect_uri": command}) as http,
        ):
            params: dict[str, Any] = {"name": "add", "arguments": {"a": 1, "b": 2}, "connect_uri": command}
            meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "connect_uri": command}
            params["_meta"] = {**meta, "io.modelcontextprotocol/clientCapabilities": {}}
            headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "add"}
            headers |= {"Accept": "application/json, text/event-stream", "X-Connect-URI": command}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answered = await http.post(uri, json=body, headers=headers)
            assert answered.status_code == 200
            assert '"structuredContent":{"result":3}' in answered.text
    assert not mark.exists()


# --- frames, byte for byte --------------------------------------------------------------------------------------

Serve = Callable[[FrameChannel], Awaitable[None]]


class RawEndpoint:
    """A server of frames, played by a function: what the bridge sends is what it sees."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    @property
    def server(self) -> Server[Any]:
        raise NotImplementedError

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        try:
            await self._serve(channel)
        except mcpc.TransportError:
            pass
        finally:
            await channel.aclose()

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        raise NotImplementedError


@asynccontextmanager
async def raw_bridge(
    serve: Serve, tmp_path: Path, *, come: str = "memory", go: str = "memory", shared: bool = False
) -> AsyncGenerator[Callable[[], AbstractAsyncContextManager[FrameChannel]]]:
    """A bridge to a server of frames. Yields a function that dials the bridge."""
    behind = TEMPLATES[go].format(name="behind", tmp=tmp_path)
    async with (
        listen_at(behind, RawEndpoint(serve)) as server,
        mcpc.bridging(listen_uri(come, tmp_path), server.uri, shared=shared) as listener,
    ):

        def connect() -> AbstractAsyncContextManager[FrameChannel]:
            return cast("AbstractAsyncContextManager[FrameChannel]", dial(listener.uri))

        yield connect


def request(request_id: Any, method: str = "echo", **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def answer(request_id: Any, **result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}).encode()


HELLO = request("hello", "initialize", protocolVersion="2025-11-25", capabilities={})
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


async def receive_json(channel: FrameChannel) -> dict[str, Any]:
    return json.loads(await channel.receive())


class Recorder:
    """A server that answers each request with its id, and remembers what it was sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.closed = anyio.Event()

    async def __call__(self, channel: FrameChannel) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                frame = await channel.receive()
                self.frames.append(frame)
                message = json.loads(frame)
                if "id" in message and message.get("method") != "hang":
                    await channel.send(answer(message["id"], seen=message["id"]))
        finally:
            self.open -= 1
            self.closed.set()


@pytest.mark.parametrize(("come", "go"), [("memory", "memory"), ("ws", "tcp"), ("unix", "ws")])
async def test_frames_cross_as_the_bytes_they_came_as(come: str, go: str, tmp_path: Path) -> None:
    odd = [
        b'{"id":"7","x-unknown":{"z":1,"a":[1.0,1e2,-0.0,1E+5]},"params":{"n":123456789012345678901234567890},'
        b'"method":"m","jsonrpc":"2.0"}',
        b'{ "jsonrpc" : "2.0", "method":"notifications/x", "params":{"t":"\\u00e9\\/","_meta":{"k":null}} }',
        b'{"jsonrpc":"2.0","id":"MCPC_CALLBACK","result":{"content":[],"isError":false,"more":0.10}}',
        b'{"jsonrpc":"2.0","id":12345678901234567890123,"error":{"code":-1,"message":"","extra":1.50}}',
    ]
    seen: list[bytes] = []

    async def mirror(channel: FrameChannel) -> None:
        while True:
            seen.append(await channel.receive())
            await channel.send(seen[-1])

    with anyio.fail_after(60):
        async with raw_bridge(mirror, tmp_path, come=come, go=go) as connect, connect() as client:
            for frame in odd:
                await client.send(frame)
                assert await client.receive() == frame
    assert seen == odd


async def test_a_message_over_several_lines_stays_one_message_on_a_byte_stream(tmp_path: Path) -> None:
    recorder = Recorder()
    with anyio.fail_after(60):
        async with raw_bridge(recorder, tmp_path, come="memory", go="tcp") as connect, connect() as client:
            await client.send(b'{"jsonrpc":"2.0",\r\n"id":1,\n"method":"m"}')
            assert await receive_json(client) == json.loads(answer(1, seen=1))
    assert len(recorder.frames) == 1


@pytest.mark.parametrize("shared", [False, True])
async def test_ids_of_every_type_come_back_as_they_were(shared: bool, tmp_path: Path) -> None:
    ids: list[Any] = [7, "7", "", 0, -1, 2**80, "é", "MCPC_CALLBACK", "x" * 1000]
    with anyio.fail_after(60):
        async with raw_bridge(Recorder(), tmp_path, shared=shared) as connect, connect() as client:
            for request_id in ids:
                await client.send(request(request_id))
            got = [(await receive_json(client))["id"] for _ in ids]
    assert got == ids
    assert [type(found) for found in got] == [type(expected) for expected in ids]


BIG = 123456789012345678901234567890
ODD: dict[str, Any] = {"n": BIG, "f": [1.0, -0.0, 0.1], "u": "é", "nul": None, "deep": {"x-unknown": [{}]}}


class Oddly:
    """A server whose answers and reports hold what no model knows; it remembers the params of calls."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, channel: FrameChannel) -> None:
        while True:
            message = json.loads(await channel.receive())
            if "id" not in message:
                continue
            result: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}}
            if message["method"] == "tools/list":
                result = {"tools": []}
            elif message["method"] == "tools/call":
                self.seen.append(message["params"])
                progress = {"progressToken": message["params"]["_meta"]["progressToken"], "progress": 1, "x": ODD}
                note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}
                await channel.send(json.dumps(note).encode())
                result = {"content": [], "resultType": "complete", "x-unknown": ODD}
            await channel.send(answer(message["id"], **result))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("mode", MODES)
async def test_over_http_ids_of_every_type_and_values_of_every_kind_are_kept(mode: str, tmp_path: Path) -> None:
    oddly = Oddly()
    meta: dict[str, Any] = {"progressToken": "a text", "vendor/x": ODD}
    if mode == "auto":
        meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"
        meta["io.modelcontextprotocol/clientCapabilities"] = {}
    ids: list[Any] = ["seven", "7", 7, 0, "", 2**80, -1, "é"]
    with anyio.fail_after(60):
        async with (
            listen_at("memory://behind", RawEndpoint(oddly)) as behind,
            mcpc.bridging(listen_uri("http", tmp_path), behind.uri) as middle,
            mcpc.bridging("memory://front", middle.uri) as front,
            dial(front.uri) as client,
        ):
            assert isinstance(client, FrameChannel)
            if mode == "legacy":
                await client.send(HELLO)
                assert (await receive_json(client))["id"] == "hello"
                await client.send(INITIALIZED)
            for request_id in ids:
                await client.send(request(request_id, "tools/call", name="t", arguments=ODD, x=ODD, _meta=meta))
                reported, answered = [await receive_json(client) for _ in range(2)]
                assert reported["params"] == {"progressToken": "a text", "progress": 1, "x": ODD}
                assert (answered["id"], type(answered["id"])) == (request_id, type(request_id))
                assert answered["result"]["x-unknown"] == ODD
    for params in oddly.seen:
        assert (params["arguments"], params["x"], params["_meta"]["vendor/x"]) == (ODD, ODD, ODD)


def whole(frame: bytes) -> bytes:
    """A message with a member that MCP does not name."""
    return json.dumps({**json.loads(frame), "x-unknown": ODD}).encode()


class Whole:
    """A server whose answers have such a member; it remembers those of what it is sent."""

    def __init__(self) -> None:
        self.members: list[Any] = []

    async def __call__(self, channel: FrameChannel) -> None:
        while True:
            message = json.loads(await channel.receive())
            self.members.append(message.get("x-unknown"))
            if "id" in message:
                result: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "tools": []}
                await channel.send(whole(answer(message["id"], **result)))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("scheme", "mode"), [("http", "auto"), ("http", "legacy"), ("sse+http", "legacy")])
async def test_over_http_members_that_mcp_does_not_name_are_kept(scheme: str, mode: str, tmp_path: Path) -> None:
    """Answers over Streamable HTTP are made by the SDK, of their results alone."""
    server = Whole()
    meta: dict[str, Any] = {}
    if mode == "auto":
        meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"
        meta["io.modelcontextprotocol/clientCapabilities"] = {}
    with anyio.fail_after(60):
        async with (
            listen_at("memory://behind", RawEndpoint(server)) as behind,
            mcpc.bridging(listen_uri(scheme, tmp_path), behind.uri) as middle,
            mcpc.bridging("memory://front", middle.uri) as front,
            dial(front.uri) as client,
        ):
            assert isinstance(client, FrameChannel)
            sent = request("a", "tools/list", _meta=meta) if mode == "auto" else HELLO
            await client.send(whole(sent))
            answered = await receive_json(client)
            if mode == "legacy":
                await client.send(whole(INITIALIZED))
                await client.send(request("b", "ping"))
                await receive_json(client)
    assert server.members == ([ODD] if mode == "auto" else [ODD, ODD, None])
    assert answered.get("x-unknown") == (ODD if scheme == "sse+http" else None)


@pytest.mark.parametrize("shared", [False, True])
async def test_bad_frames_are_answered_at_the_bridge_and_never_forwarded(shared: bool, tmp_path: Path) -> None:
    bad = {
        b"no json": None,
        b'{"jsonrpc":"2.0","id":1.5,"method":"m"}': None,
        b'{"jsonrpc":"1.0","id":"a","method":"m"}': "a",
        b'[{"jsonrpc":"2.0","id":1,"method":"m"}]': None,
        b'{"jsonrpc":"2.0","id":3,"method":"m","params":{"n":1e999}}': 3,
    }
    recorder = Recorder()
    with anyio.fail_after(60):
        async with raw_bridge(recorder, tmp_path, shared=shared) as connect, connect() as client:
            for frame, request_id in bad.items():
                await client.send(frame)
                refused = await receive_json(client)
                assert refused["id"] == request_id
                assert refused["error"]["code"] in (-32700, -32600)
            await client.send(request("good"))
            assert (await receive_json(client))["id"] == "good"
    assert len(recorder.frames) == 1


async def test_what_a_server_says_that_is_no_message_is_not_passed_on(tmp_path: Path) -> None:
    async def noisy(channel: FrameChannel) -> None:
        await channel.receive()
        await channel.send(b"Starting up...")
        await channel.send(b'{"jsonrpc":"2.0","id":1,"result":"not an object"}')
        await channel.receive()
        await channel.send(answer(2))
        await channel.receive()

    with anyio.fail_after(60):
        async with raw_bridge(noisy, tmp_path) as connect, connect() as client:
            await client.send(request(1))
            assert (await receive_json(client))["error"]["code"] == -32603
            await client.send(request(2))
            assert "result" in await receive_json(client)


# --- endings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
async def test_a_server_that_dies_fails_every_pending_id_and_ends_the_connection(shared: bool, tmp_path: Path) -> None:
    async def dies(channel: FrameChannel) -> None:
        for _ in range(3):
            await channel.receive()

    with anyio.fail_after(60):
        async with raw_bridge(dies, tmp_path, shared=shared) as connect, connect() as client:
            for request_id in (1, "1", 2):
                await client.send(request(request_id))
            failed = [await receive_json(client) for _ in range(3)]
            with pytest.raises((mcpc.ChannelEnded, mcpc.ChannelBroken)):
                await client.receive()
    assert {repr(message["id"]) for message in failed} == {"1", "'1'", "2"}
    assert {(message["error"]["code"], message["error"]["message"]) for message in failed} == {
        (-32000, "the server behind the bridge went away")
    }


@pytest.mark.parametrize(
    ("come", "go", "mode"), [("memory", "http", "auto"), ("http", "http", "legacy"), ("memory", "sse+http", "auto")]
)
async def test_an_http_server_that_is_killed_fails_the_call_and_clients_are_not_told_where_it_was(
    come: str, go: str, mode: str, tmp_path: Path
) -> None:
    with killable_server(f"{go}://127.0.0.1:0") as (uri, kill), anyio.fail_after(60):
        async with (
            mcpc.bridging(listen_uri(come, tmp_path), uri) as listener,
            mcp.Client(mcpc.connect(listener.uri), mode=mode) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                with pytest.raises(mcp.MCPError) as failed:
                    await client.call_tool("block", {})
                assert failed.value.code == -32000
                assert not re.search(r"127\.0\.0\.1|:\d{4}", str(failed.value))

            tasks.start_soon(call)
            await kill()


async def test_a_command_that_ends_fails_every_pending_id(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-c", "import sys; sys.stdin.readline(); sys.stdin.readline()"])
    with anyio.fail_after(60):
        async with mcpc.bridging("memory://front", f"stdio:{command}") as front, dial(front.uri) as client:
            assert isinstance(client, FrameChannel)
            for request_id in ("seven", 7):
                await client.send(request(request_id))
            assert {(await receive_json(client))["id"] for _ in range(2)} == {"seven", 7}


@pytest.mark.parametrize("come", ["memory", "http"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared", [False, True])
async def test_a_server_that_cannot_be_reached_is_an_error_for_the_request(
    come: str, mode: str, shared: bool, tmp_path: Path
) -> None:
    with anyio.fail_after(60):
        async with mcpc.bridging(listen_uri(come, tmp_path), "memory://nobody", shared=shared) as listener:
            with pytest.raises((mcp.MCPError, ExceptionGroup), check=says_unreachable):
                async with mcp.Client(mcpc.connect(listener.uri), mode=mode):
                    pass


def says_unreachable(error: BaseException) -> bool:
    inner = error
    while isinstance(inner, BaseExceptionGroup):
        inner = cast("BaseException", inner.exceptions[0])
    return "cannot be reached" in str(inner)


class CutEndpoint:
    """A server whose connections can be cut."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self.server: Server[Any] = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
        self.channels: list[FrameChannel] = []

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        self.channels.append(channel)
        async with Connection(channel, side="server").open() as connection:
            await self.serve_streams(*connection.streams, peer)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        await self.server.run(read, write, self.server.create_initialization_options())


@pytest.mark.parametrize("scheme", ["http"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_server_that_dies_behind_http_fails_the_call(mode: str, scheme: str, tmp_path: Path) -> None:
    server, called = MCPServer[Any]("cut", log_level="WARNING"), anyio.Event()

    @server.tool()
    async def endless() -> None:  # pyright: ignore[reportUnusedFunction]
        called.set()
        await anyio.sleep_forever()

    endpoint = CutEndpoint(server)
    with anyio.fail_after(60):
        async with (
            listen_at("memory://cut", endpoint) as behind,
            mcpc.bridging(listen_uri(scheme, tmp_path), behind.uri) as listener,
            mcp.Client(mcpc.connect(listener.uri), mode=mode) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                with pytest.raises(mcp.MCPError, match="went away"):
                    await client.call_tool("endless", {})

            tasks.start_soon(call)
            await called.wait()
            for channel in endpoint.channels:
                await channel.aclose()


async def test_the_connection_to_the_server_ends_with_the_client(tmp_path: Path) -> None:
    recorder = Recorder()
    with anyio.fail_after(60):
        async with raw_bridge(recorder, tmp_path) as connect:
            async with connect() as client:
                await client.send(request(1))
                await client.receive()
                assert recorder.open == 1
            await recorder.closed.wait()
            assert recorder.open == 0


async def test_each_client_has_a_connection_of_its_own_and_none_before_it_speaks(tmp_path: Path) -> None:
    recorder = Recorder()
    with anyio.fail_after(60):
        async with raw_bridge(recorder, tmp_path) as connect, connect() as one, connect() as two, connect():
            for client in (one, two):
                await client.send(request(1))
                await client.receive()
            assert recorder.connections == 2


@pytest.mark.parametrize("come", ["memory", "http"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared", [False, True])
async def test_cancelling_crosses(come: str, mode: str, shared: bool, tmp_path: Path) -> None:
    server, started, ended = make_server(), anyio.Event(), anyio.Event()

    @server.tool()
    async def endless() -> None:  # pyright: ignore[reportUnusedFunction]
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(60):
        async with (
            serving("tcp", tmp_path, server) as served,
            mcpc.bridging(listen_uri(come, tmp_path), served.uri, shared=shared) as listener,
            mcp.Client(mcpc.connect(listener.uri), mode=mode) as client,
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "endless")
                await started.wait()
                tasks.cancel_scope.cancel()
            await ended.wait()
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


# --- back-pressure and sharing ----------------------------------------------------------------------------------


async def test_a_slow_client_slows_its_own_server_connection_only(tmp_path: Path) -> None:
    sent = 0

    async def flood(channel: FrameChannel) -> None:
        nonlocal sent
        first = json.loads(await channel.receive())
        if first["method"] != "flood":
            await channel.send(answer(first["id"]))
            await channel.receive()
        note = json.dumps({"jsonrpc": "2.0", "method": "notifications/x", "params": {"t": "x" * 65536}}).encode()
        for _ in range(1000):
            await channel.send(note)
            sent += 1

    with anyio.fail_after(60):
        async with raw_bridge(flood, tmp_path) as connect, connect() as slow, connect() as quick:
            await slow.send(request(1, "flood"))
            await slow.receive()
            before = -1
            while before != sent:  # until the flood stands still
                before = sent
                for _ in range(200):
                    await anyio.lowlevel.checkpoint()
            assert sent < 100
            await quick.send(request(1))
            assert (await receive_json(quick))["id"] == 1
            for _ in range(999):
                await slow.receive()


async def test_clients_that_share_a_connection_get_what_is_theirs(tmp_path: Path) -> None:
    server = make_server()
    with anyio.fail_after(60):
        async with (
            serving("tcp", tmp_path, server) as served,
            mcpc.bridging("memory://shared", served.uri, shared=True) as listener,
            mcpc.Client(listener.uri) as one,
            mcpc.Client(listener.uri) as two,
        ):
            tasks = [await client.start_task("count", {"n": 100}) for client in (one, two)]
            for task in tasks:
                messages = [message async for message in task]
                assert {message.task_id for message in messages} == {task.task_id}
                assert len(messages) == 102


async def test_a_shared_connection_is_one_and_its_tokens_are_told_apart(tmp_path: Path) -> None:
    connections: list[dict[str, Any]] = []

    async def reports(channel: FrameChannel) -> None:
        connections.append({})
        asked = [json.loads(await channel.receive()) for _ in range(2)]
        for number, message in enumerate(asked):
            params = {"progressToken": message["params"]["_meta"]["progressToken"], "progress": number}
            await channel.send(
                json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()
            )
        for message in asked:
            await channel.send(answer(message["id"], name=message["params"]["name"]))
        await channel.receive()

    with anyio.fail_after(60):
        async with raw_bridge(reports, tmp_path, shared=True) as connect, connect() as one, connect() as two:
            await one.send(request(1, name="one", _meta={"progressToken": "t"}))
            await two.send(request(1, name="two", _meta={"progressToken": "t"}))
            for client, name in ((one, "one"), (two, "two")):
                progress = await receive_json(client)
                assert progress["params"]["progressToken"] == "t"
                done = await receive_json(client)
                assert (done["id"], done["result"]) == (1, {"name": name})
    assert len(connections) == 1


async def test_clients_of_a_shared_connection_are_given_the_same_handshake(tmp_path: Path) -> None:
    recorder = Recorder()
    with anyio.fail_after(60):
        async with raw_bridge(recorder, tmp_path, shared=True) as connect, connect() as one, connect() as two:
            for client, request_id in ((one, "a"), (two, 5)):
                await client.send(request(request_id, "initialize", capabilities={"sampling": {}}))
                assert (await receive_json(client))["id"] == request_id
                await client.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
            await two.send(request(6))
            await two.receive()
    methods = [json.loads(frame)["method"] for frame in recorder.frames]
    assert methods == ["initialize", "notifications/initialized", "echo"]
    assert json.loads(recorder.frames[0])["params"]["capabilities"] == {}


async def test_a_handshake_whose_client_leaves_while_the_server_is_dialled_is_the_next_ones(tmp_path: Path) -> None:
    hello = json.loads(HELLO)
    boxes = [Box() for _ in range(3)]
    with anyio.fail_after(60):
        async with serving("memory", tmp_path) as served, anyio.create_task_group() as tasks:
            hub = Hub(Target(served.uri, {}), modern=False)
            with anyio.CancelScope() as leaving:
                leaving.cancel()
                await hub.shake_hands(boxes[0], hello)
            tasks.start_soon(hub.run)
            for box in boxes[1:]:
                await hub.shake_hands(box, hello)
                assert [message["id"] for message in await box.take()] == ["hello"]
            hub.close()


async def test_a_handshake_that_others_wait_for_is_not_cancelled_by_one_of_them(tmp_path: Path) -> None:
    async def answers_late(channel: FrameChannel) -> None:
        first = json.loads(await channel.receive())
        while json.loads(await channel.receive())["method"] != "echo":
            pass
        await channel.send(answer(first["id"]))
        await channel.receive()

    with anyio.fail_after(60):
        async with raw_bridge(answers_late, tmp_path, shared=True) as connect, connect() as one, connect() as two:
            await one.send(request(1, "initialize", capabilities={}))
            await one.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
            await one.send(request(2))
            assert (await receive_json(one))["id"] == 1
            await two.send(request(3, "initialize", capabilities={}))
            assert (await receive_json(two))["id"] == 3


async def test_a_shared_client_that_leaves_has_its_requests_cancelled(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    cancelled = anyio.Event()

    async def listens(channel: FrameChannel) -> None:
        while True:
            seen.append(json.loads(await channel.receive()))
            if seen[-1]["method"] == "notifications/cancelled":
                cancelled.set()

    with anyio.fail_after(60):
        async with raw_bridge(listens, tmp_path, shared=True) as connect:
            async with connect() as client:
                await client.send(request("mine", "hang"))
                while not seen:
                    await anyio.lowlevel.checkpoint()
            await cancelled.wait()
    assert seen[-1]["params"]["requestId"] == seen[0]["id"]


# --- asking, and addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("come", ["memory", "http", "sse+http"])
async def test_a_server_of_the_older_era_asks_its_client_through_a_bridge(come: str, tmp_path: Path) -> None:
    async def chosen(context: Any, params: Any) -> Any:
        return mcp.types.ElicitResult(action="accept", content={"answer": "b"})

    with anyio.fail_after(60):
        async with (
            bridged(come, "tcp", tmp_path) as uri,
            mcp.Client(mcpc.connect(uri), mode="legacy", elicitation_callback=chosen) as client,
        ):
            result = await client.call_tool("ask", {})
            assert result.structured_content == {"answer": "b"}


async def test_the_function_runs_until_cancelled(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("unix", tmp_path) as served, anyio.create_task_group() as tasks:
            tasks.start_soon(mcpc.bridge, "memory://run", served.uri)
            while True:
                try:
                    async with mcpc.Client("memory://run") as client:
                        await client.list_tools()
                    break
                except mcpc.ConnectFailed:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def test_addresses_and_options_are_checked_before_anything_is_opened() -> None:
    with pytest.raises(mcpc.UnknownScheme):
        async with mcpc.bridging("memory://x", "nowhere://y"):
            pass
    with pytest.raises(mcpc.UnknownOption):
        async with mcpc.bridging("memory://x", "memory://y", connect_options={"colour": 1}):
            pass
    with pytest.raises(mcpc.UnknownOption):
        async with mcpc.bridging("memory://x", "memory://y", listen_options={"colour": 1}):
            pass
    with pytest.raises(ValueError, match="as it was"):
        async with mcpc.bridging("memory://x", "memory://y"):
            raise ValueError("as it was")
