"""Two servers of one machine on one SQLite file: one is killed, the other goes on with its clients and its tasks."""

import signal
from collections import Counter
from pathlib import Path

import anyio
import pytest

import mcpc
from cli_kit import served

pytestmark = pytest.mark.anyio

APP = """
import anyio
import mcpc
from mcp.server import MCPServer

server = MCPServer("two", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def wait(task: mcpc.Task) -> None:
    await task.update("waits")
    await task.stopping()

@callbacks.tool(on_interrupt="restart")
async def from_the_start(task: mcpc.Task) -> int:
    with open("BEGUN", "a+") as begun:
        begun.write(".")
        begun.seek(0)
        runs = len(begun.read())
    await task.update(f"run {runs}")
    if runs == 1:
        await anyio.sleep_forever()
    return runs

@callbacks.tool(on_interrupt="resume")
async def count(task: mcpc.Task) -> int:
    last = await task.ask("How far?", key="far")
    for number in range(task.resumed or 0, last):
        await task.update(number)
        await task.checkpoint(number + 1)
        if task.resumed is None and number == 9:
            await anyio.sleep_forever()
    return last
"""


async def test_the_other_server_takes_over_clients_and_tasks_of_one_that_is_killed(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("BEGUN", str(tmp_path / "begun")))
    store = f"sqlite:{tmp_path}/tasks.db"
    arguments = [f"{app}:server", "tcp://127.0.0.1:0", "--store", store]
    seen: list[mcpc.MCPCMessage] = []
    asked: list[str] = []

    def answer(prompt: mcpc.Prompt) -> int:
        asked.append(prompt.message)
        return 20

    with anyio.fail_after(280), served(*arguments) as (one, (at_one,)), served(*arguments) as (_, (at_two,)):
        async with mcpc.Client(at_one, reconnect=False, channel_file=tmp_path / "channel") as client:
            client.add_event_listener(seen.append)
            client.on_prompt(answer)
            waiting = await client.start_task("wait")
            counting = await client.start_task("count")
            restarted = await client.start_task("from_the_start")
            async for message in restarted:
                if message.result == "run 1":
                    break
            async for message in counting:
                if message.result == 9:
                    break
            one.finish(signal.SIGKILL)
        client = mcpc.Client(at_two, channel_file=tmp_path / "channel")
        client.add_event_listener(seen.append)  # before it is connected: what it has missed comes at once
        client.on_prompt(answer)
        async with client:
            again = client.task(counting.task_id)
            assert await again.result() == 20
            assert await client.task(restarted.task_id).result() == 2
            with pytest.raises(mcpc.TaskInterrupted):
                await client.task(waiting.task_id).result()
    numbers = [m.result for m in seen if m.task_id == counting.task_id and isinstance(m.result, int)]
    assert numbers == [*range(20), 20]
    ids = (counting.task_id, waiting.task_id, restarted.task_id)
    assert Counter(m.task_id for m in seen if m.terminal) == dict.fromkeys(ids, 1)
    assert [m.result for m in seen if m.task_id == restarted.task_id and m.event == "update"] == ["run 1", "run 2"]
    assert asked == ["How far?"]
    assert sorted(m.result["task_id"] for m in seen if m.event == "restarted") == sorted(ids[::2])
