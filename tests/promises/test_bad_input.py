"""Bad input on every transport: an error or a clean close, nothing executed, and the next valid request works."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.errors import TransportError
from mcpc.framing import Connection
from mcpc.transport import FrameChannel
from mcpc.uri import dial
from support import HERE, TEMPLATES, Certificates, serving

pytestmark = pytest.mark.anyio

LIMIT = 100_000
FRAMED = ["memory", "unix", "tcp", "ws", "wss"]
HTTP = ["http", "https", "sse+http", "sse+https"]


def _call(request_id: str, arguments: str = '{"n": 1}') -> bytes:
    text = '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"touch","arguments":%s}}'
    return (text % (request_id, arguments)).encode()


def _sized(size: int) -> bytes:
    frame = _call("7", '{"n": 1, "padding": "%s"}')
    return frame.replace(b"%s", b"x" * (size - len(frame) + 2))


BAD: dict[str, bytes] = {
    "an id of 1.5": _call("1.5"),
    "an id that is true": _call("true"),
    "an id that is null": _call("null"),
    "an id that is a list": _call("[1]"),
    "invalid JSON": b'{"jsonrpc":"2.0","id":7,',
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"touch","x":"\xff\xfe"}}',
    "NaN": _call("7", '{"n": NaN}'),
    "an infinity": _call("7", '{"n": -Infinity}'),
    "a number out of range": _call("7", '{"n": 1e999}'),
    "a batch": b"[" + _call("7") + b"," + _call("8") + b"]",
    "a depth of 100 000": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "one byte over the size limit": _sized(LIMIT + 1),
    "two methods": _call("7").replace(b'"method":', b'"method":"ping","method":'),
    "another version of JSON-RPC": _call("7").replace(b'"2.0"', b'"1.0"'),
    "params that are a list": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}',
    "a text": b'"hello"',
    "an HTTP request": b"POST / HTTP/1.1",
}


def _server(calls: list[Any]) -> MCPServer[Any]:
    server = MCPServer[Any]("bad-input", log_level="CRITICAL")

    @server.tool()
    def touch(n: int) -> int:  # pyright: ignore[reportUnusedFunction]
        calls.append(n)
        return n

    mcpc.MCPCHelper(server)
    return server


@asynccontextmanager
async def _channel(uri: str, options: dict[str, Any]) -> AsyncGenerator[FrameChannel]:
    async with dial(uri, **options) as channel:
        assert isinstance(channel, FrameChannel)
        yield channel


async def _works(uri: str, options: dict[str, Any]) -> bool:
    async with mcpc.Client(uri, **options) as client:
        return bool((await client.list_tools()).tools)


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("scheme", FRAMED)
async def test_a_bad_frame_gets_an_error_or_a_close_and_the_next_valid_request_works(
    scheme: str, bad: str, tmp_path: Path, certificates: Certificates
) -> None:
    calls: list[Any] = []
    frame = BAD[bad]
    if b"\n" in frame and scheme != "ws":
        pytest.skip("a line is what ends at a newline")
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, _server(calls), certificates, max_message_size=LIMIT) as served:
            async with _channel(served.uri, served.options) as channel:
                closed = not await _answered(channel, frame)
                if not closed:
                    # The same connection goes on: a discover request, which needs no handshake, is answered.
                    assert b'"result"' in await _ask(channel, _discover())
            assert await _works(served.uri, served.options)
    assert calls == []


async def test_bad_frames_over_stdio_get_errors_one_after_the_other_and_the_server_goes_on(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("stdio", tmp_path) as served, _channel(served.uri, {}) as channel:
            for bad, frame in BAD.items():
                frame = _sized(4 * 1024 * 1024 + 1) if "size limit" in bad else frame
                assert await _answered(channel, frame), bad
                assert b'"result"' in await _ask(channel, _discover()), bad


async def _answered(channel: FrameChannel, frame: bytes) -> bool:
    """Whether a bad frame was answered with an error; False where the connection was closed instead."""
    try:
        answer = await _ask(channel, frame)
    except TransportError:
        return False
    assert b'"error"' in answer
    assert b'"id":7' in answer or b'"id":null' in answer
    return True


async def _ask(channel: FrameChannel, frame: bytes) -> bytes:
    await channel.send(frame)
    return await channel.receive()


def _discover() -> bytes:
    meta = (
        '"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},'
        '"io.modelcontextprotocol/clientCapabilities":{}'
    )
    return ('{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{%s}}}' % meta).encode()


@pytest.mark.parametrize("scheme", ["unix", "tcp", "memory", "ws"])
async def test_exactly_the_size_limit_passes(scheme: str, tmp_path: Path) -> None:
    calls: list[Any] = []
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, _server(calls), max_message_size=LIMIT) as served:
            async with _channel(served.uri, {}) as channel, Connection(channel, side="client").open():
                frame = _discover()
                padded = frame[:-2] + b',"x":"' + b"x" * (LIMIT - len(frame) - 7) + b'"}}'
                assert len(padded) == LIMIT
                assert b'"result"' in await _ask(channel, padded)


@pytest.mark.parametrize("scheme", ["unix", "tcp", "ws"])
async def test_an_end_in_mid_message_executes_nothing_and_the_next_client_works(scheme: str, tmp_path: Path) -> None:
    calls: list[Any] = []
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, _server(calls)) as served:
            await _half_a_message(served.uri)
            assert await _works(served.uri, {})
    assert calls == []


async def _half_a_message(uri: str) -> None:
    scheme, _, rest = uri.partition("://")
    if scheme == "unix":
        stream: Any = await anyio.connect_unix(rest)
    else:
        stream = await anyio.connect_tcp("127.0.0.1", int(rest.partition("/")[0].rpartition(":")[2]))
    async with stream:
        if scheme == "ws":
            await stream.send(
                b"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"Sec-WebSocket-Protocol: mcp\r\n\r\n"
            )
            assert b"101" in await stream.receive()
            await stream.send(b"\x81\xfe\x01\x00\x00\x00\x00\x00" + _call("7")[:50])  # 256 bytes are announced
        else:
            await stream.send(_call("7")[:50])


@pytest.mark.parametrize("bad", [name for name in BAD if name != "an HTTP request"])
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_bad_body_over_http_gets_an_error_and_the_next_valid_request_works(
    era: str, bad: str, tmp_path: Path
) -> None:
    calls: list[Any] = []
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if era == "2026-07-28":
        headers |= {"mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": "touch"}
    with anyio.fail_after(60):
        async with serving("http", tmp_path, _server(calls), max_message_size=LIMIT) as served:
            async with httpx2.AsyncClient(timeout=60) as http:
                answer = await http.post(served.uri, content=BAD[bad], headers=headers)
                assert answer.status_code >= 400
                if answer.headers.get("content-type", "").startswith("application/json"):
                    assert answer.json()["id"] in (7, None)
            assert await _works(served.uri, {})
    assert calls == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_bad_body_over_sse_gets_an_error_and_the_next_valid_request_works(tmp_path: Path) -> None:
    calls: list[Any] = []
    with anyio.fail_after(60):
        async with serving("sse+http", tmp_path, _server(calls), max_message_size=LIMIT) as served:
            url = served.uri.removeprefix("sse+")
            async with httpx2.AsyncClient(timeout=60) as http, http.stream("GET", url) as events:
                lines = events.aiter_lines()
                target = await _endpoint(lines.__anext__)
                for name, body in BAD.items():
                    if name != "an HTTP request":
                        answer = await http.post(
                            httpx2.URL(url).join(target), content=body, headers={"content-type": "application/json"}
                        )
                        assert answer.status_code >= 400, name
            assert await _works(served.uri, {})
    assert calls == []


async def _endpoint(next_line: Callable[[], Awaitable[str]]) -> str:
    while True:
        line = await next_line()
        if line.startswith("data:"):
            return line.removeprefix("data:").strip()


async def test_a_server_that_prints_to_its_stdout_is_still_understood(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "import os, sys\n"
        "os.write(1, b'starting up...\\n\\xff\\xfe not even text\\n{broken json\\n')\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import mcpc\n"
        "from support import make_server\n"
        "mcpc.run(make_server(), 'stdio:')\n"
    )
    with anyio.fail_after(60):
        async with mcpc.Client(f"stdio:{sys.executable} {noisy}") as client:
            assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}


def test_every_framed_and_http_scheme_is_covered() -> None:
    assert {*FRAMED, "stdio", *HTTP} == set(TEMPLATES)
