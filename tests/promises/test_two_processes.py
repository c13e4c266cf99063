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
    app.write_text(APP)
    store = f"sqlite:{tmp_path}/tasks.db"
    arguments = [f"{app}:server", "tcp://127.0.0.1:0", "--store", store]
    seen: list[mcpc.MCPCMessage] = []
    asked: list[str] = []

    def answer(prompt: mcpc.Prompt) -> int:
        asked.append(prompt.message)
        return 20

    with anyio.fail_after(120), served(*arguments) as (one, (at_one,)), served(*arguments) as (_, (at_two,)):
        async with mcpc.Client(at_one, reconnect=False, channel_file=tmp_path / "channel") as client:
            client.add_event_listener(seen.append)
            client.on_prompt(answer)
            waiting = await client.start_task("wait")
            counting = await client.start_task("count")
            async for message in counting:
                if message.result == 9:
                    break
            one.finish(signal.SIGKILL)
        async with mcpc.Client(at_two, channel_file=tmp_path / "channel") as client:
            client.add_event_listener(seen.append)
            client.on_prompt(answer)
            again = client.task(counting.task_id)
            assert await again.result() == 20
            with pytest.raises(mcpc.TaskInterrupted):
                await client.task(waiting.task_id).result()
    numbers = [m.result for m in seen if m.task_id == counting.task_id and isinstance(m.result, int)]
    assert numbers == [*range(20), 20]
    assert Counter(m.task_id for m in seen if m.terminal) == {counting.task_id: 1, waiting.task_id: 1}
    assert asked == ["How far?"]
    assert [m.result for m in seen if m.event == "restarted"] == [{"task_id": counting.task_id, "attempt": 2}]
