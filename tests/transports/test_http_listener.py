"""`http://` and `https://`: what a listener lets in, and how it ends."""

import json
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from anyio.lowlevel import checkpoint
from mcp import Client
from mcp.shared.exceptions import MCPError

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
    modes,
    until,
)
from http_kit import quiet_log as quiet_log
from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.uri import listen_at
from mcpc_transports.http import server as server_module
from ports_kit import free_port

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves the loop over an answer's events early, which trio remarks on.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

LOCAL = "http://127.0.0.1:0"
NEVER = 3600.0
"""Seconds that no test waits."""
MODERN = {"MCP-Protocol-Version": "2026-07-28"}
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
# --- what the server lets in ------------------------------------------------------------------------------------


class Raw:
    """Posts what it is told, in one of the two eras."""

    def __init__(self, http: httpx2.AsyncClient, uri: str) -> None:
        self.http = http
        self.uri = uri
        self.headers = dict(JSON_HEADERS)

    async def post(self, body: object, **headers: str) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(self.uri, content=content, headers={**self.headers, **headers})

    async def valid_call(self, tool: str = "add", **headers: str) -> httpx2.Response:
        modern = {"Mcp-Method": "tools/call", "Mcp-Name": tool} if "MCP-Protocol-Version" in self.headers else {}
        return await self.post(call(tool=tool, mode="auto" if modern else "legacy"), **modern, **headers)


@asynccontextmanager
async def raw_client(uri: str, mode: Mode) -> AsyncGenerator[Raw]:
    async with httpx2.AsyncClient(timeout=60) as http:
        raw = Raw(http, uri)
        if mode == "auto":
            raw.headers |= MODERN
        else:
            begun = await raw.post(INITIALIZE)
            raw.headers |= {"Mcp-Session-Id": begun.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
            ready = await raw.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert ready.status_code == 202
            raw.headers.pop("MCP-Protocol-Version")
        yield raw


@asyncio_only
@modes
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_body_is_answered_with_an_error_and_the_next_call_works(mode: Mode, name: str) -> None:
    body, request_id = BAD[name]
    server = SmallServer()
    async with server.listen(LOCAL) as listener, raw_client(listener.uri, mode) as raw:
        refused = await raw.post(body)
        assert refused.status_code == 400
        answer = refused.json()
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == request_id
        assert answer["error"]["code"] in (-32600, -32700)
        assert server.calls == []

        accepted = await raw.valid_call()
        assert accepted.status_code == 200
        assert server.calls == ["add"]


@asyncio_only
async def test_a_client_that_leaves_in_the_middle_of_its_message_executes_nothing() -> None:
    server = SmallServer()
    async with server.listen(LOCAL) as listener:
        port = httpx2.URL(listener.uri).port
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        body = json.dumps(call()).encode()
        async with await anyio.connect_tcp("127.0.0.1", port or 0) as stream:
            await stream.send(f"{head}MCP-Protocol-Version: 2026-07-28\r\nContent-Length: 9999\r\n\r\n".encode() + body)
        async with raw_client(listener.uri, "auto") as raw:
            assert (await raw.valid_call()).status_code == 200
    assert server.calls == ["add"]


@asyncio_only
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_answered_413(declared: bool) -> None:
    async def in_pieces() -> AsyncGenerator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    content = b" " * 30_000 if declared else in_pieces()
    async with SmallServer().listen(LOCAL, max_message_size=20_000) as listener:
        async with httpx2.AsyncClient(timeout=60) as http:
            refused = await http.post(listener.uri, content=content, headers=JSON_HEADERS)
            assert refused.status_code == 413
            assert refused.json()["id"] is None
        async with raw_client(listener.uri, "auto") as raw:
            assert (await raw.valid_call()).status_code == 200


@asyncio_only
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80"}, 421),
        ({"Host": "localhost:evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 400),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:8000"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://127.0.0.1"}, 200),
    ],
    ids=str,
)
async def test_a_loopback_listener_serves_this_machine_only(headers: dict[str, str], status: int) -> None:
    server = SmallServer()
    async with server.listen(LOCAL) as listener, raw_client(listener.uri, "auto") as raw:
        assert (await raw.valid_call(**headers)).status_code == status
    assert server.calls == (["add"] if status == 200 else [])


@asyncio_only
async def test_hosts_and_origins_of_ones_own_replace_the_local_ones() -> None:
    options = {"allowed_hosts": ["tools.example"], "allowed_origins": ["https://app.example"]}
    async with SmallServer().listen(LOCAL, **options) as listener, raw_client(listener.uri, "auto") as raw:
        good = {"Host": "tools.example", "Origin": "https://app.example"}
        assert (await raw.valid_call(**good)).status_code == 200
        assert (await raw.valid_call(**(good | {"Host": "127.0.0.1"}))).status_code == 421
        assert (await raw.valid_call(**(good | {"Origin": "http://localhost"}))).status_code == 403


@asyncio_only
async def test_a_web_page_reaches_a_remote_listener_only_where_it_is_allowed() -> None:
    page = {"Host": "tools.example", "Origin": "https://app.example"}
    for origins, status in ((None, 403), (["*"], 200)):
        options = {"allow_remote": True, "allowed_origins": origins}
        listening = SmallServer().listen("http://0.0.0.0:0", **options)
        async with listening as listener, raw_client(listener.uri, "auto") as raw:
            assert (await raw.valid_call(**page)).status_code == status


@asyncio_only
async def test_other_methods_and_other_paths_are_refused() -> None:
    async with SmallServer().listen(LOCAL) as listener, httpx2.AsyncClient(timeout=60) as http:
        refused = await http.put(listener.uri, content=b"{}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST, DELETE")
        assert (await http.get(listener.uri + "/other")).status_code == 404


@asyncio_only
async def test_a_session_is_its_owners_only() -> None:
    listening = SmallServer().listen(LOCAL, token_verifier=Verifier())
    async with (
        listening as listener,
        httpx2.AsyncClient(timeout=60, headers={"Authorization": "Bearer secret-of-ann"}) as http,
    ):
        begun = await http.post(listener.uri, json=INITIALIZE, headers=JSON_HEADERS)
        session = {**JSON_HEADERS, "Mcp-Session-Id": begun.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await http.post(listener.uri, json=ping, headers=session)).status_code == 200
        session["Authorization"] = "Bearer secret-of-bob"
        assert (await http.post(listener.uri, json=ping, headers=session)).status_code == 404
        session["Authorization"] = "Bearer secret-of-eve"
        assert (await http.post(listener.uri, json=ping, headers=session)).status_code == 401


@asyncio_only
async def test_one_session_too_many_is_refused() -> None:
    async with SmallServer().listen(LOCAL, max_sessions=1) as listener, raw_client(listener.uri, "legacy") as raw:
        refused = await raw.http.post(listener.uri, json=INITIALIZE, headers=JSON_HEADERS)
        assert refused.status_code == 503


# --- listening --------------------------------------------------------------------------------------------------


@asyncio_only
async def test_a_port_in_use_is_named() -> None:
    async with SmallServer().listen(LOCAL) as listener:
        with pytest.raises(ListenFailed, match=f"{listener.uri}.*in use"):
            async with SmallServer().listen(listener.uri):
                pass


@asyncio_only
async def test_a_remote_address_is_not_served_unasked() -> None:
    with pytest.raises(ListenFailed, match="allow_remote"):
        async with SmallServer().listen("http://0.0.0.0:0"):
            pass


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_listeners_need_asyncio() -> None:
    with pytest.raises(ListenFailed, match="need asyncio"):
        async with SmallServer().listen(LOCAL):
            pass


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("https://127.0.0.1:0", {}),
        ("https://127.0.0.1:0", {"ssl_certfile": "/nowhere/cert.pem"}),
        (LOCAL, {"ssl_certfile": "cert.pem"}),
        ("http://ann:hush@127.0.0.1:0", {}),
        (f"{LOCAL}/mcp?key=hush", {}),
        ("http://:0/mcp", {}),
        (LOCAL, {"max_message_size": 0}),
        (LOCAL, {"max_sessions": 0}),
        (LOCAL, {"session_idle_timeout": -1}),
    ],
    ids=str,
)
def test_what_cannot_be_listened_at_is_refused_before_anything_is_opened(uri: str, options: dict[str, Any]) -> None:
    with pytest.raises(URIError) as refusal:
        listen_at(uri, SmallServer(), **options)
    assert "hush" not in str(refusal.value)


@asyncio_only
async def test_two_listeners_at_once_and_one_after_the_other() -> None:
    for _ in range(2):
        async with SmallServer().listen(LOCAL) as one:
            async with SmallServer().listen(LOCAL) as other, Client(dialled(other.uri), mode="legacy") as client:
                assert await add(client) == 5
            async with Client(dialled(one.uri), mode="legacy") as client:
                assert await add(client) == 5


@asyncio_only
async def test_the_lifespan_of_the_server_is_entered_once() -> None:
    server = SmallServer()
    async with server.listen(LOCAL) as listener:
        for mode in ("auto", "legacy"):
            async with Client(dialled(listener.uri), mode=mode) as client:
                await add(client)
    assert server.lifespans == ["begun", "ended"]


@asyncio_only
async def test_a_lifespan_that_fails_comes_out_as_it_is() -> None:
    server = SmallServer()
    server.lifespan_failure = RuntimeError("no database")
    with pytest.raises(RuntimeError, match="no database"):
        async with server.listen(LOCAL):
            pass


@asyncio_only
async def test_an_error_in_the_block_of_a_listener_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with SmallServer().listen(LOCAL):
            raise KeyError("mine")


# --- the end ----------------------------------------------------------------------------------------------------


@asyncio_only
@modes
@pytest.mark.parametrize("options", [{}, {"json_response": True}, {"stateless": True}], ids=str)
async def test_a_tool_that_blocks_does_not_hold_up_the_end(mode: Mode, options: dict[str, Any]) -> None:
    server = SmallServer()
    async with (
        closable(server, LOCAL, **options) as (uri, stop),
        Client(dialled(uri), mode=mode) as client,
        anyio.create_task_group() as tasks,
    ):

        async def blocked() -> None:
            with pytest.raises(MCPError):
                await client.call_tool("block", {})

        tasks.start_soon(blocked)
        await until(server.blocked)
        stop.set()
    assert server.ended.is_set()
    assert server.lifespans == ["begun", "ended"]


@asyncio_only
async def test_an_event_stream_that_is_open_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GRACE", NEVER)  # what has a grace to wait for does not end in this test
    async with (
        closable(SmallServer(), LOCAL) as (uri, stop),
        raw_client(uri, "legacy") as raw,
        raw.http.stream("GET", uri, headers=raw.headers) as events,
    ):
        assert events.status_code == 200
        stop.set()
        with anyio.fail_after(60):
            async for _ in events.aiter_bytes():
                pass  # a whole answer: the stream ended in good order


@asyncio_only
async def test_a_connection_in_the_middle_of_its_message_does_not_hold_up_the_end() -> None:
    async with closable(SmallServer(), LOCAL) as (uri, stop):
        port = httpx2.URL(uri).port or 0
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\n".encode())
            stop.set()
            with anyio.fail_after(60):
                assert b"503" in await stream.receive()


@asyncio_only
@pytest.mark.parametrize("tool", ["repeat", "count"])  # one large answer; an event stream
async def test_a_client_that_does_not_read_does_not_hold_up_the_end(tool: str) -> None:
    arguments: dict[str, Any] = {"text": "x" * 1000, "times": 20_000} if tool == "repeat" else {"to": 1_000_000}
    message = call(tool=tool, **arguments)
    message["params"]["_meta"]["progressToken"] = 1
    server = SmallServer()
    async with closable(server, LOCAL) as (uri, stop), raw_client(uri, "auto") as raw:
        port = httpx2.URL(uri).port or 0
        headers = {"Host": f"127.0.0.1:{port}", **raw.headers, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        request = raw.http.build_request("POST", uri, json=message, headers=headers)
        lines = [b"POST /mcp HTTP/1.1", *(name + b": " + value for name, value in request.headers.raw)]
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + request.content)
            assert (await anyio.to_thread.run_sync(client.recv, 12)) == b"HTTP/1.1 200"
            stop.set()
            await until(server.down)


@asyncio_only
async def test_a_subscription_that_is_open_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GRACE", NEVER)
    async with closable(SmallServer(), LOCAL) as (uri, stop), raw_client(uri, "auto") as raw:
        listen = call()
        meta = listen["params"]["_meta"]
        listen |= {
            "method": "subscriptions/listen",
            "params": {"notifications": {"toolsListChanged": True}, "_meta": meta},
        }
        headers = {**raw.headers, "Mcp-Method": "subscriptions/listen"}
        async with raw.http.stream("POST", uri, json=listen, headers=headers) as events:
            assert events.status_code == 200
            stop.set()
            with anyio.fail_after(60):
                async for _ in events.aiter_bytes():
                    pass


@asyncio_only
@modes
async def test_a_call_in_progress_gets_its_answer(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GRACE", 60.0)  # the answer ends it
    server = SmallServer()
    async with closable(server, LOCAL) as (uri, stop), raw_client(uri, mode) as raw, anyio.create_task_group() as tasks:

        async def held() -> None:
            answer = await raw.valid_call("hold")
            assert "released" in answer.text

        tasks.start_soon(held)
        await until(server.blocked)
        stop.set()
        await checkpoint()
        server.release.set()


@asyncio_only
async def test_a_listener_that_is_cancelled_ends_in_good_order() -> None:
    server = SmallServer()
    uri = f"http://127.0.0.1:{free_port()}"
    with anyio.CancelScope() as scope:
        async with server.listen(uri), Client(dialled(uri), mode="legacy") as client:
            await add(client)
            scope.cancel()
            await anyio.sleep_forever()
    assert server.lifespans == ["begun", "ended"]
    with pytest.raises(ConnectFailed, match="refused"):
        await connect_to(uri)


@asyncio_only
async def test_a_listener_cancelled_while_it_starts_opens_nothing() -> None:
    server = SmallServer()
    server.lifespan_gate = anyio.Event()
    with anyio.move_on_after(0.05):
        async with server.listen(LOCAL):
            raise AssertionError("it started")


@asyncio_only
async def test_the_signal_handlers_of_the_process_are_left_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with SmallServer().listen(LOCAL):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
