"""`sse+http://` and `sse+https://`: the client on both event loops, what a listener lets in, and how both end."""

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from anyio.lowlevel import checkpoint
from mcp import Client, ClientSession
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, JSONRPCError, JSONRPCNotification

import mcpc
from http_kit import (
    BAD,
    INITIALIZE,
    Mode,
    SmallServer,
    Verifier,
    add,
    asyncio_only,
    call,
    closable,
    connect_to,
    dialled,
    killable_server,
    modes,
    scripted_server,
    until,
)
from http_kit import quiet_log as quiet_log
from mcpc.client.requests import ask_server
from mcpc.errors import ChannelBroken, ConnectFailed, ListenFailed, URIError
from mcpc.uri import listen_at
from mcpc.wire.calls import call_meta
from mcpc_transports.http import server as server_module
from ports_kit import free_port

pytestmark = [
    pytest.mark.anyio,
    # trio remarks on a response that is left before its end, which here is what is tested.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

LOCAL = "sse+http://127.0.0.1:0"
NEVER = 3600.0
"""Seconds that no test waits."""


# --- the client -------------------------------------------------------------------------------------------------


@modes
async def test_a_tool_is_called(mode: Mode) -> None:
    with SmallServer().served(LOCAL) as uri:
        assert uri.startswith("sse+http://127.0.0.1:")
        assert uri.endswith("/sse")
        async with Client(dialled(uri), mode=mode) as client:
            assert await add(client) == 5


@modes
async def test_progress_comes_with_the_call(mode: Mode) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    with SmallServer().served(f"{LOCAL}/my%20events") as uri:
        async with Client(dialled(uri), mode=mode) as client:
            await client.call_tool("count", {"to": 3}, progress_callback=on_progress)
    assert sorted(seen) == [1, 2, 3]


async def test_a_message_larger_than_a_megabyte_passes() -> None:
    with SmallServer().served(LOCAL) as uri:
        async with Client(dialled(uri)) as client:
            result = await client.call_tool("repeat", {"text": "x" * 1000, "times": 1500})
            assert len(result.structured_content["result"]) == 1_500_000


async def test_an_answer_over_the_limit_fails_its_own_call() -> None:
    server = SmallServer()
    with server.served(LOCAL) as uri:
        async with Client(dialled(uri, max_message_size=20_000)) as client, anyio.create_task_group() as tasks:

            async def hold() -> None:
                result = await client.call_tool("hold")
                assert not result.is_error

            tasks.start_soon(hold)
            with anyio.fail_after(60):
                await until(server.blocked)
                for _ in range(2):
                    with pytest.raises(MCPError, match="over the limit of 20000 bytes"):
                        await client.call_tool("repeat", {"text": "x" * 100, "times": 300})
                assert await add(client) == 5
                server.release.set()


async def test_a_request_that_the_server_does_not_accept_fails_itself_only() -> None:
    with SmallServer().served(LOCAL, max_message_size=20_000) as uri:
        async with Client(dialled(uri)) as client:
            with pytest.raises(MCPError, match="413"):
                await client.call_tool("repeat", {"text": "x" * 30_000, "times": 1})
            assert await add(client) == 5


async def test_many_calls_at_once_all_get_their_answers() -> None:
    with SmallServer().served(LOCAL) as uri:
        async with Client(dialled(uri)) as client, anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(add, client)


async def test_a_closed_port_is_refused_in_plain_words() -> None:
    with pytest.raises(ConnectFailed, match="connection refused"):
        await connect_to(f"sse+http://127.0.0.1:{free_port()}")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"


@pytest.mark.parametrize("answer", [b"", HEAD + b"\r\n: no endpoint\n\n"], ids=["no answer", "no endpoint"])
async def test_a_server_that_says_nothing_is_given_up(answer: bytes) -> None:
    with scripted_server(answer) as port, pytest.raises(ConnectFailed, match=r"no answer within 0\.2 s"):
        await connect_to(f"sse+http://127.0.0.1:{port}", open_timeout=0.2)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HEAD + b"Content-Length: 0\r\n\r\n", "ended the event stream before"),
        (HEAD + b"\r\nevent: endpoint\ndata: http://evil.example/messages\n\n", "another origin"),
        (HEAD + b"\r\nevent: endpoint\ndata: //:x\n\n", "no address"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", "content type"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404 Not Found"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/sse\r\nContent-Length: 0\r\n\r\n", "HTTP 302 Found"),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /sse\r\nContent-Length: 0\r\n\r\n", "307"),
    ],
    ids=[
        "the end",
        "another origin",
        "nonsense",
        "no event stream",
        "not found",
        "moved away",
        "moved in a circle",
    ],
)
async def test_an_answer_that_is_no_event_stream_is_refused(answer: bytes, why: str) -> None:
    with scripted_server(answer) as port, pytest.raises(ConnectFailed, match=why):
        await connect_to(f"sse+http://127.0.0.1:{port}")


async def test_an_answer_that_cannot_be_read_fails_its_own_request() -> None:
    bad = b'data: {"jsonrpc":"2.0","id":7,"result":{"a":NaN}}\n\n'
    with scripted_server(HEAD + b"\r\nevent: endpoint\ndata: /messages\n\n" + bad) as port, anyio.fail_after(60):
        async with dialled(f"sse+http://127.0.0.1:{port}") as (read, _):
            failed = (await read.receive()).message
    assert isinstance(failed, JSONRPCError)
    assert failed.id == 7


async def test_what_is_no_message_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    events = b"event: endpoint\ndata: /m\n\ndata: junk\n\ndata: more junk\n\nevent: other\ndata: x\n\n"
    message = b'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n'
    with scripted_server(HEAD + b"\r\n" + events + message) as port:
        async with dialled(f"sse+http://127.0.0.1:{port}") as (read, _):
            with anyio.fail_after(60):
                item = await read.receive()
            assert item.message.method == "notifications/message"
    assert caplog.text.count("is no MCP message") == 1


LOST = pytest.RaisesExc(MCPError, check=lambda exc: exc.code == CONNECTION_CLOSED)


async def test_a_question_for_the_era_that_gets_lost_is_not_taken_for_an_older_server() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: /messages\n\n"

    def answer(request: bytes) -> bytes | None:
        if b'"method"' in request:
            return None
        return head if request.startswith(b"GET") else b""

    heard: list[bytes] = []
    with scripted_server(answer, heard) as port, anyio.fail_after(60), pytest.RaisesGroup(LOST, flatten_subgroups=True):
        async with Client(dialled(f"sse+http://127.0.0.1:{port}/sse")):
            raise AssertionError("it connected")
    assert b"server/discover" in b"".join(heard)
    assert b"initialize" not in b"".join(heard)


async def test_a_peer_that_falls_silent_ends_the_streams() -> None:
    ended = False
    with scripted_server(HEAD + b"\r\nevent: endpoint\ndata: /m\n\n") as port, anyio.fail_after(120):
        for seconds in (0.2, 3.0, 30.0):  # on a busy machine it may be silent for a moment while it is dialled
            with suppress(ConnectFailed):
                async with dialled(f"sse+http://127.0.0.1:{port}", read_timeout=seconds) as (read, write):
                    with pytest.raises(anyio.EndOfStream):
                        await read.receive()
                    with pytest.raises(ChannelBroken):
                        await write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/x")))
                    ended = True
                    break
    assert ended


async def test_a_server_killed_in_the_middle_of_a_call_fails_the_call_at_once() -> None:
    with killable_server(LOCAL) as (uri, kill):
        async with Client(dialled(uri)) as client:
            failures: list[int] = []

            async def blocked() -> None:
                with pytest.raises(MCPError) as failure:
                    await client.call_tool("block", {})
                failures.append(failure.value.code)

            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(blocked)
                    await kill()
                with pytest.raises(MCPError):
                    await add(client)
            assert failures == [CONNECTION_CLOSED]


async def test_an_error_in_the_callers_block_comes_out_as_it_is() -> None:
    with SmallServer().served(LOCAL) as uri, pytest.raises(KeyError):
        async with dialled(uri):
            raise KeyError("mine")


async def test_leaving_with_messages_unread_leaves_nothing_behind() -> None:
    with SmallServer().served(LOCAL) as uri:
        async with dialled(uri) as streams, ClientSession(*streams) as session:
            await session.initialize()
            for _ in range(3):
                await session.send_ping()


async def test_tls() -> None:
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    with SmallServer().served("sse+https://127.0.0.1:0", ssl_context=server) as uri:
        async with Client(dialled(uri, ssl_context=trusting)) as client:
            assert await add(client) == 5
        with pytest.raises(ConnectFailed, match="certificate was not accepted"):
            await connect_to(uri)


async def test_a_token_lets_its_owner_in_and_nobody_else() -> None:
    server = SmallServer()
    with server.served("sse+http://0.0.0.0:0", token_verifier=Verifier()) as uri:
        async with Client(dialled(uri, token="secret-of-ann")) as client:
            assert await add(client) == 5
        for wrong in ({"token": "secret-of-eve"}, {}):
            with pytest.raises(ConnectFailed, match="401 Unauthorized") as refusal:
                await connect_to(uri, **wrong)
            assert "secret" not in str(refusal.value)
    assert [peer.principal for peer in server.peers] == [("app", None, "ann")]
    assert server.peers[0].address.startswith("127.0.0.1:")


# --- callbacks ---------------------------------------------------------------------------------------------------


def background_server(counted: anyio.Event) -> MCPServer[Any]:
    server = MCPServer("background")

    @mcpc.MCPCHelper(server).tool()
    async def count(to: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        for number in range(to):
            await task.update(number)
        counted.set()
        return to

    return server


CHANNEL = "a channel of this test"


async def test_callbacks_leave_for_their_sink_before_the_session() -> None:
    passed: list[object] = []

    async def on_message(message: object) -> None:
        passed.append(message)

    announced = anyio.Event()
    taken: list[dict[str, Any]] = []

    def take(message: dict[str, Any], size: int) -> None:
        taken.append(message)
        announced.set()

    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(mcpc.listen(background_server(anyio.Event()), LOCAL)) as served,
    ):
        async with (
            dialled(served.uri) as (read, write),
            ClientSession(read, write, message_handler=on_message) as session,
        ):
            read.tap.sink = take
            await session.initialize()
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask_server, session, "mcpc/listen", {"channel": CHANNEL, "after": 0})
                    await announced.wait()
                    tasks.cancel_scope.cancel()
    assert [message["method"] for message in taken] == ["notifications/mcpc/listening"]
    assert passed == []


@asyncio_only
async def test_a_listener_is_sent_frames_as_they_are_after_it_was_told_where_they_begin() -> None:
    params = {"channel": CHANNEL, "after": 0, "forms": ["heads"]}
    meta = call_meta(channel=CHANNEL, session_id="chat", task_id="t-1")
    work = {"name": "count", "arguments": {"to": 200}, "_meta": meta}
    counted = anyio.Event()
    async with mcpc.listen(background_server(counted), LOCAL) as served, raw_client(served.uri) as raw:
        await raw.post(INITIALIZE)
        await raw.answer()
        await raw.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await raw.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": work})
        assert (await raw.answer())["id"] == 1
        with anyio.fail_after(60):
            await counted.wait()
        await raw.post({"jsonrpc": "2.0", "id": 2, "method": "mcpc/listen", "params": params})
        announced, first = await raw.answer(), await raw.answer()
    assert announced["method"] == "notifications/mcpc/listening"
    assert first["method"] == "notifications/mcpc/messages"
    assert first["params"]["first"] == 1
    results = [result for run in first["params"]["runs"] for result in run["results"]]
    assert results[:200] == list(range(200)), "the form that only we write: the SDK has not made it anew"


# --- what a listener lets in ------------------------------------------------------------------------------------


class Raw:
    """A client by hand: an event stream that is open, and where to post."""

    def __init__(self, http: httpx2.AsyncClient, events: Any, endpoint: httpx2.URL) -> None:
        self.http = http
        self.events = events
        self.endpoint = endpoint

    async def post(self, body: object, **headers: str) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(
            self.endpoint, content=content, headers={"Content-Type": "application/json", **headers}
        )

    async def answer(self) -> dict[str, Any]:
        with anyio.fail_after(60):
            return json.loads((await anext(self.events)).data)


@asynccontextmanager
async def raw_client(uri: str, **headers: str) -> AsyncGenerator[Raw]:
    url = httpx2.URL(uri.removeprefix("sse+"))
    async with httpx2.AsyncClient(timeout=60, headers=headers) as http, http.sse(str(url)) as source:
        events = aiter(source)
        yield Raw(http, events, url.join((await anext(events)).data))


@asyncio_only
@modes
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_body_is_answered_with_an_error_and_the_next_call_works(mode: Mode, name: str) -> None:
    body, request_id = BAD[name]
    server = SmallServer()
    async with server.listen(LOCAL) as listener, raw_client(listener.uri) as raw:
        refused = await raw.post(body)
        assert refused.status_code == 400
        assert refused.json()["id"] == request_id
        assert refused.json()["error"]["code"] in (-32600, -32700)

        if mode == "legacy":
            assert (await raw.post(INITIALIZE)).status_code == 202
            assert (await raw.answer())["id"] == 0
            assert (await raw.post({"jsonrpc": "2.0", "method": "notifications/initialized"})).status_code == 202
        assert (await raw.post(call(mode=mode))).status_code == 202
        assert (await raw.answer())["id"] == 1
    assert server.calls == ["add"]


@asyncio_only
async def test_messages_for_nobody_are_refused() -> None:
    async with SmallServer().listen(LOCAL) as listener, raw_client(listener.uri) as raw:
        for session, status in (("0" * 32, 404), ("nonsense", 400)):
            raw.endpoint = raw.endpoint.copy_with(params={"session_id": session})
            assert (await raw.post(INITIALIZE)).status_code == status


@asyncio_only
async def test_the_host_and_the_origin_are_checked_on_both_paths() -> None:
    async with SmallServer().listen(LOCAL) as listener, raw_client(listener.uri) as raw:
        url = listener.uri.removeprefix("sse+")
        for headers, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
            assert (await raw.http.get(url, headers=headers)).status_code == status
            assert (await raw.post(INITIALIZE, **headers)).status_code == status
        assert (await raw.post(INITIALIZE, Origin="http://localhost:3000")).status_code == 202


@asyncio_only
async def test_other_methods_are_refused() -> None:
    async with SmallServer().listen(LOCAL) as listener, raw_client(listener.uri) as raw:
        assert (await raw.http.post(listener.uri.removeprefix("sse+"))).headers["allow"] == "GET"
        assert (await raw.http.get(raw.endpoint)).headers["allow"] == "POST"


@asyncio_only
async def test_one_event_stream_too_many_is_refused() -> None:
    async with SmallServer().listen(LOCAL, max_sessions=1) as listener:
        async with raw_client(listener.uri):
            with pytest.raises(ConnectFailed, match="503"):
                await connect_to(listener.uri)
        with anyio.fail_after(60):
            while not await can_connect(listener.uri):  # the server has to notice that the first one left
                await checkpoint()


async def can_connect(uri: str) -> bool:
    try:
        async with Client(dialled(uri)):
            return True
    except ConnectFailed:
        return False


@asyncio_only
async def test_a_session_is_its_owners_only() -> None:
    listening = SmallServer().listen(LOCAL, token_verifier=Verifier())
    async with listening as listener, raw_client(listener.uri, Authorization="Bearer secret-of-ann") as raw:
        assert (await raw.post(INITIALIZE, Authorization="Bearer secret-of-bob")).status_code == 404
        assert (await raw.post(INITIALIZE, Authorization="Bearer secret-of-eve")).status_code == 401
        assert (await raw.post(INITIALIZE)).status_code == 202


@asyncio_only
async def test_what_cannot_be_served_is_refused() -> None:
    for options in ({}, {"ssl_certfile": "/nowhere/cert.pem"}):
        with pytest.raises(URIError):
            listen_at("sse+https://127.0.0.1:0", SmallServer(), **options)
    with pytest.raises(URIError):
        listen_at(f"{LOCAL}/what%3F", SmallServer())
    with pytest.raises(ListenFailed, match="allow_remote"):
        async with SmallServer().listen("sse+http://0.0.0.0:0"):
            pass
    async with SmallServer().listen(LOCAL) as listener:
        with pytest.raises(ListenFailed, match="in use"):
            async with SmallServer().listen(listener.uri):
                pass


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_listeners_need_asyncio() -> None:
    with pytest.raises(ListenFailed, match="need asyncio"):
        async with SmallServer().listen(LOCAL):
            pass


# --- the end ----------------------------------------------------------------------------------------------------


@asyncio_only
async def test_listeners_end_at_once_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GRACE", NEVER)  # what has a grace to wait for does not end in this test
    for _ in range(2):
        server = SmallServer()
        async with (
            closable(server, LOCAL) as (uri, stop),
            Client(dialled(uri)) as client,
            anyio.create_task_group() as tasks,
        ):

            async def blocked(client: Client = client) -> None:
                with pytest.raises(MCPError):
                    await client.call_tool("block", {})

            tasks.start_soon(blocked)
            await until(server.blocked)
            stop.set()
        assert server.ended.is_set()


@asyncio_only
async def test_a_client_that_leaves_ends_its_own_session() -> None:
    server = SmallServer()
    async with server.listen(LOCAL) as listener:
        async with Client(dialled(listener.uri)) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "block")
            await until(server.blocked)
            tasks.cancel_scope.cancel()
        await until(server.ended)
        async with Client(dialled(listener.uri)) as client:
            assert await add(client) == 5
