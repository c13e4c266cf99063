"""What a plain caller was asked, and the task that it was handed, are its principal's: known by a bearer token, over
HTTP and WebSocket alike. To anybody else they look like what is not there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastmcp import FastMCP
from mcp.server import MCPServer, Server
from mcp.server.auth.provider import AccessToken

import mcpc
from sep2663_kit import ByHand, by_hand

pytestmark = pytest.mark.anyio

DEADLINE = 60
ADDRESSES = {"ws": "ws://127.0.0.1:0/mcp", "http": "http://127.0.0.1:0/mcp"}
CAN_BE_ASKED: dict[str, Any] = {"elicitation": {}}
KINDS: dict[str, Callable[[str], Any]] = {"MCPServer": MCPServer[Any], "Server": Server[Any], "FastMCP": FastMCP[Any]}
"""`MCPServer` seals what we give it to carry; the others do not."""
MADE_UP = "mcpc." + "A" * 43


class Tokens:
    """Knows the tokens of ann, who has two, and of bob, in the same application."""

    async def verify_token(self, token: str) -> AccessToken | None:
        subjects = {"ann-1": "ann", "ann-2": "ann", "bob": "bob"}
        if token not in subjects:
            return None
        return AccessToken(token=token, client_id="app", scopes=[], subject=subjects[token])


def make_server(kind: str) -> tuple[Any, list[str]]:
    """A server that asks, and hands tasks out; and what became of the questions."""
    server, ended = KINDS[kind]("principals"), list[str]()
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.0)

    @callbacks.tool()
    async def book(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        try:
            table = await task.ask("Which table?", choices=["window", "bar"])
            return {"table": table, "people": await task.ask("How many?", schema={"type": "integer"})}
        finally:
            ended.append("booked")

    @callbacks.tool(plain="handle", after=0.0)
    async def research(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        async for word in task.inputs():
            return {"word": word}
        return {}

    return server, ended


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if anyio_backend_name == "trio" and request.param == "http":
        pytest.skip("uvicorn serves on asyncio")
    return ADDRESSES[request.param]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if request.param == "FastMCP" and anyio_backend_name == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return request.param


async def retry(caller: ByHand, asked: dict[str, Any], answer: Any, **options: Any) -> dict[str, Any]:
    """Come back to what `book` asked, with an answer: the whole response."""
    (key,) = asked["inputRequests"]
    responses = {key: {"action": "accept", "content": {"answer": answer}}}
    params: dict[str, Any] = {"name": "book", "arguments": {}, "inputResponses": responses}
    state = options.pop("state", asked["requestState"])
    return await caller.answer("tools/call", {**params, "requestState": state}, capabilities=CAN_BE_ASKED)


async def test_a_round_is_refused_to_another_principal_and_goes_on_for_its_own(address: str, kind: str) -> None:
    server, ended = make_server(kind)
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.listen(server, address, token_verifier=Tokens()) as listener,
            by_hand(listener.uri, token="ann-1") as ann,
            by_hand(listener.uri, token="bob") as bob,
            by_hand(listener.uri, token="ann-2") as ann_again,
        ):
            first = await ann.call("book", capabilities=CAN_BE_ASKED)
            assert first["resultType"] == "input_required"
            stolen = await retry(bob, first, "bar")
            made_up = await retry(bob, first, "bar", state=MADE_UP)
            assert stolen["error"] == made_up["error"]
            assert stolen["error"]["code"] == -32602
            assert ended == []  # nobody was answered, and nothing was used up
            second = (await retry(ann, first, "window"))["result"]
            assert (await retry(bob, second, 9))["error"] == stolen["error"]
            done = await retry(ann_again, second, 2)  # the principal is who comes back, with whichever token
            assert done["result"]["structuredContent"] == {"table": "window", "people": 2}
            used_up = await retry(ann, second, 3)
            assert used_up["error"] == stolen["error"]
    assert ended == ["booked"]


async def test_a_handed_task_is_unknown_to_another_principal_and_looked_after_by_its_own(
    address: str, kind: str
) -> None:
    server, _ = make_server(kind)
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.listen(server, address, token_verifier=Tokens()) as listener,
            by_hand(listener.uri, token="ann-1") as ann,
            by_hand(listener.uri, token="bob") as bob,
            by_hand(listener.uri, token="ann-2") as ann_again,
        ):
            task_id = (await ann.call("research", capabilities={}))["structuredContent"]["task_id"]
            steps: dict[str, dict[str, Any]] = {"task_news": {}, "task_send": {"input": "no"}, "task_stop": {}}
            for tool, arguments in steps.items():
                found = await bob.call(tool, {"task_id": task_id, **arguments}, capabilities={})
                unknown = await bob.call(tool, {"task_id": MADE_UP, **arguments}, capabilities={})
                assert found["isError"]
                assert found["content"] == unknown["content"]
            await ann.call("task_send", {"task_id": task_id, "input": "yes"}, capabilities={})
            told: dict[str, Any] = {"status": "running"}
            while told["status"] == "running":
                news = await ann_again.call("task_news", {"task_id": task_id}, capabilities={})
                told = news["structuredContent"]
            assert told["result"] == {"word": "yes"}


async def test_a_principal_s_tasks_are_bounded_on_all_its_channels_at_all_servers(tmp_path: Path) -> None:
    """By channels alone, whoever opens a second one could have as many tasks again."""

    def serve() -> Any:
        server = MCPServer[Any]("shared", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(server, store=f"sqlite:{tmp_path}/tasks.db", max_tasks_per_client=2)

        @callbacks.tool()
        async def hold(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            await task.stopping()

        return mcpc.listen(server, ADDRESSES["ws"], token_verifier=Tokens())

    def connect(uri: str, token: str) -> mcpc.Client:
        return mcpc.Client(uri, token=token)

    with anyio.fail_after(DEADLINE):
        async with serve() as one, serve() as two:
            async with connect(one.uri, "ann-1") as here, connect(two.uri, "ann-2") as there:
                first = await here.start_task("hold")
                await there.start_task("hold")
                for client in (here, there):
                    refused = await client.start_task("hold")
                    with pytest.raises(mcpc.TooManyTasks, match="on all its channels") as caught:
                        await refused.result()
                    assert (caught.value.limit, caught.value.value) == ("max_tasks_per_client", 2)
                async with connect(two.uri, "bob") as bob:
                    await (await bob.start_task("hold")).stop()
                await first.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await first.result()
                await there.start_task("hold")
