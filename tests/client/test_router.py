"""Where messages go, and how a task's end is found that was missed."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, get_args

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcpc
from mcpc.client.handle import TaskHandle
from mcpc.client.router import Router
from mcpc.flow import Flow
from mcpc.messages import MCPCMessage, Prompt
from mcpc.queue import DEFAULT_CAPACITY, Overflow, TaskQueue

pytestmark = pytest.mark.anyio


class Reached:
    """A task that is reached by calling this."""

    on_channel = True

    def __init__(self, *states: dict[str, Any] | Exception) -> None:
        self.states = list(states)
        self.inputs: list[Any] = []

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        self.inputs.append((prompt_id, value))

    async def stop(self) -> None:
        self.inputs.append("stop")

    async def state(self) -> dict[str, Any]:
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return state


def message(result: Any, event: str = "update") -> MCPCMessage:
    return MCPCMessage(event=event, session_id="s", task_id="t", tool_name="n", result=result)


@asynccontextmanager
async def routing(steering: Reached) -> AsyncGenerator[tuple[Router, TaskHandle]]:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            def spawn(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
                group.start_soon(main)

            flow = Flow()
            router = Router(spawn, flow, lambda _: steering)
            handle = TaskHandle("t", "n", "s", TaskQueue(DEFAULT_CAPACITY, "coalesce", flow))
            handle.steering = steering
            router.add(handle)
            yield router, handle
            group.cancel_scope.cancel()


LEAVING = [ValueError("x"), SystemExit(3), GeneratorExit(), BaseExceptionGroup("g", [SystemExit(1)])]


@pytest.mark.parametrize("error", LEAVING, ids=lambda error: type(error).__name__)
async def test_whatever_leaves_a_prompt_handler_the_next_prompt_is_answered(error: BaseException) -> None:
    steering = Reached()
    async with routing(steering) as (router, handle):

        async def answer(prompt: Prompt) -> str:
            if prompt.id == "1":
                raise error
            return "yes"

        router.answering.handlers.append(answer)
        for number in ("1", "2"):
            router.deliver([message({"prompt": {"id": number, "message": "?"}})])
        while not steering.inputs:
            await anyio.lowlevel.checkpoint()
        assert steering.inputs == [("2", "yes")]
        while "2" in handle.prompts:
            await anyio.lowlevel.checkpoint()
        assert list(handle.prompts) == ["1"]


async def test_an_end_that_was_missed_is_asked_for() -> None:
    end = message({"rows": 1}, "complete").model_dump()
    async with routing(Reached({"status": "complete", "lastMessage": end})) as (router, handle):
        router.look_after_gap(False)
        assert await handle.result() == {"rows": 1}


async def test_a_task_that_the_server_has_forgotten_ends_as_unknown() -> None:
    async with routing(Reached(mcpc.UnknownTask("no such task"))) as (router, handle):
        router.look_after_gap(False)
        with pytest.raises(mcpc.UnknownTask):
            await handle.result()


async def test_a_task_that_has_ended_without_a_last_message_is_lost() -> None:
    async with routing(Reached({"status": "failed"})) as (router, handle):
        router.look_after_gap(False)
        with pytest.raises(mcpc.ConnectionLost, match="missed"):
            await handle.result()


async def test_a_running_task_is_left_to_its_messages() -> None:
    async with routing(Reached({"status": "running"})) as (router, handle):
        router.look_after_gap(False)
        await anyio.wait_all_tasks_blocked()
        assert not handle.ended
        router.deliver([message("done", "complete")])
        assert await handle.result() == "done"


async def test_an_exception_that_cannot_say_what_it_is_fails_its_task_all_the_same() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even that")

    async with routing(Reached()) as (router, handle):
        router.fail(handle, Silent())
        with pytest.raises(mcpc.TaskFailed, match="Silent"):
            await handle.result()


# --- messages in a row ------------------------------------------------------------------------------------------

KINDS = ("update", "prompt", "complete", "event")


def routed(rows: list[int], script: list[tuple[int, str]], kept: list[tuple[int, str]]) -> Any:
    """What becomes of messages that come in rows of these lengths.

    Args:
        rows: The lengths.
        script: Of each message, its task and its kind.
        kept: The handles that are held, for task 0 and on: their capacities and policies.
    """
    flow = Flow()
    router = Router(lambda main: None, flow, lambda _: Reached())
    handles = [
        TaskHandle(str(number), "n", "s", TaskQueue(capacity, overflow, flow))  # pyright: ignore[reportArgumentType]
        for number, (capacity, overflow) in enumerate(kept)
    ]
    for handle in handles:
        router.add(handle)
    heard: list[Any] = []
    router.listeners.add(lambda message: heard.append(message.result))
    messages = [made(number, task, kind) for number, (task, kind) in enumerate(script)]
    begin = 0
    for length in rows:
        row = messages[begin : begin + length]
        given = router.deliver(row)
        begin += given
        if given < len(row):
            break
    about = [(h.status, h.ended, h.heard, list(h.prompts), h.stats, h.task_id in router.handles) for h in handles]
    return begin, heard, about, flow.stopped


def made(number: int, task: int, kind: str) -> MCPCMessage:
    if kind == "event":
        return MCPCMessage(type="server_event", event="news", session_id="s", result=number)
    result = {"prompt": {"id": str(number), "message": "?"}} if kind == "prompt" else number
    event = "complete" if kind == "complete" else "update"
    return MCPCMessage(event=event, session_id="s", task_id=str(task), tool_name="n", result=result)


@given(
    rows=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    script=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(KINDS)), max_size=40),
    kept=st.lists(st.tuples(st.integers(1, 5), st.sampled_from(get_args(Overflow))), max_size=3),
)
def test_how_messages_are_put_into_rows_makes_no_difference_to_handles(
    rows: list[int], script: list[tuple[int, str]], kept: list[tuple[int, str]]
) -> None:
    script = script[: sum(rows)]
    assert routed(rows, script, kept) == routed([1] * len(script), script, kept)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (mcpc.ConnectionLost("gone"), "lost"),
        (mcpc.UnknownTask("forgotten"), "lost"),
        (ValueError("no such row"), "failed"),
    ],
)
async def test_a_task_that_was_lost_from_sight_has_not_failed(error: Exception, status: str) -> None:
    async with routing(Reached()) as (router, handle):
        router.fail(handle, error)
        assert handle.status == status
        with pytest.raises(type(error) if status == "lost" else mcpc.TaskFailed, match=str(error)):
            await handle.result()


async def test_what_is_told_while_it_is_asked_about_counts_more_than_the_answer() -> None:
    """Its own last message is on its way, so nothing was missed."""

    class Told(Reached):
        async def state(self) -> dict[str, Any]:
            router.deliver([message("news")])
            asked.set()
            return await super().state()

    asked = anyio.Event()
    async with routing(Told({"status": "complete"})) as (router, handle):
        router.look_after_gap(False)
        await asked.wait()
        await anyio.wait_all_tasks_blocked()
        assert not handle.ended
        router.deliver([message("done", "complete")])
        assert await handle.result() == "done"
