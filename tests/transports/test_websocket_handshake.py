"""Whom a WebSocket listener lets in, what it tells the others, and where it may be bound."""

import logging
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import anyio.abc
import pytest
from mcp.server.auth.provider import AccessToken
from websockets.frames import Opcode

from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.uri import parse_uri
from ws_kit import DEADLINE, Serve, ask, listen, raw_client, request, swallow, tcp, works

pytestmark = pytest.mark.anyio

SECRET = "s3cret-t0ken"


class Tokens:
    """Knows one token, and one that has expired; breaks at one."""

    async def verify_token(self, token: str) -> AccessToken | None:
        if token == "breaks":
            raise RuntimeError(f"the database is down; was asked for {token}")
        if token not in (SECRET, "expired"):
            return None
        expiry = int(time.time()) + (60 if token == SECRET else -60)
        return AccessToken(
            token=token, client_id="ann", scopes=[], expires_at=expiry, subject="42", claims={"iss": "https://id"}
        )


# --- what the server refuses ---


@pytest.mark.parametrize(
    ("start", "headers", "status"),
    [
        ("GET /other HTTP/1.1", {}, 404),
        ("GET /mcp/ HTTP/1.1", {}, 404),
        ("POST /mcp HTTP/1.1", {}, 405),
        ("GET /mcp HTTP/1.0", {}, 505),
        ("hello", {}, 400),
        (None, {"Upgrade": None}, 426),
        (None, {"Connection": "keep-alive"}, 426),
        (None, {"Sec-WebSocket-Key": None}, 400),
        (None, {"Sec-WebSocket-Version": "8"}, 400),
        (None, {"Sec-WebSocket-Protocol": "chat"}, 400),
        (None, {"Host": None}, 400),
        (None, {"Host": "evil.example"}, 421),
        (None, {"Host": "localhost.evil.example"}, 421),
        (None, {"Origin": "http://evil.example"}, 403),
        (None, {"Origin": "null"}, 403),
        (None, {"Origin": "http://localhost.evil.example"}, 403),
        (None, {"Origin": "http://localhost:80@evil.example"}, 403),
        (None, {"Content-Length": "5"}, 400),
        (None, {"X-Long": "x" * 9000}, 431),
        (None, {f"X-{number}": "x" for number in range(200)}, 431),
    ],
)
async def test_a_bad_request_is_refused_before_the_upgrade(
    start: str | None, headers: dict[str, str | None], status: int
) -> None:
    endpoint = Serve()
    with anyio.fail_after(DEADLINE):
        async with listen(endpoint) as listener:
            answer = await ask(listener.uri, request(listener.uri, headers, start=start))
            await works(listener.uri)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert answer.partition("\r\n\r\n")[2].strip(), "a refusal says why"
    assert len(endpoint.peers) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LOCALHOST"},
        {"Host": "[::1]"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://[::1]:80"},
        {"Sec-WebSocket-Protocol": None},
        {"Sec-WebSocket-Protocol": "chat, mcp"},
    ],
)
async def test_what_local_clients_send_is_accepted(headers: dict[str, str | None]) -> None:
    async with listen() as listener:
        answer = await ask(listener.uri, request(listener.uri, headers))
    assert answer.startswith("HTTP/1.1 101 ")
    offered = headers.get("Sec-WebSocket-Protocol", "mcp")
    assert ("Sec-WebSocket-Protocol: mcp" in answer) == (offered is not None)


async def test_compression_is_not_accepted() -> None:
    async with listen() as listener:
        offer: dict[str, str | None] = {"Sec-WebSocket-Extensions": "permessage-deflate"}
        answer = await ask(listener.uri, request(listener.uri, offer))
    assert answer.startswith("HTTP/1.1 101 ")
    assert "xtensions" not in answer


async def test_allowed_hosts_and_origins_replace_the_usual_ones() -> None:
    async with listen(allowed_hosts=["my.example:*"], allowed_origins=["https://app.example"]) as listener:

        async def status(**headers: str) -> str:
            answer = await ask(listener.uri, request(listener.uri, dict(headers)))
            return answer[9:12]

        assert await status(Host="my.example:443") == "101"
        assert await status(Host="localhost") == "421"
        assert await status(Host="my.example", Origin="https://app.example") == "101"
        assert await status(Host="my.example", Origin="https://app.example:444") == "403"
        assert await status(Host="my.example", Origin="http://localhost") == "403"


async def test_the_query_of_a_request_does_not_matter_to_its_path() -> None:
    async with listen() as listener:
        await works(listener.uri + "?session=1")


async def test_what_follows_the_request_before_the_answer_is_refused() -> None:
    async with listen() as listener:
        answer = await ask(listener.uri, request(listener.uri) + b"\x81\x80\0\0\0\0\x81")
    assert answer.startswith("HTTP/1.1 400 ")


# --- tokens ---


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic YTpi", 401),
        ("Bearer ", 401),
        ("Bearer wrong", 401),
        ("Bearer expired", 401),
        ("Bearer breaks", 500),
        (f"Bearer {SECRET}", 101),
        (f"bearer {SECRET}", 101),
    ],
)
async def test_a_token_is_checked_before_the_upgrade(
    authorization: str | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with listen(token_verifier=Tokens()) as listener:
        answer = await ask(listener.uri, request(listener.uri, {"Authorization": authorization}))
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert ("WWW-Authenticate: Bearer" in answer) == (status == 401)
    assert ("the database is down" in caplog.text) == (status == 500)
    assert "breaks" not in caplog.text


async def test_the_endpoint_learns_who_the_client_is() -> None:
    endpoint = Serve()
    async with listen(endpoint, token_verifier=Tokens()) as listener:
        await works(listener.uri, token=SECRET)
        with pytest.raises(ConnectFailed, match="401") as caught:
            await works(listener.uri, token="wr0ng")
        assert "wr0ng" not in str(caught.value)
    assert [peer.principal for peer in endpoint.peers] == [("ann", "https://id", "42")]
    host, _, port = endpoint.peers[0].address.rpartition(":")
    assert host == "127.0.0.1"
    assert port.isdecimal()


async def test_without_a_verifier_nobody_is_known() -> None:
    endpoint = Serve()
    async with listen(endpoint) as listener:
        await works(listener.uri, token=SECRET)
    assert [peer.principal for peer in endpoint.peers] == [None]


async def test_nothing_of_a_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with listen(token_verifier=Tokens()) as listener:
        await works(listener.uri, token=SECRET)
        with pytest.raises(ConnectFailed):
            await works(listener.uri, token="wr0ng")
    assert "wr0ng" not in caplog.text
    assert SECRET not in caplog.text


# --- bad clients, and too many ---


async def just_leave(stream: anyio.abc.SocketStream) -> None:
    """Say nothing at all."""


async def talk_json(stream: anyio.abc.SocketStream) -> None:
    """Speak another transport's language."""
    await stream.send(b'{"jsonrpc": "2.0", "method": "ping", "id": 1}\n')
    assert (await stream.receive()).startswith(b"HTTP/1.1 400 ")


async def leave_half_way(stream: anyio.abc.SocketStream) -> None:
    """Leave in the middle of the request."""
    await stream.send(b"GET /mcp HTTP/1.1\r\nHost: 127")


async def never_end(stream: anyio.abc.SocketStream) -> None:
    """Send a line without an end, until the server has had enough."""
    with suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(b"G" * 100_000)


@pytest.mark.parametrize("behave", [just_leave, talk_json, leave_half_way, never_end])
async def test_the_server_survives_bad_clients(behave: Callable[[anyio.abc.SocketStream], Awaitable[None]]) -> None:
    with anyio.fail_after(DEADLINE):
        async with listen() as listener:
            for _ in range(3):
                async with tcp(listener.uri) as stream:
                    await behave(stream)
            await works(listener.uri)


async def test_a_client_that_takes_too_long_is_dropped() -> None:
    with anyio.fail_after(DEADLINE):
        async with listen(open_timeout=0.05) as listener, tcp(listener.uri) as stream:
            await stream.send(b"GET /mcp HTTP/1.1\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()


async def test_clients_over_the_limit_are_told_so_and_served_when_there_is_room() -> None:
    endpoint = Serve(swallow)
    with anyio.fail_after(DEADLINE):
        async with listen(endpoint, max_connections=2, open_timeout=600) as listener, tcp(listener.uri):
            async with raw_client(listener.uri) as peer:
                with pytest.raises(ConnectFailed, match="503"):
                    await works(listener.uri)
                await peer.send(Opcode.CLOSE, b"\x03\xe8")
                await endpoint.ended.wait()
                await peer.closing()
                with pytest.raises(anyio.EndOfStream):
                    await peer.receive()
            endpoint.handler = Serve().handler
            await works(listener.uri)


class Told(logging.Handler):
    """Sets an event when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


async def test_a_listener_outlives_a_want_of_file_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    logging.getLogger("mcpc").addHandler(told)
    with anyio.fail_after(DEADLINE):
        async with listen() as listener:
            uri = parse_uri(listener.uri)
            with socket.socket() as client, few_descriptors():
                client.connect((uri.host, uri.port))
                await told.event.wait()
            await works(listener.uri)
    logging.getLogger("mcpc").removeHandler(told)
    assert "no connection can be accepted" in caplog.text


@contextmanager
def few_descriptors() -> Generator[None]:
    """Let no more files be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as lowest_free:
        number = lowest_free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- binding ---


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_the_address_of_a_listener_can_be_dialled(host: str) -> None:
    try:
        async with listen(uri=f"ws://{host}:0/a/b") as listener:
            assert listener.uri.startswith(f"ws://{host}:")
            assert listener.uri.endswith("/a/b")
            await works(listener.uri)
    except ListenFailed as exc:
        if host != "[::1]":
            raise
        pytest.skip(f"no IPv6 here: {exc}")


async def test_an_address_without_a_path_serves_the_root() -> None:
    async with listen(uri="ws://127.0.0.1:0") as listener:
        await works(listener.uri)
        await works(listener.uri + "/")


async def test_other_machines_are_let_in_only_on_purpose() -> None:
    with pytest.raises(ListenFailed, match="allow_remote"):
        async with listen(uri="ws://0.0.0.0:0/mcp"):
            pass
    async with listen(uri="ws://0.0.0.0:0/mcp", allow_remote=True) as listener:
        assert listener.uri.startswith("ws://127.0.0.1:")
        await works(listener.uri)
        answer = await ask(listener.uri, request(listener.uri, {"Host": "whatever.example"}))
        assert answer.startswith("HTTP/1.1 101 ")
    async with listen(uri="ws://0.0.0.0:0/mcp", token_verifier=Tokens()) as listener:
        await works(listener.uri, token=SECRET)


async def test_an_address_in_use_cannot_be_served() -> None:
    async with listen() as listener:
        with pytest.raises(ListenFailed, match="in use"):
            async with listen(uri=listener.uri):
                pass


@pytest.mark.parametrize(
    ("uri", "options", "says"),
    [
        ("wss://127.0.0.1:0/", {}, "ssl_context"),
        ("ws://127.0.0.1:0/", {"ssl_context": object()}, "wss"),
        ("ws://:0/", {}, "host"),
        ("ws://me@127.0.0.1:0/", {}, "user"),
        ("ws://127.0.0.1:0/?a=b", {}, "query"),
        ("ws://127.0.0.1:0/", {"ping_interval": 0}, "ping_interval"),
        ("ws://127.0.0.1:0/", {"max_message_size": -1}, "max_message_size"),
    ],
)
async def test_what_cannot_be_served_is_refused_at_once(uri: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(URIError, match=says):
        listen(uri=uri, **options)
