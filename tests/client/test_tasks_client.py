"""The tasks extension (SEP-2663), client side: calls that become tasks, and the same handle on any server's tasks."""

from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, CreateMessageResult, ElicitRequestParams, ElicitResult, TextContent
from trio.testing import MockClock

import mcpc
from conformance import fixture_server
from mcpc.uri import listen_at
from relay import relay_to
from sep2663_kit import DEADLINE, UUID4, OtherServer, PlainEndpoint, Puppet, by_hand
from support import ASYNCIO_ONLY, make_server, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["memory", "ws", "http"]
NAME: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


@pytest.fixture(autouse=True)
def both_loops_where_the_transport_has_both(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    scheme = request.node.callspec.params.get("scheme") if hasattr(request.node, "callspec") else None
    if anyio_backend == "trio" and scheme in ASYNCIO_ONLY:
        pytest.skip("HTTP is served on asyncio only")


def events(messages: list[mcpc.MCPCMessage]) -> list[tuple[str, Any]]:
    return [(message.event, message.result) for message in messages]


def elicitation(message: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An `inputRequests` entry."""
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


# --- plain calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_call_that_becomes_a_task_is_followed_to_its_result(scheme: str, tmp_path: Path) -> None:
    seen: list[mcpc.MCPCMessage] = []
    with anyio.fail_after(DEADLINE):
        server = fixture_server.make_server()
        async with serving(scheme, tmp_path, server) as served, mcpc.Client(served.uri) as client:
            client.add_event_listener(seen.append)
            result = await client.call_tool("slow_compute", {"seconds": 0, "label": "x"})
            assert result.content == [TextContent(type="text", text="x: done in 0.0 s")]
            failed = await client.call_tool("failing_job")
            assert failed.is_error
            assert failed.content == [TextContent(type="text", text="ValueError: this job always fails")]
            with pytest.raises(MCPError, match="breaks the protocol") as broken:
                await client.call_tool("protocol_error_job")
            assert broken.value.code == -32603
            greeting = await client.call_tool("greet", {"name": "you"})
            assert greeting.structured_content == {"result": "Hello, you!"}
            assert client.tasks == {}
    assert seen == []  # a plain call is no task of the application's


async def test_progress_is_told_as_ever_where_the_caller_asks_for_it(tmp_path: Path) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    with anyio.fail_after(DEADLINE):
        async with serving("ws", tmp_path, make_server()) as served, mcpc.Client(served.uri) as client:
            result = await client.call_tool("count", {"n": 3}, progress_callback=on_progress)
    assert result.structured_content == {"rows": 3}
    assert sorted(told) == [(1.0, 3.0, "step 1/3"), (2.0, 3.0, "step 2/3"), (3.0, 3.0, "step 3/3")]


async def test_where_the_server_insists_on_a_task_its_status_messages_stand_for_progress(tmp_path: Path) -> None:
    puppet = Puppet()
    puppet.callbacks.tool("strict", task_required=True)(puppet.work)
    told: list[tuple[float, float | None, str | None]] = []
    results: list[CallToolResult] = []
    step = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        step.set()

    with anyio.fail_after(DEADLINE):
        async with (
            serving("memory", tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as client,
            anyio.create_task_group() as group,
        ):

            async def call() -> None:
                results.append(await client.call_tool("strict", progress_callback=on_progress))

            group.start_soon(call)
            task_id = await puppet.begun()
            for text in ("one", "two"):
                step = anyio.Event()
                await puppet.update(task_id, {"status": text})
                await step.wait()
            await puppet.finish(task_id)
    assert results[0].content == [TextContent(type="text", text="done")]
    assert told == [(1.0, None, "one"), (2.0, None, "two")]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_call_given_up_here_is_cancelled_there(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=0.05)
    with anyio.fail_after(DEADLINE):
        async with (
            serving(scheme, tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as client,
            by_hand(served.uri) as other,
        ):
            task_id = ""
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "work")
                task_id = await puppet.begun()
                while not puppet.callbacks.binding.sep2663.streams:  # until the client has the task's id
                    await other.get(task_id)
                group.cancel_scope.cancel()
            await other.until(task_id, "cancelled")


async def test_a_call_with_a_time_limit_gives_its_task_up_when_the_time_is_over(tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=0.05)
    with anyio.fail_after(DEADLINE):
        async with (
            serving("memory", tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as client,
            by_hand(served.uri) as other,
        ):
            for limit in (0.2 * 2**n for n in range(8)):  # it may be over before there is a task: then give it more
                with pytest.raises(MCPError) as late:
                    await client.call_tool("work", read_timeout_seconds=limit)
                assert late.value.code == -32001
                if f"the task had no result within {limit:g} s" in str(late.value):
                    break
            else:
                pytest.fail("no task was ever there in time")
            await other.until(await puppet.begun(), "cancelled")


async def test_a_task_that_somebody_else_stops_ends_the_call_with_an_error(tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=0.05)
    results: list[Any] = []
    with anyio.fail_after(DEADLINE):
        async with (
            serving("memory", tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as client,
            by_hand(served.uri) as other,
        ):

            async def call() -> None:
                results.append(await client.call_tool("work"))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await other.ask("tasks/cancel", {"taskId": await puppet.begun()})
    assert results[0].is_error
    assert results[0].content[0].text == "The task was stopped."


async def test_the_questions_of_a_call_go_to_the_prompt_handler_or_the_elicitation_callback(tmp_path: Path) -> None:
    asked: list[Any] = []

    async def on_elicitation(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": "a"})

    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served:
            async with mcpc.Client(served.uri) as client:
                client.on_prompt(lambda prompt: asked.append((prompt.message, prompt.choices)) or "b")
                assert (await client.call_tool("ask")).structured_content == {"answer": "b"}
            async with mcpc.Client(served.uri, elicitation_callback=on_elicitation) as client:
                assert (await client.call_tool("ask")).structured_content == {"answer": "a"}
            async with mcpc.Client(served.uri) as client:  # nobody there to ask
                refused = await client.call_tool("ask")
    assert asked == [("which one?", ["a", "b"]), "which one?"]
    assert refused.is_error
    assert refused.content == [TextContent(type="text", text="PromptError: the user chose to decline the question")]


async def test_a_prompt_handler_may_call_tools_itself_and_what_it_cannot_answer_is_declined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served, mcpc.Client(served.uri) as client:

            @client.on_prompt
            async def ask_the_server(prompt: mcpc.Prompt) -> str:
                counted = await client.call_tool("count", {"n": 1})
                assert counted.structured_content == {"rows": 1}
                return "b"

            assert (await client.call_tool("ask")).structured_content == {"answer": "b"}
            task = await client.start_task("ask")
            assert await task.result() == {"answer": "b"}
            caplog.clear()
            for bad in (lambda prompt: "neither", lambda prompt: 1 / 0):  # pyright: ignore[reportUnknownVariableType, reportUnknownLambdaType]
                client.on_prompt(bad)  # pyright: ignore[reportUnknownArgumentType]
                result = await client.call_tool("ask")
                assert result.is_error
                assert "decline" in str(result.content)
    assert [record.levelname for record in caplog.records if record.name.startswith("mcpc.")] == ["ERROR", "ERROR"]


async def test_a_lost_connection_fails_the_call_at_once(tmp_path: Path) -> None:
    puppet = Puppet(shutdown_grace=0.0)
    failures: list[Exception] = []
    with anyio.fail_after(DEADLINE):
        async with serving("ws", tmp_path, puppet.server) as served, by_hand(served.uri) as other:
            with relay_to(served.uri, tmp_path) as relay:
                async with mcpc.Client(relay.uri) as cut_off, anyio.create_task_group() as calls:

                    async def call() -> None:
                        try:
                            await cut_off.call_tool("work")
                        except Exception as exc:
                            failures.append(exc)

                    calls.start_soon(call)
                    task_id = await puppet.begun()
                    while not puppet.callbacks.binding.sep2663.streams:  # until that client follows the task
                        await other.get(task_id)
                    relay.cut_all()
    assert [type(failure) for failure in failures] == [MCPError]


# --- attaching by id --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_another_client_attaches_to_a_task_by_its_id(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with (
            serving(scheme, tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as owner,
            mcpc.Client(served.uri) as other,
        ):
            started = await owner.start_task("work", session_id="chat-1")
            await puppet.update(started.task_id, {"status": "step 1", "progress": 1})
            task = await other.task(started.task_id)
            assert (task.task_id, task.tool_name) == (started.task_id, "work")
            first = await anext(task)
            assert (first.event, first.tool_name, first.session_id) == ("update", "work", "default")
            assert first.result in ({"status": "step 1", "progress": 1}, {"status": "work has started."})

            await puppet.ask(started.task_id, "Go on?", choices=["yes", "no"])
            while not task.prompts:
                await anext(task)
            (prompt_id,) = task.prompts
            assert task.status == "waiting"
            assert (await task.state())["status"] == "waiting"
            with pytest.raises(mcpc.PromptError):
                await task.answer(prompt_id, "perhaps")
            await task.answer(prompt_id, "yes")
            with pytest.raises(mcpc.InputRefused):
                await task.send("something")
            await puppet.update(started.task_id, [1, 2])
            await puppet.finish(started.task_id, {"rows": 1})
            assert await task.result() == {"rows": 1}
            assert events([message async for message in task])[-2:] == [("update", [1, 2]), ("complete", {"rows": 1})]
            assert other.tasks == {}
    assert puppet.answers == ["yes"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_task_that_is_attached_to_can_be_stopped(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=0.05)
    with anyio.fail_after(DEADLINE):
        async with (
            serving(scheme, tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as owner,
            mcpc.Client(served.uri) as other,
        ):
            started = await owner.start_task("work")
            task = other.task(started.task_id)  # without awaiting: it is found out in the background
            await task.stop()
            for handle in (task, started):
                with pytest.raises(mcpc.TaskStopped):
                    await handle.result()


async def test_attaching_to_what_is_not_there_says_so(tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served:
            async with mcpc.Client(served.uri) as client:
                with pytest.raises(mcpc.UnknownTask):
                    await client.task("4f7d3a52-96c7-4d0c-8b43-7c0c5f4d7a11")
                unawaited = client.task("4f7d3a52-96c7-4d0c-8b43-7c0c5f4d7a11")
                with pytest.raises(mcpc.UnknownTask):
                    await unawaited.result()
                assert client.tasks == {}
                mine = await client.start_task("wait_for_input")
                assert await client.task(mine.task_id) is mine
                await mine.send("done")
            async with mcpc.Client(served.uri, mode="legacy") as client:  # it may be of its channel, without extension
                with pytest.raises(mcpc.UnknownTask):
                    await client.task("4f7d3a52-96c7-4d0c-8b43-7c0c5f4d7a11")
        endpoint = PlainEndpoint(Server[Any]("plain"))
        async with listen_at("memory://plain", endpoint) as listener, mcpc.Client(listener.uri) as client:
            with pytest.raises(mcpc.UnknownTask, match="does not speak the tasks extension"):
                client.task("4f7d3a52-96c7-4d0c-8b43-7c0c5f4d7a11")


# --- servers that are not ours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("push", [True, False], ids=["push", "poll"])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_task_of_another_server_gives_the_same_handle(scheme: str, push: bool, tmp_path: Path) -> None:
    other = OtherServer(push=push)
    with anyio.fail_after(DEADLINE):
        async with other.served(scheme, tmp_path) as listener, mcpc.Client(listener.uri) as client:
            assert not client.supports_mcpc
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            task = await client.start_task("long", session_id="chat-1")
            assert UUID4.fullmatch(task.task_id)
            assert task.task_id in other.tasks
            assert (await anext(task)).result == "begun"

            other.set(task.task_id, "working", statusMessage="step 1")
            assert (await anext(task)).result == {"status": "step 1"}
            other.set(task.task_id, "input_required", inputRequests={"who": elicitation("Who are you?", NAME)})
            message = await anext(task)
            assert message.result == {"prompt": {"id": "who", "message": "Who are you?", "schema": NAME}}
            assert task.status == "waiting"
            with pytest.raises(mcpc.PromptError, match="name, age"):
                await task.answer("who", "just a text")
            await task.answer("who", {"name": "Ann", "age": 7})
            sent = await other.waited_for("tasks/update")
            assert sent["inputResponses"] == {"who": {"action": "accept", "content": {"name": "Ann", "age": 7}}}
            content = [{"type": "text", "text": "all done"}]
            other.set(task.task_id, "completed", result={"content": content, "isError": False})
            assert await task.result() == "all done"
            assert events([message async for message in task]) == [("complete", "all done")]
            assert (await task.state())["status"] == "complete"

            stopped = await client.start_task("long")
            await stopped.stop()
            with pytest.raises(mcpc.TaskStopped):
                await stopped.result()
            failing = await client.start_task("long")
            other.set(failing.task_id, "failed", error={"code": -32603, "message": "rate limit"})
            with pytest.raises(mcpc.TaskFailed, match="rate limit") as failed:
                await failing.result()
            assert failed.value.result == {"error": "MCPError", "code": -32603, "message": "rate limit"}
            wrong = await client.start_task("long")
            other.set(wrong.task_id, "completed", result={"content": content, "isError": True})
            with pytest.raises(mcpc.TaskFailed, match="all done"):
                await wrong.result()
            short = await client.start_task("short")
            assert await short.result() == "at once"
            assert client.tasks == {}
    assert {(message.task_id, message.tool_name, message.session_id) for message in seen[:4]} == {
        (task.task_id, "long", "chat-1")
    }
    assert [message.event for message in seen if message.task_id == task.task_id] == [
        "created",
        "update",
        "update",
        "complete",
    ]
    if scheme == "http":
        assert all(name == params["taskId"] for _, params, name in other.seen)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_where_the_server_pushes_nothing_is_polled_for(scheme: str, tmp_path: Path) -> None:
    other = OtherServer(push=True, interval_ms=60_000)
    with anyio.fail_after(DEADLINE):
        async with other.served(scheme, tmp_path) as listener, mcpc.Client(listener.uri) as client:
            task = await client.start_task("long")
            await other.waited_for("tasks/get")  # once, for what may have changed before the subscription began
            for step in range(20):
                other.set(task.task_id, "working", statusMessage=f"step {step}")
                while (await anext(task)).result != {"status": f"step {step}"}:
                    pass
            other.set(task.task_id, "completed", result={"content": []})
            await task.result()
            assert other.count("tasks/get") == 1


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_a_server_that_does_not_push_is_looked_at_as_often_as_it_suggests(tmp_path: Path) -> None:
    """On a clock that jumps to the next thing to do, so that a minute takes no time and is a minute."""
    other = OtherServer(push=False, interval_ms=500)
    with anyio.fail_after(3600):
        async with other.served("memory", tmp_path) as listener, mcpc.Client(listener.uri) as client:
            task = await client.start_task("long")
            await anyio.sleep(10.25)
            assert other.count("tasks/get") == 20
            other.tasks[task.task_id]["pollIntervalMs"] = 30_000  # it may change while the task runs
            await anyio.sleep(0.5)
            assert other.count("tasks/get") == 21
            await anyio.sleep(60)
            assert other.count("tasks/get") == 23
            other.set(task.task_id, "completed", result={"content": []})
            assert await task.result() == []
            assert other.count("tasks/get") == 24
            await anyio.sleep(120)
            assert other.count("tasks/get") == 24  # what has ended is not looked at


async def test_when_push_ends_the_task_is_looked_after_all_the_same(tmp_path: Path) -> None:
    other = OtherServer(push=True, interval_ms=60_000)
    with anyio.fail_after(DEADLINE):
        async with other.served("memory", tmp_path) as listener, mcpc.Client(listener.uri) as client:
            task = await client.start_task("long")
            await other.waited_for("tasks/get")
            for step in range(3):
                other.cut.set()
                other.cut = anyio.Event()
                other.tasks[task.task_id]["statusMessage"] = f"unannounced {step}"
                while (await anext(task)).result != {"status": f"unannounced {step}"}:
                    pass
                await other.subscribed(step + 2)
            other.set(task.task_id, "completed", result={"content": []})
            assert await task.result() == []


async def test_the_prompt_handler_and_the_callbacks_answer_for_a_handle(tmp_path: Path) -> None:
    other = OtherServer(push=True)
    asked: list[Any] = []

    async def on_sampling(context: Any, params: Any) -> CreateMessageResult:
        content = TextContent(type="text", text="sampled")
        return CreateMessageResult(role="assistant", content=content, model="m")

    async def on_elicitation(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="decline")

    sampling: dict[str, Any] = {
        "method": "sampling/createMessage",
        "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 10},
    }
    answer: dict[str, Any] = {"type": "object", "properties": {"answer": {"type": "string", "enum": ["1", "2"]}}}
    with anyio.fail_after(DEADLINE):
        async with other.served("memory", tmp_path) as listener:
            async with mcpc.Client(listener.uri, sampling_callback=on_sampling) as client:
                client.on_prompt(lambda prompt: asked.append(prompt.choices) or 2)
                task = await client.start_task("long")
                requests = {"llm": sampling, "which": elicitation("Which?", answer)}
                other.set(task.task_id, "input_required", inputRequests=requests)
                await other.waited_for("tasks/update", 2)
                sent: dict[str, Any] = {}
                for _, params, _ in other.seen:
                    sent.update(params.get("inputResponses", {}))
                assert sent["llm"]["content"] == {"type": "text", "text": "sampled"}
                assert sent["which"] == {"action": "accept", "content": {"answer": "2"}}
                # The same keys again are the same questions again, and are not put again.
                other.set(task.task_id, "input_required", inputRequests=requests, statusMessage="still waiting")
                other.set(task.task_id, "completed", result={"content": []})
                await task.result()
                assert other.count("tasks/update") == 2
            async with mcpc.Client(listener.uri, elicitation_callback=on_elicitation) as client:
                task = await client.start_task("long")
                other.set(task.task_id, "input_required", inputRequests={"which": elicitation("Which?", answer)})
                sent = await other.waited_for("tasks/update", 3)
                assert sent["inputResponses"] == {"which": {"action": "decline"}}
    assert asked == [["1", "2"], "Which?"]


async def test_plain_calls_to_another_server_resolve_too(tmp_path: Path) -> None:
    other = OtherServer(push=False, interval_ms=10)
    with anyio.fail_after(DEADLINE):
        async with other.served("memory", tmp_path) as listener, mcpc.Client(listener.uri) as client:
            assert (await client.call_tool("short")).content == [TextContent(type="text", text="at once")]
            results: list[Any] = []

            async def call() -> None:
                results.append(await client.call_tool("long"))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                task_id = await other.only_task()
                other.set(task_id, "completed", result={"content": [{"type": "text", "text": "late"}]})
            assert results[0].content == [TextContent(type="text", text="late")]
            # A call that asks for progress is made as one that cannot become a task.
            told = await client.call_tool("long", progress_callback=_ignore)
            assert told.content == [TextContent(type="text", text="at once")]
            # So is one by a client that does not know the extension.
            async with mcp.Client(mcpc.connect(listener.uri)) as plain:
                assert (await plain.call_tool("long")).content == [TextContent(type="text", text="at once")]


async def _ignore(progress: float, total: float | None, message: str | None) -> None:
    """Nothing."""


async def test_a_server_that_talks_nonsense_ends_the_handle_and_not_the_client(tmp_path: Path) -> None:
    other = OtherServer(push=True)
    with anyio.fail_after(DEADLINE):
        async with other.served("memory", tmp_path) as listener, mcpc.Client(listener.uri) as client:
            task = await client.start_task("long")
            other.set(task.task_id, "completed", result={"content": "not a list"})
            with pytest.raises(mcpc.TaskFailed):
                await task.result()
            task = await client.start_task("long")
            del other.tasks[task.task_id]
            other.cut.set()
            with pytest.raises(mcpc.UnknownTask):
                await task.result()
            assert (await client.call_tool("short")).content == [TextContent(type="text", text="at once")]


async def test_a_handle_finds_its_task_again_after_a_lost_connection(tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving("ws", tmp_path, puppet.server) as served, mcpc.Client(served.uri) as owner:
            with relay_to(served.uri, tmp_path) as relay:
                async with mcpc.Client(relay.uri) as other:
                    started = await owner.start_task("work")
                    task = await other.task(started.task_id)
                    for i in range(3):
                        relay.cut_all()
                        await puppet.update(started.task_id, f"while away {i}")
                        while (await anext(task)).result != f"while away {i}":
                            pass
                    await puppet.finish(started.task_id)
                    assert await task.result() == "done"
                    assert relay.connections >= 4


async def test_a_handle_whose_server_stays_away_is_lost(tmp_path: Path) -> None:
    puppet = Puppet(shutdown_grace=0.0)
    with anyio.fail_after(DEADLINE):
        async with serving("ws", tmp_path, puppet.server) as served, mcpc.Client(served.uri) as owner:
            with relay_to(served.uri, tmp_path) as relay:
                async with mcpc.Client(relay.uri, reconnect_timeout=0.2) as other:
                    started = await owner.start_task("work")
                    task = await other.task(started.task_id)
                    relay.refusing = True
                    relay.cut_all()
                    with pytest.raises(mcpc.ConnectionLost):
                        await task.result()
