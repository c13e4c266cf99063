"""A server that is run for a client and dies: the client says how, to everybody who waits."""

import shlex
import sys
from pathlib import Path

import anyio
import pytest
from mcp.shared.exceptions import MCPError

import mcpc

pytestmark = pytest.mark.anyio

SERVER = """
import os, signal, sys
import mcpc
from mcp.server import MCPServer

server = MCPServer("mortal", log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server)

def end(how: str) -> None:
    print("no licence \\x1b[2J found", file=sys.stderr, flush=True)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)

@server.tool()
def plain(how: str) -> None:
    end(how)

@callbacks.tool()
async def background(how: str, task: mcpc.Task) -> None:
    await task.update("still here")
    await task.ask("end?")
    end(how)

mcpc.run(server, "stdio:")
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    return f"stdio:{shlex.join([sys.executable, str(script)])}"


@pytest.mark.parametrize(
    ("how", "words"),
    [("exit", "the server ended with exit code 3"), ("kill", r"the server ended by signal 9 \(Killed\)")],
)
async def test_pending_calls_and_handles_say_how_it_ended_and_its_last_words(
    how: str, words: str, command: str, tmp_path: Path
) -> None:
    with (tmp_path / "stderr").open("w+b") as errlog, anyio.fail_after(60):
        async with mcpc.Client(command, errlog=errlog) as client:
            task = await client.start_task("background", {"how": how})
            async for message in task:
                if message.event == "update":
                    break
            with pytest.raises(MCPError, match=words) as failed:
                await client.call_tool("plain", {"how": how})
            assert r"no licence \x1b[2J found" in str(failed.value)
            with pytest.raises(mcpc.ConnectionLost, match=words):
                await task.result()


async def test_an_ordinary_tool_that_was_started_as_a_task_says_it_too_and_once(command: str) -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(command, mode="legacy", errlog=None) as client:
            with pytest.raises(mcpc.ConnectionLost) as failed:
                await (await client.start_task("plain", {"how": "exit"})).result()
    assert str(failed.value).count("the server ended with exit code 3") == 1
    assert str(failed.value).count(r"no licence \x1b[2J found") == 1


async def test_one_that_dies_before_it_says_anything_is_told_of_too() -> None:
    with anyio.fail_after(60), pytest.raises(mcpc.ConnectFailed, match="the server ended with exit code 7"):
        async with mcpc.Client(f"stdio:{shlex.quote(sys.executable)} -c 'raise SystemExit(7)'"):
            raise AssertionError("there is nobody")
