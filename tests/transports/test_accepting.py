"""Listeners when there is no room left: they stay quiet, go on, and cut off who only takes up room."""

import logging
import math
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc_transports import accepting
from mcpc_transports.http import edge
from support import TEMPLATES, Certificates

pytestmark = pytest.mark.anyio

SERVER = """
import logging, os, resource, sys
import anyio
import mcpc
from mcp.server import MCPServer

logging.basicConfig(level=logging.WARNING)

async def main():
    async with mcpc.listen(MCPServer("poor", log_level="WARNING"), sys.argv[1]) as listener:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
        print(listener.uri, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""

ADDRESSES = (
    "tcp://127.0.0.1:0",
    "unix://{folder}/server.sock",
    "ws://127.0.0.1:0/mcp",
    "http://127.0.0.1:0/mcp",
    "sse+http://127.0.0.1:0/sse",
)


def _host_and_port(uri: str) -> tuple[str, int]:
    host, _, port = uri.partition("://")[2].partition("/")[0].rpartition(":")
    return host, int(port)


async def _connect(uri: str) -> anyio.abc.ByteStream:
    if uri.startswith("unix"):
        return await anyio.connect_unix(uri.removeprefix("unix://"))
    return await anyio.connect_tcp(*_host_and_port(uri))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.partition(":")[0])
async def test_without_descriptors_a_listener_says_so_once_and_goes_on_later(address: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, str(script), address.format(folder=tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            uri = (await anyio.to_thread.run_sync(process.stdout.readline)).strip()
            with anyio.fail_after(60):
                crowd = [await _connect(uri) for _ in range(30)]
                said = await anyio.to_thread.run_sync(process.stderr.readline)
                assert "no connection can be accepted" in said
                for connection in crowd:
                    await connection.aclose()
                async with mcpc.Client(uri) as client:
                    assert (await client.list_tools()).tools == []
        finally:
            process.kill()
        assert "no connection can be accepted" not in process.stderr.read()


@asynccontextmanager
async def _http(scheme: str = "http", **options: Any) -> AsyncGenerator[str]:
    uri = f"{scheme}://127.0.0.1:0/{'mcp' if scheme == 'http' else 'sse'}"
    async with mcpc.listen(MCPServer[Any]("http", log_level="CRITICAL"), uri, **options) as listener:
        yield listener.uri


async def _dribble(stream: anyio.abc.ByteStream, text: bytes) -> None:
    """Send a text byte by byte, again and again, until the other side has had enough of it."""
    while True:
        for byte in text:
            await stream.send(bytes([byte]))
            await anyio.sleep(0.005)


async def _read_to_the_end(stream: anyio.abc.ByteStream) -> bytes:
    """What comes until the connection ends."""
    read = b""
    try:
        while True:
            read += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return read


async def _while_dribbling(stream: anyio.abc.ByteStream, text: bytes) -> bytes:
    async def dribble() -> None:
        try:
            await _dribble(stream, text)
        except anyio.BrokenResourceError:
            await anyio.sleep_forever()

    read = b""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dribble)
        read = await _read_to_the_end(stream)
        tasks.cancel_scope.cancel()
    return read


FIRST = b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scheme", ["http", "sse+http"])
@pytest.mark.parametrize("before", [b"", FIRST], ids=["first", "second"])
async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(before: bytes, scheme: str) -> None:
    with anyio.fail_after(60):
        async with (
            _http(scheme, head_timeout=2.0 if before else 0.2) as uri,
            await anyio.connect_tcp(*_host_and_port(uri)) as stream,
        ):
            if before:
                await stream.send(before)
                assert b"404" in await stream.receive()
            await stream.send(b"POST /mcp HTTP/1.1\r\n")
            await _while_dribbling(stream, b"X-Slow: 1\r\n")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scheme", ["https", "sse+https"])
async def test_a_tls_handshake_of_which_nothing_comes_is_not_waited_for(
    scheme: str, certificates: Certificates
) -> None:
    uri = TEMPLATES[scheme]
    options: dict[str, Any] = {"ssl_context": certificates.server, "head_timeout": 0.2}
    with anyio.fail_after(60):
        async with mcpc.listen(MCPServer[Any]("tls", log_level="CRITICAL"), uri, **options) as listener:
            async with await anyio.connect_tcp(*_host_and_port(listener.uri)) as stream:
                assert await _read_to_the_end(stream) == b""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("scheme", "path"), [("http", b"/mcp"), ("sse+http", b"/sse/messages/")])
async def test_a_body_that_comes_byte_by_byte_is_refused(scheme: str, path: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    with anyio.fail_after(60):
        async with _http(scheme, body_timeout=0.2) as uri, await anyio.connect_tcp(*_host_and_port(uri)) as stream:
            await stream.send(head % path)
            assert b" 408 " in await _while_dribbling(stream, b" ")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scheme", ["http", "sse+http"])
async def test_a_body_of_which_nothing_comes_is_refused_before_its_time_is_over(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the time without a byte is enough, so the whole of it may be generous."""
    monkeypatch.setattr(edge, "SILENCE", 0.001)
    path = b"/mcp" if scheme == "http" else b"/sse/messages/"
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
    with anyio.fail_after(60):
        async with _http(scheme, body_timeout=200) as uri, await anyio.connect_tcp(*_host_and_port(uri)) as stream:
            await stream.send(head % path)
            assert b" 408 " in await stream.receive()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scheme", ["http", "sse+http"])
@pytest.mark.parametrize("option", ["max_connections", "head_timeout", "body_timeout"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
async def test_a_bound_of_a_listener_that_is_none_is_refused(scheme: str, option: str, value: float) -> None:
    with pytest.raises(mcpc.URIError, match=option):
        async with _http(scheme, **{option: value}):
            raise AssertionError("it is served")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_connections_over_the_bound_wait_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "PAUSE", 0.01)
    with anyio.fail_after(60), caplog.at_level(logging.WARNING, "mcpc"):
        async with _http(max_connections=2) as uri:
            first, second, third = [await anyio.connect_tcp(*_host_and_port(uri)) for _ in range(3)]
            for stream in (first, second):
                await stream.send(FIRST)
                assert b"404" in await stream.receive()
            await third.send(FIRST)
            while "as many as may be" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
                await anyio.sleep(0.01)
            await first.aclose()
            assert b"404" in await third.receive()
            await second.aclose()
            await third.aclose()
    assert caplog.text.count("no connection can be accepted") == 1
