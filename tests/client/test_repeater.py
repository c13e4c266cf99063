"""What is said to a task while the connection goes away: said again over the next one, and done once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

import mcpc
from mcpc.client.repeater import Repeater
from mcpc.messages import prompt_of
from relay import Relay, relay_to

pytestmark = pytest.mark.anyio

CLOSED = MCPError(CONNECTION_CLOSED, "closed")


class Gathering:
    """A server whose task asks, takes inputs until it is told that it is done, and gives back all it got."""

    def __init__(self, store: str | None) -> None:
        self.server = MCPServer[Any]("gathering", log_level="WARNING")
        callbacks = mcpc.MCPCHelper(self.server, store=store)
        self.stopped = 0

        @callbacks.tool()
        async def gather(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
            got = [await task.ask("Which?", choices=["a", "b"])]
            async for value in task.inputs():
                got.append(value)
                if value == "done":
                    break
            return got

        @callbacks.tool()
        async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            await task.stopping()
            self.stopped += 1


@asynccontextmanager
async def served(
    gathering: Gathering, scheme: str, tmp_path: Path, **options: Any
) -> AsyncGenerator[tuple[Relay, mcpc.Client]]:
    """The server behind a relay, and a client of it."""
    with anyio.fail_after(60):
        async with mcpc.listen(gathering.server, f"{scheme}://127.0.0.1:0" + "/mcp" * (scheme != "tcp")) as at:
            with relay_to(at.uri, tmp_path) as relay:
                async with mcpc.Client(relay.uri, **options) as client:
                    yield relay, client


@pytest.fixture(params=[None, "memory:{}", "sqlite:{}/tasks.db"])
def gathering(request: pytest.FixtureRequest, tmp_path: Path) -> Gathering:
    return Gathering(None if request.param is None else request.param.format(tmp_path))


SCHEMES = ["tcp", "ws", "http"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_inputs_whose_receipt_was_lost_are_taken_once(gathering: Gathering, scheme: str, tmp_path: Path) -> None:
    async with served(gathering, scheme, tmp_path) as (relay, client):
        client.on_prompt(lambda prompt: "b")
        task = await client.start_task("gather")
        await task.send("one")
        relay.cuts_next = True
        await task.send("two")
        relay.cuts_next = True
        await task.send("two")
        await task.send("done")
        assert await task.result() == ["b", "one", "two", "two", "done"]
        assert relay.cut_count == 2


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_answer_whose_receipt_was_lost_is_given_once(
    gathering: Gathering, scheme: str, tmp_path: Path
) -> None:
    asked = 0

    def answer(prompt: mcpc.Prompt) -> str:
        nonlocal asked
        asked += 1
        relay.cuts_next = True
        return "a"

    async with served(gathering, scheme, tmp_path) as (relay, client):
        client.on_prompt(answer)
        task = await client.start_task("gather")
        await task.send("done")
        assert await task.result() == ["a", "done"]
        assert (asked, relay.cut_count) == (1, 1)


async def test_an_answer_by_the_handle_is_told_as_taken_and_a_second_one_as_late(
    gathering: Gathering, tmp_path: Path
) -> None:
    async with served(gathering, "tcp", tmp_path) as (relay, client):
        task = await client.start_task("gather")
        async for message in task:
            if (prompt := prompt_of(message)) is not None:
                relay.cuts_next = True
                await task.answer(prompt.id, "b")
                with pytest.raises(mcpc.PromptError) as late:
                    await task.answer(prompt.id, "a")
                assert late.value.closed
                await task.send("done")
        assert await task.result() == ["b", "done"]


async def test_an_answer_that_is_none_is_refused_though_it_had_to_be_said_again(
    gathering: Gathering, tmp_path: Path
) -> None:
    async with served(gathering, "tcp", tmp_path) as (relay, client):
        task = await client.start_task("gather")
        async for message in task:
            if (prompt := prompt_of(message)) is not None:
                relay.cuts_next = True
                with pytest.raises(mcpc.PromptError, match="none of the choices") as refused:
                    await task.answer(prompt.id, "c")
                assert not refused.value.closed
                await task.answer(prompt.id, "a")
                await task.send("done")
        assert await task.result() == ["a", "done"]
        assert relay.cut_count == 1


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_stop_whose_receipt_was_lost_stops_once(gathering: Gathering, scheme: str, tmp_path: Path) -> None:
    async with served(gathering, scheme, tmp_path) as (relay, client):
        task = await client.start_task("wait")
        relay.cuts_next = True
        await task.stop()
        with pytest.raises(mcpc.TaskStopped):
            await task.result()
        assert (gathering.stopped, relay.cut_count) == (1, 1)


async def test_what_is_said_while_there_is_no_connection_waits_for_the_next(tmp_path: Path) -> None:
    lost = anyio.Event()

    def note(state: str) -> None:
        if state == "lost":
            lost.set()

    async with served(Gathering(None), "tcp", tmp_path, on_connection=note) as (relay, client):
        client.on_prompt(lambda prompt: "b")
        task = await client.start_task("gather")
        relay.refusing = True
        relay.cut_all()
        await lost.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task.send, "done")
            await anyio.wait_all_tasks_blocked()
            relay.refusing = False
        assert (await task.result())[-1] == "done"


async def test_without_another_connection_it_is_told_that_there_is_none(tmp_path: Path) -> None:
    async with served(Gathering(None), "tcp", tmp_path, reconnect=False) as (relay, client):
        task = await client.start_task("wait")
        relay.cuts_next = True
        with pytest.raises(mcpc.ConnectionLost):
            await task.stop()
        with pytest.raises(mcpc.ConnectionLost):
            await task.send("more")


class Session:
    """A session that answers as it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def send_request(self, request: Any, answer: Any, **_: Any) -> Any:
        self.asked += 1
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return answer.model_validate(found)


async def test_the_first_refusal_is_told_and_that_of_a_repetition_is_a_receipt() -> None:
    sessions = [Session(CLOSED), Session(mcpc.PromptError("answered"))]
    repeater = Repeater(lambda: sessions[0], pause=60)  # pyright: ignore[reportArgumentType, reportReturnType]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert (
                    await repeater.ask("mcpc/send", {}, arrived=lambda refusal: isinstance(refusal, mcpc.PromptError))
                    == {}
                )

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert sessions[0].asked == 1
            del sessions[0]
            repeater.connected()
        sessions[0] = Session(mcpc.PromptError("answered"))
        with pytest.raises(mcpc.PromptError):
            await repeater.ask("mcpc/send", {}, arrived=lambda refusal: isinstance(refusal, mcpc.PromptError))


async def test_who_waits_when_the_client_gives_up_is_told_why() -> None:
    session = Session(CLOSED)
    repeater = Repeater(lambda: session, pause=60)  # pyright: ignore[reportArgumentType, reportReturnType]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(mcpc.ConnectionLost, match="gave up"):
                    await repeater.ask("mcpc/stop", {})

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            repeater.closed(mcpc.ConnectionLost("gave up"))
