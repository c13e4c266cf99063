"""A serving process ends when it is told to, whatever its workers do, and its server's lifespan is closed before."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc

pytestmark = pytest.mark.anyio

SERVER = """
import asyncio, sys, threading
from contextlib import asynccontextmanager
import mcpc
from mcp.server import MCPServer

@asynccontextmanager
async def lifespan(server):
    yield {}
    print("lifespan closed", flush=True)

server = MCPServer("stuck", lifespan=lifespan, log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server, shutdown_grace=0.05)

@callbacks.tool()
def blocked(task: mcpc.SyncTask) -> None:
    print("called", flush=True)
    task.update("here")
    threading.Event().wait()

@callbacks.tool()
async def stubborn(task: mcpc.Task) -> None:
    await task.update("here")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@server.tool()
def plain() -> None:
    print("called", flush=True)
    threading.Event().wait()

mcpc.run(server, "tcp://127.0.0.1:0", on_listening=lambda uri: print(uri, flush=True))
print("run has returned", flush=True)
"""


INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def _call_of(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT])
def number(request: pytest.FixtureRequest) -> signal.Signals:
    return request.param


async def _call(uri: str, what: str, process: "subprocess.Popen[str]") -> None:
    async with mcpc.Client(uri, reconnect=False) as client:
        if what == "plain":

            async def call() -> None:
                await client.call_tool("plain", {})

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                assert process.stdout is not None
                await anyio.to_thread.run_sync(process.stdout.readline)
                tasks.cancel_scope.cancel()
            return
        async for message in await client.start_task(what):
            if message.event == "update":
                return


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("what", ["blocked", "stubborn", "plain"])
async def test_a_signal_ends_the_process_whatever_hangs(what: str, number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            uri = (await anyio.to_thread.run_sync(process.stdout.readline)).strip()
            with anyio.fail_after(60):
                await _call(uri, what, process)
            process.send_signal(number)
            out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=150))
            assert process.returncode == 0
            assert "lifespan closed" in out
            assert ("run has returned" in out) is (what != "stubborn")
        finally:
            process.kill()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("what", "address"),
    [
        ("blocked", "http://127.0.0.1:0/mcp"),
        ("stubborn", "http://127.0.0.1:0/mcp"),
        ("stubborn", "sse+http://127.0.0.1:0/sse"),
        ("blocked", "ws://127.0.0.1:0/mcp"),
    ],
)
async def test_a_signal_ends_a_web_server_too(what: str, address: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER.replace("tcp://127.0.0.1:0", address))
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            uri = (await anyio.to_thread.run_sync(process.stdout.readline)).strip()
            with anyio.fail_after(200):
                async with mcpc.Client(uri, reconnect=False) as client:
                    async for message in await client.start_task(what):
                        if message.event == "update":
                            break
                    process.send_signal(signal.SIGTERM)  # with the client there, and listening
                    out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=150))
            assert process.returncode == 0
            assert "lifespan closed" in out
        finally:
            process.kill()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("what", ["plain", "blocked"])
async def test_the_client_s_death_ends_a_server_over_stdio_though_a_tool_blocks(what: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER.replace('"tcp://127.0.0.1:0"', '"stdio:"'))
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stderr is not None
            for message in (INITIALIZE, INITIALIZED, _call_of(what)):
                process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            said = ""
            while "called" not in said:  # what is printed goes to stderr: stdout is the wire
                said += await anyio.to_thread.run_sync(process.stderr.readline)
            process.stdin.close()
            process.stdin = None
            out, err = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=150))
            assert process.returncode == 0
            assert "lifespan closed" in said + out + err
        finally:
            process.kill()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("what", ["blocked", "stubborn", "plain"])
async def test_mcpc_serve_ends_too_and_says_once_what_it_left(what: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SERVER.partition("mcpc.run(")[0])
    address = f"unix://{tmp_path}/server.sock"
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [str(Path(sys.executable).with_name("mcpc")), "serve", f"{tmp_path}/app.py", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            while "serving" not in await anyio.to_thread.run_sync(process.stderr.readline):
                assert process.poll() is None
            with anyio.fail_after(60):
                await _call(address, what, process)
            process.send_signal(signal.SIGTERM)
            out, err = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=150))
            assert process.returncode == 0
            assert "lifespan closed" in out
            assert [line for line in err.splitlines() if "would not end" in line or "swallows" in line][1:] == []
        finally:
            process.kill()
