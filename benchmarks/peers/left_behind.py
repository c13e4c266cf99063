# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A store as a process leaves it that was killed: channels with messages, and tasks that nobody runs any more."""

import time

import mcpc
from mcpc.server.stored_states import encode_state, interrupted_message
from mcpc.stored import Entry, NewTask, channel_id
from mcpc.tasks import TaskState

MESSAGES = 10
"""Of each channel."""


async def leave(address: str, channels: int, tasks: int) -> None:
    """Make it."""
    async with mcpc.open_store(address) as store:
        names = [channel_id(f"channel {number}") for number in range(channels)]
        for name in names:
            await store.open(name, principal=None)
        for begin in range(0, channels, 500):
            some = names[begin : begin + 500]
            await store.append([Entry(name, "writer", 1, [b'{"type":"task"}'] * MESSAGES) for name in some])
        for number in range(tasks):
            await store.enter(_task(number, names[number % channels]), runner="gone")


def _task(number: int, channel: str) -> NewTask:
    now = time.time()
    state = TaskState(f"task {number}", "flood", "default", channel, now, now)
    return NewTask(
        state.task_id, channel, "flood", "default", encode_state(state), interrupted=interrupted_message(state)
    )


async def running(address: str, tasks: int) -> int:
    """How many of them have not ended."""
    async with mcpc.open_store(address) as store:
        found = [await store.task(f"task {number}") for number in range(tasks)]
    return sum(task is not None and not task.ended for task in found)
