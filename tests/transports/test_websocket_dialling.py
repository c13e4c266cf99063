"""Dialling a WebSocket server: what is sent, what cannot be, and what a failure says."""

import base64
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.abc
import pytest

from mcpc import uri as uris
from mcpc.errors import ConnectFailed, UnknownOption, URIError
from ws_kit import DEADLINE, dial, listen, read_request, steps, tcp_server, works

pytestmark = pytest.mark.anyio

SECRET = "s3cret-t0ken"


@pytest.mark.parametrize(
    ("uri", "options", "says"),
    [
        ("ws://127.0.0.1:1/", {"ssl_context": object()}, "wss"),
        ("ws:///mcp", {}, "host"),
        ("ws://a..b/", {}, "host"),
        ("ws://127.0.0.1:1/#here", {}, "fragment"),
        ("ws://a%3Ab:c@127.0.0.1:1/", {}, "colon"),
        ("ws://127.0.0.1:1/", {"headers": {"Bad Name": "x"}}, "Bad Name"),
        ("ws://127.0.0.1:1/", {"headers": {"X": f"{SECRET}\r\nY: z"}}, "'X'"),
        ("ws://127.0.0.1:1/", {"headers": {"X": f"{SECRET}値"}}, "'X'"),
        ("ws://127.0.0.1:1/", {"headers": {"Sec-WebSocket-Extensions": "x"}}, "Sec-WebSocket"),
        ("ws://127.0.0.1:1/", {"headers": {"host": "x"}}, "host"),
        ("ws://127.0.0.1:1/", {"headers": {"authorization": "x"}, "token": SECRET}, "Authorization"),
        (f"ws://me:{SECRET}@127.0.0.1:1/", {"token": SECRET}, "Authorization"),
        ("ws://127.0.0.1:1/", {"token": f"{SECRET}\n"}, "Authorization"),
        ("ws://127.0.0.1:1/", {"open_timeout": 0}, "open_timeout"),
    ],
)
async def test_what_cannot_be_dialled_is_refused_at_once(uri: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(URIError, match=says) as caught:
        uris.dial(uri, **options)
    assert SECRET not in str(caught.value)


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UnknownOption, match="compression"):
        uris.dial("ws://127.0.0.1:1/", compression=True)


async def test_the_client_sends_what_it_was_told_to() -> None:
    asked: list[str] = []

    async def take(stream: anyio.abc.SocketStream) -> None:
        _, got = await read_request(stream)
        asked.append(f"{got.path}\r\n{got.headers}")

    async with tcp_server(take) as uri:
        for prefix, options in (
            ("", {"token": SECRET, "headers": {"X-Tenant": "acme"}, "origin": "http://localhost"}),
            (f"me:{SECRET}@", {}),
        ):
            with pytest.raises(ConnectFailed) as caught:
                async with dial(uri.replace("//", f"//{prefix}") + "/ü?q=1", **options):
                    pass
            assert SECRET not in str(caught.value)
    first, second = asked
    assert first.startswith("/mcp/%C3%BC?q=1\r\n")
    for line in (f"Authorization: Bearer {SECRET}", "X-Tenant: acme", "Origin: http://localhost"):
        assert line in first
    assert "Sec-WebSocket-Protocol: mcp" in first
    assert "xtensions" not in first
    assert f"Authorization: Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}" in second


def answering(answer: bytes) -> AbstractAsyncContextManager[str]:
    """The address of a server that answers every handshake with `answer`."""

    async def handler(stream: anyio.abc.SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer)

    return tcp_server(handler)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away", "HTTP 403 Forbidden: go away"),
        (b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 1000, f"HTTP 500 Oops: {'x' * 200}$"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302 Found$"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"),
        (b"220 mail.example ESMTP\r\n", "did not answer as"),
        (b"", "ended"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "did not answer as"),
        (f"HTTP/1.1 401 No\r\n\r\nbad token {SECRET}".encode(), r"bad token \*\*\*$"),
    ],
)
async def test_a_refused_client_says_what_it_was_told(answer: bytes, says: str) -> None:
    with anyio.fail_after(DEADLINE):
        async with answering(answer) as uri:
            with pytest.raises(ConnectFailed, match=says) as caught:
                async with dial(uri, token=SECRET):
                    pass
    assert SECRET not in str(caught.value)


async def test_a_server_that_selects_another_subprotocol_is_refused() -> None:
    async def select_chat(stream: anyio.abc.SocketStream) -> None:
        protocol, asked = await read_request(stream)
        answer = protocol.accept(asked)
        answer.headers["Sec-WebSocket-Protocol"] = "chat"
        await stream.send(answer.serialize())
        await stream.receive()

    async with tcp_server(select_chat) as uri:
        with pytest.raises(ConnectFailed, match="chat"):
            async with dial(uri):
                pass


async def test_what_comes_along_with_the_servers_answer_is_not_lost() -> None:
    async def eager(stream: anyio.abc.SocketStream) -> None:
        protocol, asked = await read_request(stream)
        await stream.send(protocol.accept(asked).serialize() + b"\x81\x02{}\x88\x02\x03\xe8")
        await stream.receive()

    async with tcp_server(eager) as uri, dial(uri) as channel:
        assert await channel.receive() == b"{}"


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(DEADLINE):
        async with tcp_server(silent) as uri:
            with pytest.raises(ConnectFailed, match=r"within 0\.05 s"):
                async with dial(uri, open_timeout=0.05):
                    pass


@pytest.mark.parametrize(
    ("uri", "says"),
    [("ws://127.0.0.1:1/", "cannot be reached"), ("ws://nowhere.invalid:1/", "cannot be found")],
)
async def test_nobody_there_is_said_clearly(uri: str, says: str) -> None:
    with pytest.raises(ConnectFailed, match=says):
        async with dial(uri):
            pass


async def test_a_cancelled_connect_leaves_nothing_behind() -> None:
    with anyio.fail_after(DEADLINE):
        async with listen() as listener:
            for count in range(25):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_cancel_after, scope, count)
                        async with dial(listener.uri):
                            tasks.cancel_scope.cancel()
            await works(listener.uri)


async def _cancel_after(scope: anyio.CancelScope, count: int) -> None:
    await steps(count)
    scope.cancel()
