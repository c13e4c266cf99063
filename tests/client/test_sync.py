"""A client for scripts and notebooks: every call blocks, wherever it is made."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import mcpc
from support import HERE, make_server

BACKENDS = ("asyncio", "trio")


@pytest.fixture(params=BACKENDS)
def client(request: pytest.FixtureRequest) -> Iterator[mcpc.SyncClient]:
    """A client of a server in memory."""
    with mcpc.SyncClient(make_server(), backend=request.param) as found:
        yield found


def test_a_task_is_started_followed_and_its_result_awaited(client: mcpc.SyncClient) -> None:
    task = client.start_task("count", {"n": 3}, session_id="s")
    assert [message.event for message in task] == ["created", "update", "update", "update", "complete"]
    assert task.result() == {"rows": 3}
    assert (task.status, task.ended, task.tool_name, task.session_id) == ("complete", True, "count", "s")


def test_ordinary_tools_are_listed_and_called(client: mcpc.SyncClient) -> None:
    assert "add" in {tool.name for tool in client.list_tools().tools}
    assert client.call_tool("add", {"a": 1, "b": 2}).structured_content == {"result": 3}
    assert client.run(client.client.list_tools).tools


def test_a_task_is_sent_to_answered_and_stopped(client: mcpc.SyncClient) -> None:
    gathers = client.start_task("wait_for_input")
    for message in gathers:
        if message.result == "ready":
            gathers.send(1)
        elif message.result == {"got": 1}:
            gathers.send("done")
    assert gathers.result() == [1]
    asks = client.start_task("ask")
    while not asks.prompts:
        next(asks)
    assert asks.state()["status"] == "waiting"
    asks.answer(next(iter(asks.prompts)), "b")
    assert asks.result() == {"answer": "b"}
    stops = client.start_task("wait_for_input")
    stops.stop()
    with pytest.raises(mcpc.TaskStopped):
        stops.result()


def test_listeners_and_prompt_handlers_may_block_and_call_the_client(client: mcpc.SyncClient) -> None:
    seen: list[Any] = []
    ended = threading.Event()

    @client.on_prompt
    def answer(prompt: mcpc.Prompt) -> str:  # pyright: ignore[reportUnusedFunction]
        assert client.call_tool("add", {"a": 1, "b": 1}).structured_content == {"result": 2}
        return "a"

    def listen(message: mcpc.MCPCMessage) -> None:
        seen.append(message.event)
        client.list_tools()
        if message.event == "complete":
            ended.set()

    registration = client.add_event_listener(listen, type="task")
    assert client.start_task("ask").result() == {"answer": "a"}
    assert ended.wait(60)
    assert seen == ["created", "update", "complete"]
    while registration.stats.delivered < 3:  # it is counted when the listener has returned
        time.sleep(0.01)
    registration.remove()
    assert client.start_task("count", {"n": 1}).result() == {"rows": 1}
    assert len(seen) == registration.stats.delivered == 3


def test_it_works_in_the_thread_of_a_running_loop() -> None:
    async def cell() -> Any:
        with mcpc.SyncClient(make_server()) as client:
            return client.start_task("count", {"n": 1}).result()

    assert asyncio.run(cell()) == {"rows": 1}


def test_it_is_opened_and_closed_without_a_block_and_again() -> None:
    client = mcpc.SyncClient(make_server())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="open the client first"):
            client.list_tools()
        client.open()
        with pytest.raises(RuntimeError, match="open already"):
            client.open()
        task = client.start_task("wait_for_input")
        client.close()
        client.close()
        assert task.status == "lost"


def test_failures_are_those_of_the_async_client(client: mcpc.SyncClient) -> None:
    with pytest.raises(mcpc.TaskFailed, match="no such row"):
        client.start_task("fail").result()
    with pytest.raises(mcpc.ConnectFailed):
        mcpc.SyncClient("memory://nowhere").open()
    misspelt: Any = mcpc.SyncClient
    with pytest.raises(TypeError, match="did you mean 'token'"):
        misspelt("ws://127.0.0.1:1/mcp", tokn="t")


SCRIPT = """
import sys, mcpc
backend, command = sys.argv[1:]
with mcpc.SyncClient("stdio:" + command, backend=backend) as client:
    task = client.start_task("wait_for_input")
    next(task)
    try:
        print("waiting", flush=True)
        task.result()
    except KeyboardInterrupt:
        task.stop()
        for message in task:
            pass
        print(message.result["error"], flush=True)
        raise
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_interrupts_a_call_and_leaves_cleanly(backend: Literal["asyncio", "trio"], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    words = [sys.executable, str(script), backend, f"{sys.executable} {HERE / 'stdio_server.py'}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=200)
    assert out == "stopped\n"
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert process.returncode == -signal.SIGINT
