"""Servers and workers as processes of their own, on one store: a worker is killed, another is told to stop."""

import signal
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

import mcpc
from cli_kit import MCPC, Program, run, running, served
from redis_kit import redis_server

pytestmark = [
    pytest.mark.anyio,
    # The Redis client leaves streams of its own open where a call is cancelled.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

APP = """
import os
import anyio
import mcpc
from mcp.server import MCPServer

server = MCPServer("shop", log_level="ERROR")
callbacks = mcpc.MCPCHelper(server, lease=6.0, shutdown_grace=5.0)

@callbacks.tool(run="worker")
async def wait(task: mcpc.Task) -> None:
    await task.update({"process": os.getpid()})
    await task.stopping()

@callbacks.tool(run="worker", on_interrupt="resume")
async def count(task: mcpc.Task) -> int:
    await task.update({"process": os.getpid()})
    last = await task.ask("How far?", key="far")
    for number in range(task.resumed or 0, last):
        await task.update(number)
        await task.checkpoint(number + 1)
        if task.resumed is None and number == 9:
            async for value in task.inputs():
                pass
    return last

@callbacks.tool(run="worker", on_interrupt="restart")
def in_thread(n: int, task: mcpc.SyncTask) -> list:
    task.update({"process": os.getpid()})
    got = []
    for value in task.inputs():
        got.append(value)
        if len(got) == n:
            return got
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes have loops of their own; the client's is tried on both elsewhere."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/tasks.db"
    else:
        with redis_server("valkey", tmp_path) as server:
            yield server.uri


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


@contextmanager
def worker(app: Path, store: str, concurrency: int = 10) -> Generator[Program]:
    argv = [*MCPC, "worker", f"{app}:server", "--store", store, "--concurrency", str(concurrency)]
    with running(argv) as program:
        program.read_until("working for shop: wait, count, in_thread; 10 at once\n")
        yield program


async def begun(task: mcpc.TaskHandle) -> int:
    """The process that runs a task."""
    async for message in task:
        result: Any = message.result
        if isinstance(result, dict) and "process" in result:
            return int(cast("Any", result)["process"])
    raise AssertionError("it did not begin")


async def test_a_worker_that_is_killed_loses_nothing_and_one_that_is_stopped_hands_on(store: str, app: Path) -> None:
    seen: list[mcpc.MCPCMessage] = []
    asked: list[str] = []

    def answer(prompt: mcpc.Prompt) -> int:
        asked.append(prompt.message)
        return 20

    with ExitStack() as stack:
        _, (uri,) = stack.enter_context(served(f"{app}:server", "tcp://127.0.0.1:0", "--store", store))
        doomed = stack.enter_context(worker(app, store))
        with anyio.fail_after(280):
            async with mcpc.Client(uri) as client:
                client.add_event_listener(seen.append)
                client.on_prompt(answer)
                waiting = await client.start_task("wait")
                counting = await client.start_task("count")
                threaded = await client.start_task("in_thread", {"n": 2})
                for task in (waiting, counting, threaded):
                    assert await begun(task) == doomed.process.pid
                await threaded.send("one")
                async for message in counting:
                    if message.result == 9:
                        break
                doomed.finish(signal.SIGKILL)
                stopped = stack.enter_context(worker(app, store))
                assert await counting.result() == 20
                with pytest.raises(mcpc.TaskInterrupted):
                    await waiting.result()
                async for message in threaded:
                    if message.result == {"process": stopped.process.pid}:
                        break
                second = await client.start_task("wait")
                assert await begun(second) == stopped.process.pid
                last = stack.enter_context(worker(app, store))
                assert stopped.finish(signal.SIGTERM) == 0
                with pytest.raises(mcpc.TaskStopped):
                    await second.result()
                async for message in threaded:
                    if message.result == {"process": last.process.pid}:
                        break
                await threaded.send("two")
                assert await threaded.result() == ["one", "two"]
                assert last.finish(signal.SIGINT) == 0
    numbers = [m.result for m in seen if m.task_id == counting.task_id and isinstance(m.result, int)]
    assert numbers == [*range(20), 20]
    assert asked == ["How far?"]
    tasks = (waiting, counting, threaded, second)
    assert Counter(m.task_id for m in seen if m.terminal) == dict.fromkeys((task.task_id for task in tasks), 1)
    attempts: list[Any] = [m.result["attempt"] for m in seen if m.event == "restarted"]
    assert sorted(attempts) == [2, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{app}:server"], "needs a store that processes share"),
        (["{app}:server", "--store", "memory:"], "needs a store that processes share"),
        (["{app}:server", "--store", "redis://127.0.0.1:1/0"], "redis cannot be reached"),
        (["{app}:server", "--store", "sqlite:/nowhere/at/all/tasks.db"], "no folder"),
        (["{folder}/nope.py:server", "--store", "sqlite:{folder}/t.db"], "there is no file"),
        (["{folder}/idle.py:server", "--store", "sqlite:{folder}/t.db"], "nothing for a worker to do"),
        (["{app}:server", "--store", "sqlite:{folder}/t.db", "--concurrency", "0"], "concurrency"),
        (["{app}:server", "--store", "sqlite:{folder}/t.db", "--concurrency", "100000"], "max_tasks"),
    ],
)
def test_a_mistake_is_told_in_a_line(arguments: list[str], says: str, app: Path, tmp_path: Path) -> None:
    idle = "import mcpc\nfrom mcp.server import MCPServer\nserver = MCPServer('idle')\nmcpc.MCPCHelper(server)\n"
    (tmp_path / "idle.py").write_text(idle)
    env = {"MCPC_STORE": "", "PYTHONWARNINGS": ""}  # the Redis client warns of streams of its own
    done = run("worker", *(each.format(app=app, folder=tmp_path) for each in arguments), env=env)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
