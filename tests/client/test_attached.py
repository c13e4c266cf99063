"""`client.task` of a task that this very client has begun: its messages come once, whoever let go of its handle."""

import gc
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.client.attached import Attached
from mcpc.errors import ConnectionLost, UnknownTask

pytestmark = pytest.mark.anyio

DEADLINE = 30


def collecting(**options: Any) -> MCPServer[Any]:
    """A server with a task that tells what it is sent, and ends with it."""
    server = MCPServer[Any]("collecting", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, **options)

    @callbacks.tool()
    async def collect(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        await task.update("ready")
        values: list[Any] = []
        async for value in task.inputs():
            if value == "done":
                break
            values.append(value)
            await task.update(value)
        return values

    return server


WAYS = [
    ("memory://attached", "auto", False),
    ("memory://attached", "legacy", True),
    ("http://127.0.0.1:0/mcp", "auto", True),
    ("http://127.0.0.1:0/mcp", "legacy", False),
]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("uri", "mode", "stored"), WAYS)
async def test_a_task_whose_handle_was_dropped_is_attached_to_through_its_channel(
    uri: str, mode: Any, stored: bool, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"store": f"sqlite:{tmp_path / 'tasks.db'}"} if stored else {}
    seen: list[mcpc.MCPCMessage] = []
    ready = anyio.Event()

    def listen(message: mcpc.MCPCMessage) -> None:
        seen.append(message)
        if message.result == "ready":
            ready.set()

    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(collecting(**options), uri) as listener:
            async with mcpc.Client(listener.uri, mode=mode) as client:
                client.add_event_listener(listen)
                task_id = (await client.start_task("collect")).task_id
                await ready.wait()
                while task_id in client.tasks:  # its start is over soon
                    gc.collect()
                    await anyio.sleep(0.01)
                task = await client.task(task_id)
                assert task.tool_name == "collect"
                await task.send(1)  # one that is followed by the extension takes no input
                await task.send("done")
                assert await task.result() == [1]
                ended = client.task(task_id)
                assert await ended.result() == [1]
    told = [(message.event, str(message.result)) for message in seen if message.task_id == task_id]
    assert [event for event, _ in told] == ["created", "update", "update", "complete"]
    assert set(Counter(told).values()) == {1}


class Way:
    """A way to a task that is there, or not."""

    def __init__(self, *, on_channel: bool, failure: Exception | None = None) -> None:
        self.on_channel = on_channel
        self.failure = failure
        self.asked: list[Any] = []

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        self.asked.append((value, prompt_id))

    async def stop(self) -> None:
        self.asked.append("stop")

    async def state(self) -> dict[str, Any]:
        self.asked.append("state")
        if self.failure is not None:
            raise self.failure
        return {"status": "running"}


async def test_what_is_on_the_channel_is_reached_there_and_the_rest_in_the_other_way_and_nothing_is_asked_twice() -> (
    None
):
    channel, elsewhere = Way(on_channel=True), Way(on_channel=False)
    steering = Attached(channel, lambda: elsewhere)
    await steering.stop()
    await steering.send_input(1)
    assert (channel.asked, elsewhere.asked) == (["state", "stop", (1, None)], [])
    assert steering.on_channel

    channel = Way(on_channel=True, failure=UnknownTask("unknown"))
    steering = Attached(channel, lambda: elsewhere)
    assert await steering.state() == {"status": "running"}
    await steering.send_input("yes", "p1")
    assert (channel.asked, elsewhere.asked) == (["state"], ["state", ("yes", "p1")])
    assert not steering.on_channel


async def test_what_is_nowhere_is_unknown_and_without_a_connection_the_channel_is_asked() -> None:
    unknown = Attached(Way(on_channel=True, failure=UnknownTask("unknown")), lambda: None)
    for ask in (unknown.stop, unknown.state):
        with pytest.raises(UnknownTask):
            await ask()
    lost = Way(on_channel=True, failure=ConnectionLost("away"))
    steering = Attached(lost, lambda: None)
    await steering.stop()
    assert lost.asked == ["state", "stop"]
    with pytest.raises(ConnectionLost):
        await steering.state()
