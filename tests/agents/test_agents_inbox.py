"""`mcpc.agents.Inbox`: what a model is told, when it is told, and what it can do, against a real server in memory."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, get_type_hints

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.agents import Inbox, News, Wakes

pytestmark = pytest.mark.anyio


class Bench:
    """A server whose workers are led by the test."""

    def __init__(self) -> None:
        self.server = MCPServer[Any]("bench", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server)
        self.go = anyio.Event()
        self.callbacks.tool()(self.count)
        self.callbacks.tool()(self.choose)
        self.callbacks.tool()(self.listen_to)
        self.callbacks.tool()(self.fail)

    async def count(self, n: int, task: mcpc.Task) -> int:
        """Send n updates, then wait for the test."""
        for number in range(n):
            await task.update({"n": number})
        await self.go.wait()
        return n

    async def choose(self, task: mcpc.Task) -> str:
        """Ask which one."""
        return f"chose {await task.ask('Which one?', choices=['1', '2'])}"

    async def listen_to(self, task: mcpc.Task) -> list[Any]:
        """Collect what is sent until "end"."""
        got: list[Any] = []
        async for value in task.inputs():
            if value == "end":
                break
            got.append(value)
            await task.update({"got": value})
        return got

    async def fail(self, task: mcpc.Task) -> None:
        """Fail."""
        raise ValueError("no such row")


@asynccontextmanager
async def following(bench: Bench, **options: Any) -> AsyncGenerator[tuple[mcpc.Client, Inbox]]:
    with anyio.fail_after(60):
        async with mcpc.Client(bench.server) as client:
            async with Inbox(client, settle=0, **options) as inbox:
                yield client, inbox


def tool(inbox: Inbox, name: str) -> Callable[..., Awaitable[str]]:
    return next(each for each in inbox.tools() if getattr(each, "__name__", "") == name)


async def test_the_iteration_tells_each_end_and_is_over_when_no_task_is_open() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        assert [news async for news in inbox] == []
        await client.start_task("count", {"n": 5})
        await client.start_task("fail")
        bench.go.set()
        told: list[News] = [news async for news in inbox]
        assert sum(len(news.ended) for news in told) == 2
        text = "\n".join(map(str, told))
        assert "count complete" in text
        shown = sum(item.kind == "update" for news in told for item in news.items)
        assert shown + sum(news.left_out for news in told) == 5
        assert 'fail failed: {"error":"ValueError","message":"no such row"}' in text


async def test_updates_wait_for_something_that_is_worth_a_turn_and_are_told_on_demand() -> None:
    bench = Bench()
    async with following(bench, max_updates=2) as (client, inbox):
        task = await client.start_task("count", {"n": 50})
        async for message in task:
            if message.result == {"n": 49}:
                break
        assert await inbox.wait(0) is None
        news = inbox.take()
        assert news is not None
        assert '{"n":48}' in news.text
        assert '{"n":49}' in news.text
        assert "48 earlier updates not shown" in news.text
        assert "count (running)" in news.text
        assert inbox.take() is None


async def test_what_wakes_is_a_choice() -> None:
    bench = Bench()
    wake = Wakes(ends=False, events=("alarm",))
    async with following(bench, wake=wake, stay=True) as (client, inbox):
        bench.go.set()
        await (await client.start_task("count", {"n": 1})).result()
        await bench.callbacks.emit("chatter", 1)
        assert await inbox.wait(0) is None
        await bench.callbacks.emit("alarm", {"level": 3})
        news = await inbox.wait(60)
        assert news is not None
        assert [line.split(":")[0] for line in news.text.split("\n")[1:-1]] == [
            f"- task {news.ended[0][:8]} count complete (1 earlier updates not shown)",
            "- event chatter",
            "- event alarm",
        ]


async def test_a_turn_that_fails_loses_no_question_and_no_end() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        asking = await client.start_task("choose")
        async for message in asking:
            if message.event == "update":
                break
        failing = await client.start_task("fail")
        with pytest.raises(mcpc.TaskFailed):
            await failing.result()
        turns = 0
        ended: set[str] = set()
        while not ended or turns < 3:
            try:
                async for news in inbox:
                    turns += 1
                    if turns < 3:
                        raise RuntimeError("the model is out of order")
                    ended.update(news.ended)
                    assert "told before" in news.text
                    assert [prompt.message for prompt in news.questions] == ["Which one?"]
                    break
            except RuntimeError:
                continue
        assert ended == {failing.task_id}


async def test_a_turn_that_is_cancelled_is_told_again_and_one_that_ended_is_not() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        await client.start_task("fail")
        with anyio.CancelScope() as scope:
            async for _ in inbox:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        told = [news async for news in inbox]
        assert [len(news.ended) for news in told] == [1]
        assert [news async for news in inbox] == []


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_what_a_tool_has_read_in_a_turn_that_goes_wrong_is_told_again(how: str) -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        first = second = await client.start_task("fail")
        read: set[str] = set()
        try:
            with anyio.CancelScope() as scope:
                async for news in inbox:
                    assert news.ended == (first.task_id,)
                    await client.start_task("choose")
                    second = await client.start_task("fail")
                    while second.task_id[:8] not in "".join(read):
                        read.add(await tool(inbox, "wait_for_news")(20))
                    if how == "fails":
                        raise RuntimeError("the model is out of order")
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
        except RuntimeError:
            pass
        ended: set[str] = set()
        async for news in inbox:
            ended.update(news.ended)
            for prompt in news.questions:
                await tool(inbox, "answer_question")(prompt.id, "1")
        assert {first.task_id, second.task_id} <= ended
        assert len(ended) == 3


async def test_a_task_whose_starter_kept_no_handle_is_answered_once_and_ends_once() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        await client.start_task("choose")
        answers: list[str] = []
        ended: list[str] = []
        async for news in inbox:
            ended += news.ended
            for prompt in news.questions:
                answers.append(await tool(inbox, "answer_question")(prompt.id, "2"))
        assert answers == ["answered"]
        assert len(ended) == 1


async def test_a_slow_model_misses_no_question_and_no_end_of_what_comes_in_its_turn() -> None:
    bench = Bench()
    async with following(bench, budget=600, max_updates=2) as (client, inbox):
        await client.start_task("fail")
        ended: set[str] = set()
        asked = shown = left_out = turns = 0
        async for news in inbox:
            turns += 1
            ended.update(news.ended)
            shown += sum(item.kind == "update" for item in news.items)
            left_out += news.left_out
            for prompt in news.questions:
                asked += 1
                await tool(inbox, "answer_question")(prompt.id, "1")
            if turns == 1:  # while the model thinks, all of this happens and is over
                for n in (4000, 3000):
                    await client.start_task("count", {"n": n})
                bench.go.set()
                tasks = [await client.start_task("fail") for _ in range(5)]
                await client.start_task("choose")
                for task in tasks:
                    with pytest.raises(mcpc.TaskFailed):
                        await task.result()
        assert (len(ended), asked) == (9, 1)
        assert shown + left_out >= 7000
        assert len(inbox._pending) == 0  # pyright: ignore[reportPrivateUsage]


async def test_a_model_starts_is_asked_answers_and_learns_the_end() -> None:
    bench = Bench()
    async with following(bench, session_id="chat") as (_, inbox):
        started = await tool(inbox, "start_task")("choose")
        assert started.startswith("started task ")
        said: list[str] = []
        async for news in inbox:
            said.append(str(news))
            for prompt in news.questions:
                assert await tool(inbox, "answer_question")(prompt.id, "3") != "answered"  # it is no choice
                assert inbox.board.questions
                assert await tool(inbox, "answer_question")(prompt.id, "2") == "answered"
        assert '"choices":["1","2"]' in said[0]
        assert '"chose 2"' in said[-1]


async def test_a_model_sends_to_a_task_and_stops_it_by_the_beginning_of_its_id() -> None:
    bench = Bench()
    async with following(bench) as (_, inbox):
        short = (await tool(inbox, "start_task")("listen_to", "{}")).rpartition(" ")[2]
        await tool(inbox, "send_to_task")(short, '{"focus": "a"}')
        assert short in await tool(inbox, "list_tasks")()
        assert "listen_to: Collect what is sent" in await tool(inbox, "list_tasks")()
        await tool(inbox, "stop_task")(short)
        assert "stopped" in await tool(inbox, "wait_for_news")(20)
        assert await tool(inbox, "wait_for_news")(0) == "No news. No task is running."


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("start_task", ("nothing_like_it",), "nothing_like_it"),
        ("start_task", ("count", "not json"), "must be a JSON object"),
        ("start_task", ("count", "[1]"), "must be a JSON object"),
        ("send_to_task", ("zzz", "x"), "no running task has an id that begins with zzz"),
        ("stop_task", ("",), "no running task"),
        ("answer_question", ("zzz", "x"), "no open question has the id zzz"),
    ],
)
async def test_a_models_mistake_is_told_and_raises_nothing(name: str, arguments: Any, told: str) -> None:
    async with following(Bench()) as (_, inbox):
        answer = await tool(inbox, name)(*arguments)
        if name == "start_task" and "nothing" in told:
            answer += str(await inbox.wait(60))
        assert told in answer


async def test_the_tools_are_plain_functions_that_frameworks_can_read() -> None:
    async with following(Bench()) as (_, inbox):
        for function in inbox.tools():
            assert inspect.iscoroutinefunction(function)
            assert "self" not in inspect.signature(function).parameters
            assert (inspect.getdoc(function) or "").splitlines()[0].endswith(".")
            hints = get_type_hints(function)
            assert hints.pop("return") is str
            assert set(hints.values()) <= {str, float}
            assert set(hints) == set(inspect.signature(function).parameters)


async def test_a_question_that_the_users_handler_answers_is_no_question_for_the_model() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        client.on_prompt(lambda prompt: "1")
        await client.start_task("choose")
        told = [news async for news in inbox]
        assert [news.questions for news in told] == [()]
        assert '"chose 1"' in told[0].text


async def test_only_its_own_conversation_is_told() -> None:
    bench = Bench()
    async with following(bench, session_id="mine") as (client, inbox):
        await (await client.start_task("listen_to", session_id="other")).stop()
        await client.start_task("fail", session_id="mine")
        told = [news async for news in inbox]
        assert sum(len(news.ended) for news in told) == 1


async def test_ten_thousand_updates_are_a_few_lines_and_none_is_missing_from_the_count() -> None:
    bench = Bench()
    async with following(bench, budget=600) as (client, inbox):
        bench.go.set()
        await client.start_task("count", {"n": 10_000})
        told = [news async for news in inbox]
        assert all(len(news.text) <= 600 for news in told)
        shown = sum(item.kind == "update" for news in told for item in news.items)
        assert shown + sum(news.left_out for news in told) == 10_000
        assert sum(len(news.ended) for news in told) == 1


@pytest.mark.parametrize(
    "options", [{"budget": 599}, {"max_updates": 0}, {"max_events": 0}, {"settle": -1}], ids=lambda each: str(each)
)
async def test_a_bound_that_cannot_be_kept_is_refused(options: dict[str, Any]) -> None:
    async with mcpc.Client(Bench().server) as client:
        with pytest.raises(ValueError, match="must"):
            Inbox(client, **options)


async def test_a_closed_inbox_tells_what_waits_and_ends() -> None:
    bench = Bench()
    async with following(bench) as (client, inbox):
        task = await client.start_task("count", {"n": 1})
        async for message in task:
            if message.event == "update":
                break
        inbox.close()
        assert ["count update" in news.text async for news in inbox] == [True]


async def test_when_the_server_is_gone_for_good_its_tasks_are_told_as_lost() -> None:
    bench = Bench()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            served = anyio.CancelScope()
            started = anyio.Event()

            async def serve() -> None:
                with served:
                    async with mcpc.listen(bench.server, "memory://agents-lost"):
                        started.set()
                        await anyio.sleep_forever()

            group.start_soon(serve)
            await started.wait()
            async with mcpc.Client("memory://agents-lost") as client, Inbox(client, settle=0) as inbox:
                await client.start_task("listen_to")
                served.cancel()
                told = "\n".join([str(news) async for news in inbox])
            assert "failed" in told
            assert "lost" in told or "stopped" in told  # what a server that shuts down in order still says comes first
