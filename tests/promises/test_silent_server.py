"""A server that stops answering is noticed, though its connection stays open; one that is only busy is not given up."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.client import heartbeat as heartbeat_module

pytestmark = pytest.mark.anyio

SERVER = """
import os, sys
import anyio
import mcpc
from mcp.server import MCPServer

server = MCPServer("silent", log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server)

@server.tool()
async def pid() -> int:
    return os.getpid()

@server.tool()
async def wait() -> None:
    await anyio.sleep_forever()

@callbacks.tool()
async def background(task: mcpc.Task) -> None:
    await anyio.sleep_forever()

mcpc.run(server, sys.argv[1], on_listening=lambda uri: print(uri, file=sys.stderr, flush=True))
"""

SILENT = "the server has not answered"
HEARTBEAT = 2.0
"""Seconds: a process that is there answers within twice as many, whatever else the machine does."""


async def _stop_and_wait(client: mcpc.Client) -> int:
    """Stop the server's process; what waits for it fails."""
    process = (await client.call_tool("pid")).structured_content
    assert process is not None
    task = await client.start_task("background")

    async def call() -> None:
        with pytest.raises(MCPError, match=SILENT):
            await client.call_tool("wait")

    async with anyio.create_task_group() as calls:
        calls.start_soon(call)
        await client.list_tools()  # the call has been sent before
        os.kill(process["result"], signal.SIGSTOP)
        with pytest.raises(mcpc.ConnectionLost, match=SILENT):
            await task.result()
    return process["result"]


async def test_a_stopped_process_is_noticed_over_stdio(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    uri = f"stdio:{shlex.join([sys.executable, str(script), 'stdio:'])}"
    with anyio.fail_after(60):
        async with mcpc.Client(uri, errlog=None, heartbeat=HEARTBEAT, terminate_timeout=0.2) as client:
            await _stop_and_wait(client)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "unix://{folder}/server.sock"], ids=["tcp", "unix"])
async def test_a_stopped_process_is_noticed_over_sockets(address: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, str(script), address.format(folder=tmp_path)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            uri = (await anyio.to_thread.run_sync(process.stderr.readline)).strip()
            with anyio.fail_after(60):
                async with mcpc.Client(uri, heartbeat=HEARTBEAT, reconnect=False) as client:
                    assert await _stop_and_wait(client) == process.pid
        finally:
            process.kill()


async def test_a_server_whose_tool_blocks_a_thread_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_module, "LAST_LOOK", 10.0)  # an answer may take what it takes here
    server = MCPServer[Any]("busy", log_level="CRITICAL")
    mcpc.MCPCHelper(server)
    released, asked = threading.Event(), anyio.Event()

    @server.tool()
    def block() -> str:  # pyright: ignore[reportUnusedFunction]
        released.wait()
        return "done"

    states: list[str] = []
    with anyio.fail_after(60):
        async with (
            mcpc.listen(server, f"unix://{tmp_path}/busy.sock") as listener,
            mcpc.Client(listener.uri, heartbeat=0.02, on_connection=states.append) as client,
            anyio.create_task_group() as calls,
        ):

            async def call() -> None:
                assert (await client.call_tool("block")).structured_content == {"result": "done"}
                asked.set()

            calls.start_soon(call)
            for _ in range(10):
                heard = client._heartbeat.heard  # pyright: ignore[reportPrivateUsage]
                while client._heartbeat.heard == heard:  # pyright: ignore[reportPrivateUsage] # noqa: ASYNC110
                    await anyio.sleep(0.01)
            released.set()
            await asked.wait()
    assert states == ["connected", "closed"]
