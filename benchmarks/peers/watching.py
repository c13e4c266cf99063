# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The hooks of tracing and metrics, where nobody has set them up: what they take of a task's processor time.

Two answers from one process. The hooks alone, called as a task calls them, against nothing; and whole tasks, in turn
with the hooks as they are and taken out. The first is exact. The second shows that nothing was forgotten in the first,
as far as the machine is quiet. A callback passes no hook: what is read only when somebody asks (`mcpc.server.meters`)
costs nothing between.
"""

import contextlib
import gc
import time
from unittest import mock

import kit
from mcp.server import MCPServer

import mcpc
from mcpc.server import intake
from mcpc.server.telemetry import Telemetry, trace_of_call
from mcpc.tasks import Status, TaskState

HOOKED = 2000
"""Tasks whose hooks are called at once."""


async def _only(self, state, work):
    return await work


async def _nothing():
    return None


@contextlib.contextmanager
def without_hooks():
    """Nothing is traced, nothing counted, and nobody asked whether it should be."""
    nothing = {"began": lambda self, state: None, "ended": lambda self, state: None, "below": _only}
    with contextlib.ExitStack() as stack:
        for name, hook in nothing.items():
            stack.enter_context(mock.patch.object(Telemetry, name, hook))
        stack.enter_context(mock.patch.object(intake, "trace_of_call", return_value=None))
        yield


async def hooks() -> float:
    """The processor time of one task's hooks, all of them, in seconds."""
    telemetry = Telemetry()
    state = TaskState("id", "one", "session", "owner", 0.0, 1.0, status=Status.COMPLETE)
    began = time.process_time()
    for _ in range(HOOKED):
        await _nothing()
    between = time.process_time()
    for _ in range(HOOKED):
        trace_of_call()
        telemetry.began(state)
        await telemetry.below(state, _nothing())
        telemetry.ended(state)
    return max(0.0, time.process_time() - between - (between - began)) / HOOKED


async def tasks(client: mcpc.Client, todo: kit.Job) -> float:
    """The processor time of one short task, of both sides, in seconds."""
    gc.collect()
    began = time.process_time()
    for _ in range(todo.tasks):
        await (await client.start_task("one")).result()
    return (time.process_time() - began) / todo.tasks


def make_server() -> MCPServer:
    """A server with a task that does nothing."""
    server = MCPServer("bench", log_level="ERROR")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def one(task: mcpc.Task) -> int:
        return 1

    return server


async def measured(todo: kit.Job) -> dict:
    """All that there is to know; of each the least, as what else the machine does only adds to it."""
    alone, hooked, bare = [], [], []
    async with mcpc.Client(make_server()) as client:
        for number in range(todo.count + 1):
            alone.append(await hooks())
            for with_them in (True, False) if number % 2 else (False, True):
                with contextlib.nullcontext() if with_them else without_hooks():
                    (hooked if with_them else bare).append(await tasks(client, todo))
    hook, task, bare_task = (min(times[1:]) for times in (alone, hooked, bare))  # the first of each warms up
    return {
        "share": hook / task,
        "hooks_us": hook * 1e6,
        "task_us": task * 1e6,
        "task_ratio": task / bare_task,
    }
