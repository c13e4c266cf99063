"""The tasks extension (SEP-2663) through a bridge: handles, polling, questions, cancelling, push; and who gets what."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.mcpserver import Context

import mcpc
from sep2663_kit import (
    ACKNOWLEDGED,
    DEADLINE,
    DECLARED,
    SUBSCRIPTION,
    TASKS,
    UUID4,
    VERSION,
    ByHand,
    OtherServer,
    Puppet,
    Stream,
    by_hand,
)
from support import ASYNCIO_ONLY, TEMPLATES, serving

pytestmark = pytest.mark.anyio

ROUTES = [
    ("http", "ws", False),
    ("http", "unix", False),
    ("http", "tcp", False),
    ("http", "stdio", False),
    ("http", "http", False),
    ("http", "memory", True),
    ("memory", "http", False),
    ("ws", "tcp", False),
    ("unix", "ws", True),
    ("tcp", "stdio", True),
    ("sse+http", "memory", False),
    ("memory", "sse+http", False),
]
MISSING: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
UNKNOWN = "b5f0c4f6-5fd5-4f7b-8b2e-1d4b1f7a9c10"
UNDECLARED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def only_where_both_ends_can_run(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    parameters: dict[str, Any] = request.node.callspec.params
    if anyio_backend == "trio" and ASYNCIO_ONLY & {parameters.get("come"), parameters.get("go")}:
        pytest.skip("HTTP is served on asyncio only")


@asynccontextmanager
async def bridged(come: str, go: str, tmp_path: Path, *, shared: bool = False) -> AsyncGenerator[str]:
    """The address of a bridge from one scheme to the test server at another."""
    async with (
        serving(go, tmp_path) as served,
        mcpc.bridging(TEMPLATES[come].format(name="bridge", tmp=tmp_path), served.uri, shared=shared) as listener,
    ):
        yield listener.uri


async def listening(client: ByHand, *task_ids: str) -> Stream:
    """A subscription to tasks, acknowledged under the id that this client gave it."""
    stream = await client.listen(*task_ids)
    first = await stream.next()
    assert first["method"] == ACKNOWLEDGED
    assert first["params"] == {"_meta": {SUBSCRIPTION: stream.request_id}, "notifications": {"taskIds": [*task_ids]}}
    return stream


@pytest.mark.parametrize(("come", "go", "shared"), ROUTES)
async def test_a_task_is_followed_asked_by_and_cancelled_through_a_bridge(
    come: str, go: str, shared: bool, tmp_path: Path
) -> None:
    with anyio.fail_after(DEADLINE):
        async with bridged(come, go, tmp_path, shared=shared) as uri, by_hand(uri) as client:
            discovered = await client.ask("server/discover")
            assert discovered["capabilities"]["extensions"][TASKS] == {}
            await a_question_is_answered(client)
            await a_cancelled_task_ends(client)
            await who_may_not_is_refused(client)
            await a_client_of_ours_attaches(client, uri)


async def a_question_is_answered(client: ByHand) -> None:
    created = await client.call("ask", {"question": "left or right?"})
    assert created["resultType"] == "task"
    task_id = created["taskId"]
    assert UUID4.fullmatch(task_id)
    stream = await listening(client, task_id)
    state = await stream.until("input_required")
    assert await client.get(task_id) == state
    ((key, request),) = state["inputRequests"].items()
    assert request["params"]["message"] == "left or right?"
    response = {"action": "accept", "content": {"answer": "b"}}
    await client.ask("tasks/update", {"taskId": task_id, "inputResponses": {key: response}})
    ended = await stream.until("completed")
    assert ended["result"]["structuredContent"] == {"answer": "b"}
    assert await client.get(task_id) == ended


async def a_cancelled_task_ends(client: ByHand) -> None:
    task_id = (await client.call("wait_for_input"))["taskId"]
    stream = await listening(client, task_id)
    await client.ask("tasks/cancel", {"taskId": task_id})
    assert (await stream.until("cancelled"))["taskId"] == task_id
    await client.until(task_id, "cancelled")


async def who_may_not_is_refused(client: ByHand) -> None:
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        params: dict[str, Any] = {"taskId": UNKNOWN, "inputResponses": {}}
        error = await client.refusal(method, params)
        assert (error["code"], error["data"]) == (-32602, {"reason": "unknown_task"})
        error = await client.refusal(method, params, capabilities=UNDECLARED)
        assert (error["code"], error["data"]) == (-32021, MISSING)
    filters: dict[str, Any] = {"notifications": {"taskIds": [UNKNOWN]}}
    error = await client.refusal("subscriptions/listen", filters, capabilities=UNDECLARED)
    assert (error["code"], error["data"]) == (-32021, MISSING)


async def a_client_of_ours_attaches(client: ByHand, uri: str) -> None:
    task_id = (await client.call("ask"))["taskId"]
    async with mcpc.Client(uri) as ours:
        task = await ours.task(task_id)
        while not task.prompts:
            await anext(task)
        await task.answer(next(iter(task.prompts)), "a")
        assert await task.result() == {"answer": "a"}
        ours.on_prompt(lambda prompt: "b")
        assert (await ours.call_tool("ask")).structured_content == {"answer": "b"}


@pytest.mark.parametrize(("come", "go", "shared"), [("http", "tcp", False), ("ws", "memory", True)])
async def test_each_subscriber_gets_its_own_tasks_though_all_share_a_connection(
    come: str, go: str, shared: bool, tmp_path: Path
) -> None:
    with anyio.fail_after(DEADLINE):
        async with (
            bridged(come, go, tmp_path, shared=shared) as uri,
            by_hand(uri) as one,
            by_hand(uri) as two,
        ):
            clients = (one, two)
            ids = [(await client.call("wait_for_input"))["taskId"] for client in clients]
            streams = [await listening(client, task_id) for client, task_id in zip(clients, ids, strict=True)]
            assert streams[0].request_id == streams[1].request_id  # each counts for itself
            for client, task_id in zip(reversed(clients), reversed(ids), strict=True):
                await client.ask("tasks/cancel", {"taskId": task_id})
            for stream, task_id in zip(streams, ids, strict=True):
                states = [await stream.state()]
                while states[-1]["status"] != "cancelled":
                    states.append(await stream.state())
                assert {state["taskId"] for state in states} == {task_id}
                assert stream.is_empty


@pytest.mark.parametrize(
    ("come", "go", "shared"),
    [("http", "tcp", False), ("http", "http", False), ("ws", "unix", False), ("tcp", "ws", True)],
)
async def test_list_changes_come_beside_tasks_and_a_subscription_given_up_is_given_up_at_the_server(
    come: str, go: str, shared: bool, tmp_path: Path
) -> None:
    puppet = Puppet()

    @puppet.server.tool()
    async def change(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        """Say that the tools have changed."""
        await ctx.notify_tools_changed()
        return "said"

    streams = puppet.callbacks.binding.sep2663.streams
    with anyio.fail_after(DEADLINE):
        async with (
            serving(go, tmp_path, puppet.server) as served,
            mcpc.bridging(TEMPLATES[come].format(name="bridge", tmp=tmp_path), served.uri, shared=shared) as listener,
            by_hand(listener.uri) as client,
        ):
            task_id = (await client.call("work"))["taskId"]
            stream = await client.listen(task_id, toolsListChanged=True)
            agreed = (await stream.next())["params"]["notifications"]
            assert agreed == {"taskIds": [task_id], "toolsListChanged": True}
            assert (await stream.state())["status"] == "working"
            await client.call("change")
            assert (await stream.next())["method"] == "notifications/tools/list_changed"
            assert len(streams) == 1
            await stream.cancel()
            while streams:
                await client.get(task_id)
            await puppet.finish(task_id, "all the same")
            assert (await client.until(task_id, "completed"))["result"]["content"][0]["text"] == "all the same"


@pytest.mark.parametrize(("come", "go"), [("http", "ws"), ("memory", "http"), ("http", "http")])
async def test_the_id_travels_as_a_header_to_a_server_that_is_not_ours(come: str, go: str, tmp_path: Path) -> None:
    other = OtherServer(push=False)
    with anyio.fail_after(DEADLINE):
        async with (
            other.served(go, tmp_path) as served,
            mcpc.bridging(TEMPLATES[come].format(name="bridge", tmp=tmp_path), served.uri) as listener,
            mcpc.Client(listener.uri) as client,
        ):
            task = await client.start_task("long")
            other.set(task.task_id, "working", statusMessage="half")
            while (await anext(task)).result != {"status": "half"}:
                pass
            other.set(task.task_id, "completed", result={"content": [{"type": "text", "text": "whole"}]})
            assert await task.result() == "whole"
            assert other.count("tasks/get") > 0
    expected = {task.task_id} if go == "http" else {None}
    assert {name for _, _, name in other.seen} == expected


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_header_that_names_another_task_is_refused_where_clients_come_in(tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with (
            bridged("http", "tcp", tmp_path) as uri,
            by_hand(uri) as client,
            httpx2.AsyncClient(timeout=60) as http,
        ):
            task_id = (await client.call("wait_for_input"))["taskId"]
            meta: dict[str, Any] = {
                "io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientCapabilities": DECLARED,
            }
            body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"taskId": task_id, "_meta": meta}}
            headers = {"mcp-protocol-version": VERSION, "mcp-method": "tasks/get"}
            headers |= {"accept": "application/json, text/event-stream"}
            for name, status in ((None, 200), (UNKNOWN, 400), (task_id, 200)):
                named = headers if name is None else {**headers, "mcp-name": name}
                answer = await http.post(uri, json=body, headers=named)
                assert answer.status_code == status
                found = answer.json()
                assert found["error"]["code"] == -32020 if status == 400 else found["result"]["taskId"] == task_id
            await client.ask("tasks/cancel", {"taskId": task_id})
