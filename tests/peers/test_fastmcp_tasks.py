"""A SEP-2663 server that is not ours, FastMCP's, in an environment and processes of its own: its tasks are followed
from the command line and by our client, which polls them, as that server pushes nothing."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

import mcpc
from cli_kit import MCPC, run, run_all, running
from locked_kit import Locked

HERE = Path(__file__).parent / "fastmcp_peer"
SERVER = str(HERE / "server.py")
DEADLINE = 60
"""Seconds that no test should come near."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),  # the SDK's, on trio
    pytest.mark.timeout(600),  # an environment may have to be made
]


@pytest.fixture(scope="session")
def python() -> str:
    """The Python of an environment that has FastMCP's task server."""
    return Locked.of("fastmcp_tasks").ready()


@pytest.fixture(scope="module")
def uri(python: str) -> Iterator[str]:
    """Where such a server is, over HTTP."""
    with running([python, SERVER, "http"]) as server:
        yield server.read_until(r"(http://\S+)\n", "out").group(1)


@pytest.fixture(params=["http", "stdio"])
def address(request: pytest.FixtureRequest, python: str) -> str:
    """Where to connect, over each of its transports."""
    if request.param == "stdio":
        return f"stdio:{python} {SERVER} stdio"
    return request.getfixturevalue("uri")


# --- from the command line --------------------------------------------------------------------------------------


def test_the_command_line_follows_a_task_to_its_result(uri: str) -> None:
    with running([*MCPC, "call", uri, "analyse", "rows=3", "until=told", "--follow"]) as program:
        program.read_until("half of 3 rows")
        assert run("call", uri, "release", "name=told").stdout == "released\n"
        assert program.finish() == 0
    assert json.loads(program.written["out"]) == {"rows": 3}
    assert program.written["err"].splitlines() == ["half of 3 rows"]


def test_the_command_line_tells_failures_and_asks_what_the_task_asks(uri: str) -> None:
    failed, broken = run_all([["call", uri, "fails"], ["call", uri, "breaks"]])
    asked = run("call", uri, "choose", stdin="Ann\n")
    assert (failed.process.returncode, broken.process.returncode, asked.returncode) == (1, 1, 0)
    assert failed.written["err"] == "error: fails failed: no such row\n"
    assert "rate limit exceeded" in broken.written["err"]
    assert "? Who are you?" in asked.stderr
    assert asked.stdout == "accept: Ann\n"


def test_ctrl_c_cancels_the_task_on_the_server(uri: str) -> None:
    with running([*MCPC, "call", uri, "analyse", "rows=1", "until=never"]) as program:
        program.read_until("half of 1 rows")
        assert program.finish(signal.SIGINT) == 130
    assert program.written["err"].endswith("the task was stopped\n")
    assert run("call", uri, "until_cancelled", "name=never").stdout == "cancelled\n"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_begun_by_another_process_is_attached_to_by_its_id(uri: str) -> None:
    begun = await anyio.run_process([*MCPC, "call", uri, "analyse", "rows=5", "until=attached", "--no-follow"])
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(uri) as client:
            task = await client.task(begun.stdout.decode().strip())
            assert (await anext(task)).result == {"status": "half of 5 rows"}
            await client.call_tool("release", {"name": "attached"})
            assert await task.result() == {"rows": 5}
            with pytest.raises(mcpc.UnknownTask):
                await client.task("there-is-no-such-task")


# --- by our client ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_our_client_has_a_handle_on_its_tasks(address: str, anyio_backend_name: str) -> None:
    go, never = f"go-{anyio_backend_name}", f"never-{anyio_backend_name}"
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(address) as client:
            assert not client.supports_mcpc
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            task = await client.start_task("analyse", {"rows": 3, "until": go}, session_id="chat-1")
            assert (await anext(task)).event == "created"
            assert (await anext(task)).result == {"status": "half of 3 rows"}
            assert (await task.state())["status"] == "running"
            await client.call_tool("release", {"name": go})
            assert await task.result() == {"rows": 3}
            assert [message.event for message in seen] == ["created", "update", "complete"]
            assert {(message.task_id, message.session_id) for message in seen} == {(task.task_id, "chat-1")}

            for tool, text in (("fails", "no such row"), ("breaks", "rate limit exceeded")):
                with pytest.raises(mcpc.TaskFailed, match=text):
                    await (await client.start_task(tool)).result()
            client.on_prompt(answer_ann)
            assert await (await client.start_task("choose")).result() == "accept: Ann"

            stopped = await client.start_task("analyse", {"rows": 1, "until": never})
            while (await anext(stopped)).event != "update":
                pass
            await stopped.stop()
            with pytest.raises(mcpc.TaskStopped):
                await stopped.result()
            await client.call_tool("until_cancelled", {"name": never})
            assert client.tasks == {}


def answer_ann(prompt: mcpc.Prompt) -> Any:
    """Answer the one question."""
    assert prompt.message == "Who are you?"
    return {"name": "Ann"}


@pytest.mark.anyio
async def test_its_tasks_cross_a_bridge(uri: str, anyio_backend_name: str) -> None:
    name = f"bridged-{anyio_backend_name}"
    with anyio.fail_after(DEADLINE):
        async with mcpc.bridging(f"memory://{name}", uri) as front, mcpc.Client(front.uri) as client:
            task = await client.start_task("analyse", {"rows": 3, "until": name})
            while (await anext(task)).result != {"status": "half of 3 rows"}:
                pass
            await client.call_tool("release", {"name": name})
            assert await task.result() == {"rows": 3}


@pytest.mark.anyio
async def test_a_plain_call_of_our_client_is_followed_to_its_result(uri: str, anyio_backend_name: str) -> None:
    told: list[str | None] = []
    name = f"plain-{anyio_backend_name}"

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(uri) as client:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                told.append(message)
                await client.call_tool("release", {"name": name})

            assert (await client.call_tool("analyse", {"rows": 2})).structured_content == {"rows": 2}
            # It can be had without a task too, and then there is progress.
            result = await client.call_tool("analyse", {"rows": 4, "until": name}, progress_callback=on_progress)
            assert result.structured_content == {"rows": 4}
            assert told == ["half of 4 rows"]
            # This one is to be had as a task only.
            assert (await client.call_tool("fails", progress_callback=on_progress)).is_error
            with pytest.raises(MCPError, match="rate limit exceeded") as broken:
                await client.call_tool("breaks")
            assert broken.value.code == -32603
