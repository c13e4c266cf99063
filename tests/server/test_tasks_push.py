"""The tasks extension (SEP-2663), push: `subscriptions/listen` with `taskIds`, and the full state on each change."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import mcp
import pytest
from mcp.client import ClientExtension
from mcp.client.extension import ClaimContext, NotificationBinding, ResultClaim
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict

import mcpc
from sep2663_kit import ACKNOWLEDGED, DEADLINE, SUBSCRIPTION, TASKS, ByHand, Puppet, Stream, by_hand
from support import ASYNCIO_ONLY, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["memory", "ws", "http"]
CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]}


@pytest.fixture(autouse=True)
def both_loops_where_the_transport_has_both(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    scheme = request.node.callspec.params.get("scheme") if hasattr(request.node, "callspec") else None
    if anyio_backend == "trio" and scheme in ASYNCIO_ONLY:
        pytest.skip("HTTP is served on asyncio only")


async def start(client: ByHand) -> str:
    """Begin a task; its id."""
    task_id: str = (await client.call("work"))["taskId"]
    return task_id


async def acknowledged(stream: Stream) -> dict[str, Any]:
    """What the server agreed to, which it says first."""
    message = await stream.next()
    assert message["method"] == ACKNOWLEDGED
    assert message["params"]["_meta"] == {SUBSCRIPTION: stream.request_id}
    return message["params"]["notifications"]


@asynccontextmanager
async def by_hand_while_serving(
    scheme: str, tmp_path: Path, puppet: Puppet
) -> AsyncGenerator[tuple[ByHand, Callable[[], None]]]:
    """A client of a server that can be shut down under it."""
    over, uri = anyio.Event(), ""
    up = anyio.Event()

    async def serve() -> None:
        nonlocal uri
        async with serving(scheme, tmp_path, puppet.server) as served:
            uri = served.uri
            up.set()
            await over.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        await up.wait()
        async with by_hand(uri) as client:
            yield client, over.set
        over.set()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_full_state_comes_on_each_change_after_the_acknowledgement(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = await start(client)
            stream = await client.listen(task_id)
            assert await acknowledged(stream) == {"taskIds": [task_id]}
            assert await stream.state() == await client.get(task_id)  # as it stands, for who comes late

            await puppet.update(task_id, {"status": "step 1"})
            state = await stream.state()
            assert (state["status"], state["statusMessage"]) == ("working", "step 1")
            assert state == await client.get(task_id)

            await puppet.ask(task_id, "Go on?", schema=CONFIRM)
            state = await stream.state()
            assert state["status"] == "input_required"
            assert state == await client.get(task_id)
            ((key, request),) = state["inputRequests"].items()
            assert request["params"]["message"] == "Go on?"
            response = {"action": "accept", "content": {"confirm": True}}
            await client.ask("tasks/update", {"taskId": task_id, "inputResponses": {key: response}})
            assert (await stream.state())["status"] == "working"

            await puppet.finish(task_id, {"rows": 3})
            state = await stream.state()
            assert state["status"] == "completed"
            assert state["result"]["structuredContent"] == {"rows": 3}
            assert state == await client.get(task_id)
            assert stream.is_empty


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_only_the_tasks_that_were_asked_for_and_are_known_are_pushed(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            one, two, three = [await start(client) for _ in range(3)]
            unknown = "7c1a6a1e-2f0b-4c8e-9d53-0f2f5b8a9f10"
            first = await client.listen(one, unknown, three, one)
            second = await client.listen(two)
            assert await acknowledged(first) == {"taskIds": [one, three]}
            assert await acknowledged(second) == {"taskIds": [two]}
            for task_id in (two, one, three):
                await puppet.finish(task_id)
                await client.until(task_id, "completed")
            ended = [(await first.until("completed"))["taskId"] for _ in range(2)]
            assert ended == [one, three]
            assert (await second.until("completed"))["taskId"] == two
            assert first.is_empty
            assert second.is_empty


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_who_subscribes_after_the_end_learns_of_the_end(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = await start(client)
            await puppet.finish(task_id, "result")
            ended = await client.until(task_id, "completed")
            stream = await client.listen(task_id)
            await acknowledged(stream)
            assert await stream.state() == ended


async def test_each_way_to_end_is_pushed(tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=0.05)
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            failing, breaking, stopped = [await start(client) for _ in range(3)]
            stream = await client.listen(failing, breaking, stopped)
            await acknowledged(stream)
            await puppet.fail(failing, ValueError("no"))
            assert (await stream.until("completed"))["result"]["isError"] is True
            await puppet.fail(breaking, mcp.MCPError(-32603, "broken"))
            assert (await stream.until("failed"))["error"] == {"code": -32603, "message": "broken"}
            await client.ask("tasks/cancel", {"taskId": stopped})
            assert (await stream.until("cancelled"))["taskId"] == stopped


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_list_changes_come_on_the_same_subscription(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()

    @puppet.server.tool()
    async def change(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        """Say that the tools have changed."""
        await ctx.notify_tools_changed()
        return "said"

    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = await start(client)
            stream = await client.listen(task_id, toolsListChanged=True)
            plain = await client.open("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            assert await acknowledged(stream) == {"toolsListChanged": True, "taskIds": [task_id]}
            assert await acknowledged(plain) == {"toolsListChanged": True}
            assert (await stream.state())["status"] == "working"
            await client.call("change")
            assert (await stream.next())["method"] == "notifications/tools/list_changed"
            assert (await plain.next())["method"] == "notifications/tools/list_changed"
            await puppet.finish(task_id)
            assert (await stream.state())["status"] == "completed"
            assert plain.is_empty


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_cancelled_subscription_ends_and_the_task_goes_on(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = await start(client)
            stream = await client.listen(task_id)
            await acknowledged(stream)
            await stream.state()
            await stream.cancel()
            while puppet.callbacks.binding.sep2663.streams:
                await client.get(task_id)
            await puppet.finish(task_id)
            await client.until(task_id, "completed")
            assert all(message.get("method") != "notifications/tasks" for message in stream.left())


async def test_a_task_with_callbacks_is_pushed_to_subscribers_too(tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with (
            serving("ws", tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as ours,
            by_hand(served.uri) as client,
        ):
            task = await ours.start_task("work")
            stream = await client.listen(task.task_id)
            assert await acknowledged(stream) == {"taskIds": [task.task_id]}
            await puppet.finish(task.task_id, {"rows": 1})
            assert (await stream.until("completed"))["result"]["structuredContent"] == {"rows": 1}
            assert await task.result() == {"rows": 1}


async def test_a_slow_reader_gets_the_newest_states_and_always_the_last_one(tmp_path: Path) -> None:
    """While nobody reads, states wait up to a bound; beyond it each task keeps its newest."""
    puppet = Puppet()
    number = 5000
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served:
            async with by_hand(served.uri) as client:
                one, two = [await start(client) for _ in range(2)]
            async with by_hand(served.uri) as client:
                client.reading = anyio.Event()  # nothing is read until it is set
                stream = await client.listen(one, two)
                binding = puppet.callbacks.binding
                while not binding.sep2663.streams:
                    await anyio.lowlevel.checkpoint()
                text = "x" * 1000

                async def many(task: mcpc.Task) -> str:
                    for i in range(number):
                        await task.update(f"{i} {text}")
                    return "done"

                await puppet.tell(one, many)
                await puppet.finish(two)
                while any(not record.ended for record in binding.workshop.registry):
                    await anyio.lowlevel.checkpoint()
                waiting = len(binding.sep2663.streams[0]._waiting)  # pyright: ignore[reportPrivateUsage]
                client.reading.set()
                await acknowledged(stream)
                ended: set[str] = set()
                last, count = -1, 0
                while ended != {one, two}:
                    state = await stream.state()
                    count += 1
                    if state["status"] == "completed":
                        ended.add(state["taskId"])
                    elif state["statusMessage"][0].isdigit():
                        now = int(state["statusMessage"].split()[0])
                        assert now > last
                        last = now
    assert waiting <= 300
    assert count < number


@pytest.mark.parametrize("scheme", ["memory", "ws"])
async def test_when_the_server_shuts_down_subscribers_hear_how_their_tasks_ended(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet(shutdown_grace=2.0)
    with anyio.fail_after(DEADLINE):
        async with by_hand_while_serving(scheme, tmp_path, puppet) as (client, shut_down):
            task_id = await start(client)
            stream = await client.listen(task_id)
            await acknowledged(stream)
            shut_down()
            assert (await stream.until("cancelled"))["taskId"] == task_id
            answer = await stream.next()
            assert answer["result"]["_meta"][SUBSCRIPTION] == stream.request_id
            assert answer["result"]["resultType"] == "complete"


async def test_a_server_without_subscriptions_still_refuses_what_it_does_not_serve(tmp_path: Path) -> None:
    server = MCPServer[Any]("no-subscriptions", log_level="WARNING", subscriptions=False)
    mcpc.MCPCHelper(server)
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, server) as served, by_hand(served.uri) as client:
            assert await acknowledged(await client.listen("anything")) == {"taskIds": []}
            error = await client.refusal("subscriptions/listen", {"notifications": {}})
            assert error["code"] == -32601


# --- the SDK's own client, which was told of the extension --------------------------------------------------------


class _Handle(Result):
    """A call that became a task."""

    result_type: Literal["task"]
    task_id: str
    status: str


class _State(Result):
    """A task's state."""

    model_config = ConfigDict(extra="allow")

    status: str


class _Any(RequestParams):
    model_config = ConfigDict(extra="allow")


class _TaskRequest(Request[_Any, str]):
    name_param = "taskId"


class Watching(ClientExtension):
    """The extension as another program would write it for the SDK's client: a claim, and a place for notifications."""

    identifier = TASKS

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self.ended = anyio.Event()

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return (ResultClaim(result_type="task", model=_Handle, resolve=self.resolve),)

    def notifications(self) -> Sequence[NotificationBinding[Any]]:
        return (NotificationBinding(method="notifications/tasks", params_type=_State, handler=self.take),)

    async def take(self, state: _State) -> None:
        self.states.append({"status": state.status, **(state.__pydantic_extra__ or {})})
        if state.status == "completed":
            self.ended.set()

    async def resolve(self, handle: _Handle, context: ClaimContext) -> CallToolResult:
        listening: Any = Request[_Any, str](
            method="subscriptions/listen",
            params=_Any.model_validate({"notifications": {"taskIds": [handle.task_id]}}),
        )
        async with anyio.create_task_group() as group:
            group.start_soon(context.session.send_request, listening, Result)
            await self.ended.wait()
            group.cancel_scope.cancel()
        request = _TaskRequest(method="tasks/get", params=_Any.model_validate({"taskId": handle.task_id}))
        state = await context.session.send_request(request, _State)
        return CallToolResult.model_validate((state.__pydantic_extra__ or {})["result"])


@pytest.mark.parametrize("scheme", [*SCHEMES, "in process"])
async def test_the_sdks_client_follows_a_task_by_push_with_an_extension_of_its_own(scheme: str, tmp_path: Path) -> None:
    puppet, watching = Puppet(), Watching()
    task_id = ""
    results: list[CallToolResult] = []
    with anyio.fail_after(DEADLINE):
        async with AsyncExitStack() as stack:
            target: Any = puppet.server
            if scheme != "in process":
                target = mcpc.connect((await stack.enter_async_context(serving(scheme, tmp_path, puppet.server))).uri)
            client = await stack.enter_async_context(mcp.Client(target, extensions=[watching]))

            async def call() -> None:
                results.append(await client.call_tool("work"))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                task_id = await puppet.begun()
                while not puppet.callbacks.binding.sep2663.streams:
                    await anyio.lowlevel.checkpoint()
                await puppet.update(task_id, "half")
                await puppet.finish(task_id, {"rows": 2})
    assert results[0].structured_content == {"rows": 2}
    assert {state["taskId"] for state in watching.states} == {task_id}
    # The SDK may hand notifications on in another order than they came in.
    (ended,) = (state for state in watching.states if state["status"] == "completed")
    assert ended["result"]["structuredContent"] == {"rows": 2}


async def test_who_attaches_to_a_task_has_its_value_also_where_its_content_does_not_give_it_back() -> None:
    values: list[Any] = [[1, 2, 3], ["a"], [], "5", "text", 5, None, True, {"rows": 2}, [{"n": 1}, [2]]]
    server = MCPServer[Any]("values", log_level="WARNING")

    @mcpc.MCPCHelper(server).tool()
    async def give(number: int, task: mcpc.Task):  # pyright: ignore[reportUnusedFunction]
        return values[number]

    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server, "memory://values") as listener:
            async with by_hand(listener.uri) as by_extension, mcpc.Client(listener.uri) as client:
                for number, value in enumerate(values):
                    created = await by_extension.call("give", {"number": number})
                    attached = client.task(created["taskId"])
                    assert await attached.result() == value
                    told = await (await client.start_task("give", {"number": number})).result()
                    assert (told, type(told)) == (value, type(value))
