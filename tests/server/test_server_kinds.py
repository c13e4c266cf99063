"""The same helper over every kind of server, its limits, its shutdown, and sending from anywhere."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
import pytest
from fastmcp import FastMCP
from mcp.server import MCPServer, Server
from mcp.server.context import ServerRequestContext

import mcpc
from support import make_server

pytestmark = pytest.mark.anyio


def _mcpserver() -> Any:
    server = MCPServer[Any]("kind", log_level="WARNING")

    @server.tool()
    def own(a: int) -> int:  # pyright: ignore[reportUnusedFunction]
        return a + 1

    return server


def _lowlevel() -> Any:
    async def list_tools(ctx: ServerRequestContext[Any], params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="own", input_schema={"type": "object"})])

    async def call_tool(ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        assert params.name == "own", params.name
        value = (params.arguments or {})["a"] + 1
        return types.CallToolResult(content=[types.TextContent(type="text", text=str(value))])

    return Server[Any]("kind", on_list_tools=list_tools, on_call_tool=call_tool)


def _bare_lowlevel() -> Any:
    return Server[Any]("kind")


def _fastmcp() -> Any:
    server = FastMCP[Any]("kind")

    @server.tool
    def own(a: int) -> int:  # pyright: ignore[reportUnusedFunction]
        return a + 1

    return server


KINDS = {"MCPServer": _mcpserver, "Server": _lowlevel, "Server without tools": _bare_lowlevel, "FastMCP": _fastmcp}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return request.param


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_background_tool_works_on_every_kind_of_server(kind: str, mode: str) -> None:
    server = KINDS[kind]()
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool(title="Counts", description="Counts up.")
    async def count(n: int, task: mcpc.Task, label: str = "step") -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        for i in range(n):
            await task.update(f"{label} {i}")
        return {"rows": n}

    with anyio.fail_after(60):
        async with mcpc.Client(server, mode=mode) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert listed["count"].description == "Counts up."
            assert listed["count"].title == "Counts"
            assert set(listed["count"].input_schema["properties"]) == {"n", "label"}
            task = await client.start_task("count", {"n": 2, "label": "row"})
            assert [m.result async for m in task][1:] == ["row 0", "row 1", {"rows": 2}]
            plain = await client.call_tool("count", {"n": 1})
            assert plain.structured_content == {"rows": 1}
            bad = await client.call_tool("count", {"n": "many"})
            assert bad.is_error
            if "own" in listed:
                own = await client.call_tool("own", {"a": 1})
                assert isinstance(own.content[0], types.TextContent)
                assert own.content[0].text == "2"


async def test_over_the_limit_of_tasks_a_call_is_a_clear_tool_error_and_room_comes_back() -> None:
    server = MCPServer[Any]("limits", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, max_tasks=2)

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        return [value async for value in task.inputs() if value != "done"]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            first, second = [await client.start_task("wait") for _ in range(2)]
            refused = await client.start_task("wait")
            with pytest.raises(mcpc.TaskFailed, match="2 tasks are running, which is the limit"):
                await refused.result()
            await first.stop()
            with pytest.raises(mcpc.TaskStopped):
                await first.result()
            third = await client.start_task("wait")
            assert not third.ended
            await second.stop()


async def test_inputs_over_the_bound_are_refused_to_their_sender_and_none_is_lost() -> None:
    server = MCPServer[Any]("limits", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, max_inputs=3)
    go = anyio.Event()

    @callbacks.tool()
    async def later(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        await go.wait()
        got: list[Any] = []
        async for value in task.inputs():
            got.append(value)
            if len(got) == 3:
                break
        return got

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("later")
            for value in (1, 2, 3):
                await task.send(value)
            with pytest.raises(mcpc.InputRefused, match="3 inputs wait already"):
                await task.send(4)
            go.set()
            assert await task.result() == [1, 2, 3]


async def test_prompts_are_checked_and_each_is_answered_once() -> None:
    server = MCPServer[Any]("prompts", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def two(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        answers: dict[str, Any] = {}

        async def ask(name: str, **options: Any) -> None:
            answers[name] = await task.ask(name, **options)

        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ask("choose", choices=["a", "b"]))
            group.start_soon(lambda: ask("number", schema={"type": "integer", "minimum": 1}))
        return [answers["choose"], answers["number"]]

    @callbacks.tool()
    async def impatient(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        try:
            return await task.ask("quick!", timeout=0.01)
        except TimeoutError:
            return "too late"

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("two")
            while len(task.prompts) < 2:
                await anyio.lowlevel.checkpoint()
            assert (await task.state())["status"] == "waiting"
            ids = {message.result["prompt"]["message"]: key for key, message in task.prompts.items()}
            with pytest.raises(mcpc.PromptError, match="none of the choices"):
                await task.answer(ids["choose"], "c")
            with pytest.raises(mcpc.PromptError, match="does not fit the schema"):
                await task.answer(ids["number"], 0)
            with pytest.raises(mcpc.PromptError, match="no such open prompt"):
                await task.answer("unknown", 1)
            await task.answer(ids["choose"], "b")
            with pytest.raises(mcpc.PromptError):
                await task.answer(ids["choose"], "a")
            await task.answer(ids["number"], 7)
            assert await task.result() == ["b", 7]
            with pytest.raises(mcpc.TaskEnded):
                await task.answer(ids["number"], 8)
            assert await (await client.start_task("impatient")).result() == "too late"


async def test_a_sync_worker_asks_and_takes_inputs_too() -> None:
    server = MCPServer[Any]("sync", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    def sync(task: mcpc.SyncTask) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        got = [task.ask("first?", choices=[1, 2])]
        for value in task.inputs():
            got.append(value)
            if value == "last":
                break
        return got

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            client.on_prompt(lambda prompt: 2)
            task = await client.start_task("sync")
            await task.send("middle")
            await task.send("last")
            assert await task.result() == [2, "middle", "last"]


async def test_a_prompt_is_answered_though_nobody_holds_the_task_and_the_handler_came_just_before_it() -> None:
    server = MCPServer[Any]("asks", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def asks(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        await task.update("a question comes")
        return await task.ask("which?", choices=["a", "b"])

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            ended = anyio.Event()
            results: list[Any] = []

            def listen(message: mcpc.MCPCMessage) -> None:
                if message.result == "a question comes":
                    client.on_prompt(lambda prompt: "b")
                elif message.terminal:
                    results.append(message.result)
                    ended.set()

            client.add_event_listener(listen)
            await client.start_task("asks")
            await ended.wait()
    assert results == ["b"]


async def test_shutdown_stops_the_tasks_and_every_listener_gets_their_last_messages() -> None:
    server = MCPServer[Any]("shutdown", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, shutdown_grace=2.0)

    @callbacks.tool()
    async def deaf(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await anyio.sleep_forever()

    @callbacks.tool()
    async def polite(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()
        await task.update("closing the files")
        return "closed"

    seen: list[Any] = []
    async with AsyncExit() as stack:
        listening = await stack.enter(mcpc.listen(server, "memory://shutdown"))
        with anyio.fail_after(60):
            async with mcpc.Client(listening.uri, on_connection=seen.append) as client:
                messages: list[mcpc.MCPCMessage] = []
                client.add_event_listener(messages.append)
                tasks = [await client.start_task(name) for name in ("deaf", "polite")]
                await stack.leave()
                for task in tasks:
                    with pytest.raises(mcpc.TaskStopped):
                        await task.result()
    assert [m.event for m in messages if m.tool_name == "polite"] == ["created", "update", "failed"]
    assert (seen[0], seen[-1]) == ("connected", "closed")


class AsyncExit:
    """A listener that a test closes while its client lives: it runs in a task of its own."""

    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._leave = anyio.Event()
        self._left = anyio.Event()

    async def __aenter__(self) -> "AsyncExit":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leave.set()
        await self._group.__aexit__(None, None, None)

    async def enter(self, context: Any) -> Any:
        async def hold(*, task_status: Any) -> None:
            async with context as value:
                task_status.started(value)
                await self._leave.wait()
            self._left.set()

        return await self._group.start(hold)

    async def leave(self) -> None:
        self._leave.set()
        await self._left.wait()


async def test_messages_are_sent_from_another_thread_and_from_another_event_loop() -> None:
    server = MCPServer[Any]("threads", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @server.tool()
    def plain() -> str:  # pyright: ignore[reportUnusedFunction]
        return "ok"

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        return [value async for value in task.inputs()]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            events: list[Any] = []
            client.add_event_listener(events.append, type="server_event")
            task = await client.start_task("wait", session_id="s")
            sent: list[Any] = []

            def elsewhere() -> None:
                async def send() -> None:
                    for i in range(5):
                        sent.append(await callbacks.emit("from-a-thread", i, session_id="s"))
                    update = callbacks.create_task_event("update", "wait", "s", task.task_id, "from a thread")
                    sent.append(await callbacks.send(update))

                asyncio.run(send())

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await anyio.to_thread.run_sync(thread.join)
            assert sent == [1, 1, 1, 1, 1, True]
            await client.call_tool("plain", {})
            assert [event.result for event in events] == list(range(5))
            await task.stop()


async def test_the_lifespan_of_a_server_is_entered_once_for_all_connections() -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def lifespan(server: Any) -> AsyncGenerator[dict[str, str]]:
        entered.append("in")
        yield {"state": "here"}
        entered.append("out")

    server = MCPServer[Any]("lifespan", lifespan=lifespan, log_level="WARNING")

    @server.tool()
    def plain() -> str:  # pyright: ignore[reportUnusedFunction]
        return "ok"

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://lifespan") as listener:
            for _ in range(3):
                async with mcpc.Client(listener.uri) as client:
                    await client.call_tool("plain", {})
            assert entered == ["in"]
    assert entered == ["in", "out"]


def test_what_is_no_server_is_refused_with_a_clear_message() -> None:
    with pytest.raises(mcpc.MCPCError, match=r"cannot serve a dict: it must be mcp\.server\.MCPServer"):
        mcpc.MCPCHelper({})
    server = MCPServer[Any]("twice", log_level="WARNING")
    mcpc.MCPCHelper(server, max_tasks=5)
    with pytest.raises(mcpc.MCPCError, match="other limits"):
        mcpc.MCPCHelper(server, max_tasks=6)
    with pytest.raises(TypeError):
        mcpc.MCPCHelper(server, max_task=6)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="max_tasks is out of range"):
        mcpc.MCPCHelper("name", max_tasks=0)


def test_a_worker_with_the_wrong_kind_of_task_is_refused_with_a_clear_message() -> None:
    callbacks = mcpc.MCPCHelper(MCPServer[Any]("wrong", log_level="WARNING"))
    with pytest.raises(mcpc.MCPCError, match=r"an async worker takes mcpc\.Task"):

        @callbacks.tool()
        async def wrong(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
            pass

    with pytest.raises(TypeError, match="with the parentheses"):

        @callbacks.tool  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
        async def forgotten(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            pass


@pytest.mark.parametrize("uri", ["memory://cancelled", "tcp://127.0.0.1:0"])
async def test_a_cancelled_serve_still_sends_the_last_messages(uri: str) -> None:
    server = MCPServer[Any]("cancelled", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, shutdown_grace=60.0)

    @callbacks.tool()
    async def polite(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()
        return "closed"

    where: list[str] = []
    listening = anyio.Event()

    def told(address: str) -> None:
        where.append(address)
        listening.set()

    async def serve_until_cancelled() -> None:
        with scope:
            await mcpc.serve(server, uri, on_listening=told)

    scope = anyio.CancelScope()
    messages: list[mcpc.MCPCMessage] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(serve_until_cancelled)
            await listening.wait()
            async with mcpc.Client(where[0], reconnect=False) as client:
                task = await client.start_task("polite")
                scope.cancel()
                with pytest.raises(mcpc.TaskStopped):
                    await task.result()
                messages.extend([message async for message in task])
    assert messages[-1].result["result"] == "closed"


async def test_a_channel_that_was_forgotten_is_another_log_and_the_client_is_told() -> None:
    server = make_server(channel_ttl=0.0)
    journals = mcpc.MCPCHelper(server).binding.workshop.journals
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://forgotten") as listener:
            states: list[str] = []
            async with mcpc.Client(
                listener.uri, reconnect=mcpc.Backoff(0.001, 0.01), on_connection=states.append
            ) as client:
                gaps: list[mcpc.MCPCMessage] = []
                client.add_event_listener(gaps.append, event="gap")
                assert await (await client.start_task("count", {"n": 5})).result() == {"rows": 5}
                for journal in journals:
                    assert journal.reader is not None
                    journal.leave(journal.reader)  # as when the connection is lost
                journals.expire()
                assert len(journals) == 0
                while not gaps:
                    await anyio.lowlevel.checkpoint()
                assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}


async def test_a_client_that_reads_all_may_start_any_number_of_tasks() -> None:
    server = make_server(max_ended_tasks=5, max_messages=5)
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            for _ in range(30):
                assert await (await client.start_task("count", {"n": 2})).result() == {"rows": 2}


async def test_a_legacy_client_of_ours_gets_each_server_event_once() -> None:
    server = make_server()
    callbacks = mcpc.MCPCHelper(server)
    with anyio.fail_after(60):
        async with mcpc.Client(server, mode="legacy") as client:
            events: list[Any] = []
            client.add_event_listener(events.append, type="server_event")
            assert await callbacks.emit("news", 1) == 1
            await (await client.start_task("count", {"n": 1})).result()
    assert [event.result for event in events] == [1]
