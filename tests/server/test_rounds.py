"""A plain caller is asked as its era allows: by elicitation while its call waits, or by rounds of its call."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import mcp
import mcp_types as types
import pytest
from fastmcp import Client as FastMCPClient
from fastmcp import FastMCP
from mcp.server import MCPServer
from pydantic import BaseModel

import mcpc
from mcpc.server.rounds import RoundTable, is_ours
from sep2663_kit import by_hand

pytestmark = pytest.mark.anyio

CAN_BE_ASKED: dict[str, Any] = {"elicitation": {}}


class Person(BaseModel):
    name: str
    age: int = 1


class Order(BaseModel):
    who: Person
    note: str | None = None
    tags: list[dict[str, int]] = []


def make(**limits: Any) -> tuple[Any, list[str]]:
    """A server whose tools ask, and what became of their tasks."""
    server = MCPServer[Any]("asks", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, **limits)
    ended: list[str] = []

    @callbacks.tool()
    async def ask(times: int, task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        answers: list[Any] = []
        try:
            for number in range(times):
                await task.update({"progress": number})
                answers.append(await task.ask(f"number {number}?", choices=["a", "b"]))
        except mcpc.PromptError as exc:
            answers.append(str(exc))
        except BaseException:
            ended.append("stopped")
            raise
        ended.append("returned")
        return answers

    @callbacks.tool()
    async def both(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        answers: dict[str, Any] = {}

        async def one(name: str, schema: dict[str, Any]) -> None:
            answers[name] = await task.ask(name, schema=schema)

        async with anyio.create_task_group() as group:
            group.start_soon(one, "how many?", {"type": "integer", "minimum": 1})
            group.start_soon(one, "really?", {"type": "boolean"})
        return answers

    @callbacks.tool()
    async def order(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"order": await task.ask("what?", schema=Order.model_json_schema())}

    @callbacks.tool()
    def threads(task: mcpc.SyncTask) -> str:  # pyright: ignore[reportUnusedFunction]
        return task.ask("in a thread?", choices=["yes"])

    return server, ended


@asynccontextmanager
async def served(server: Any, scheme: str, folder: Path) -> AsyncGenerator[str]:
    uris = {"memory": "memory://asks", "ws": "ws://127.0.0.1:0/mcp", "http": "http://127.0.0.1:0/mcp"}
    uris |= {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{folder}/asks.sock"}
    async with mcpc.listen(server, uris[scheme]) as listener:
        yield listener.uri


class Asked:
    """An elicitation callback that gives answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.params: list[Any] = []
        self._answers = list(answers)

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.params.append(params)
        answer = self._answers.pop(0)
        if isinstance(answer, str) and answer in ("decline", "cancel"):
            return types.ElicitResult(action=answer)  # type: ignore[arg-type]  # pyright: ignore
        content = cast("dict[str, Any]", answer if isinstance(answer, dict) else {"answer": answer})
        return types.ElicitResult(action="accept", content=content)


def client(uri: str, mode: Any, asked: Asked, **options: Any) -> mcp.Client:
    return mcp.Client(mcpc.connect(uri), mode=mode, elicitation_callback=asked, **options)


@pytest.fixture(params=["memory", "tcp", "unix", "ws", "http"])
def scheme(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "http" and anyio_backend == "trio":
        pytest.skip("HTTP listeners need asyncio")
    return request.param


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_plain_caller_answers_one_question_after_the_other(scheme: str, mode: str, tmp_path: Path) -> None:
    server, ended = make()
    seen: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    with anyio.fail_after(60):
        async with served(server, scheme, tmp_path) as uri:
            async with client(uri, mode, Asked("a", "b", "a")) as caller:
                result = await caller.call_tool("ask", {"times": 3}, progress_callback=told)
                assert result.structured_content == {"result": ["a", "b", "a"]}
                asked = Asked("yes")
                async with client(uri, mode, asked) as other:
                    assert (await other.call_tool("threads")).structured_content == {"result": "yes"}
    assert ended == ["returned"]
    assert 0 in seen


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_answer_that_is_none_is_asked_for_again_and_says_why(mode: str) -> None:
    server, _ = make()
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener:
            asked = Asked("zzz", "b")
            async with client(listener.uri, mode, asked) as caller:
                result = await caller.call_tool("ask", {"times": 1})
                assert result.structured_content == {"result": ["b"]}
            assert asked.params[0].message == "number 0?"
            assert "none of the choices" in asked.params[1].message
            asked = Asked("decline")
            async with client(listener.uri, mode, asked) as caller:
                result = await caller.call_tool("ask", {"times": 1})
                assert result.structured_content == {"result": ["the user chose to decline the question"]}


async def test_questions_that_are_open_together_are_one_round_and_each_is_answered_by_itself() -> None:
    server, _ = make()
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener, by_hand(listener.uri) as hand:
            call: dict[str, Any] = {"name": "both", "arguments": {}}
            first = await hand.ask("tools/call", call, capabilities=CAN_BE_ASKED)
            assert first["resultType"] == "input_required"
            assert "io.modelcontextprotocol/serverInfo" in first["_meta"]
            requests = first["inputRequests"]
            keys = {request["params"]["message"]: key for key, request in requests.items()}
            assert set(keys) == {"how many?", "really?"}
            answers = {
                keys["how many?"]: {"action": "accept", "content": {"answer": 0}},
                keys["really?"]: {"action": "accept", "content": {"answer": True}},
            }
            again = {**call, "inputResponses": answers, "requestState": first["requestState"]}
            second = await hand.ask("tools/call", again, capabilities=CAN_BE_ASKED)
            assert set(second["inputRequests"]) == {keys["how many?"]}  # only what is still open
            assert "less than the minimum" in second["inputRequests"][keys["how many?"]]["params"]["message"]
            assert second["requestState"] != first["requestState"]
            answers = {keys["how many?"]: {"action": "accept", "content": {"answer": 2}}}
            last = {**call, "inputResponses": answers, "requestState": second["requestState"]}
            ended = await hand.ask("tools/call", last, capabilities=CAN_BE_ASKED)
            assert ended["structuredContent"] == {"how many?": 2, "really?": True}
            for used in (first, second):  # each state is good for one round
                refused = await hand.refusal("tools/call", {**last, "requestState": used["requestState"]})
                assert refused["code"] == types.INVALID_PARAMS


async def test_a_state_is_good_for_its_own_tool_only_and_a_made_up_one_for_none() -> None:
    server, _ = make()
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener, by_hand(listener.uri) as hand:
            call: dict[str, Any] = {"name": "ask", "arguments": {"times": 1}}
            asked = await hand.ask("tools/call", call, capabilities=CAN_BE_ASKED)
            state = asked["requestState"]
            other: dict[str, Any] = {"name": "both", "arguments": {}, "inputResponses": {}, "requestState": state}
            for params in (other, {**call, "requestState": "mcpc." + "A" * 43}):
                refused = await hand.refusal("tools/call", params, capabilities=CAN_BE_ASKED)
                assert refused["code"] == types.INVALID_PARAMS
            (key,) = asked["inputRequests"]
            answers = {key: {"action": "accept", "content": {"answer": "a"}}}
            last = {**call, "inputResponses": answers, "requestState": state}
            ended = await hand.ask("tools/call", last, capabilities=CAN_BE_ASKED)
            assert ended["structuredContent"] == {"result": ["a"]}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_nested_schema_is_asked_as_a_flat_form_and_answered_as_what_it_is(mode: str) -> None:
    server, _ = make()
    asked = Asked({"who.name": "Ada", "who.age": 36, "tags": '[{"a": 1}]'})
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener, client(listener.uri, mode, asked) as caller:
            result = await caller.call_tool("order")
    assert result.structured_content == {"order": {"who": {"name": "Ada", "age": 36}, "tags": [{"a": 1}]}}
    form: Any = asked.params[0].requested_schema
    assert set(form["properties"]) == {"who.name", "who.age", "note", "tags"}
    assert form["required"] == ["who.name"]
    assert {field["type"] for field in form["properties"].values()} == {"string", "integer"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_caller_that_declared_no_elicitation_is_said_to_be_unaskable(mode: Any) -> None:
    server, _ = make()
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as caller:
                result = await caller.call_tool("ask", {"times": 1})
    assert "cannot be asked" in str(result.structured_content)


@pytest.mark.parametrize("over", [0, 1])
async def test_the_rounds_of_a_call_are_bounded_by_what_clients_go_along_with(over: int) -> None:
    server, _ = make(max_rounds=3)
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener:
            asked = Asked(*["a"] * 4)
            async with client(listener.uri, "auto", asked, input_required_max_rounds=3) as caller:
                result = await caller.call_tool("ask", {"times": 3 + over})
            answers: Any = result.structured_content
            assert answers["result"][:3] == ["a"] * 3
            assert len(answers["result"]) == 3 + over
            assert not over or "asked 3 times" in answers["result"][3]
            asked = Asked("x", "x", "x")  # wrong answers are rounds too
            async with client(listener.uri, "auto", asked, input_required_max_rounds=3) as caller:
                result = await caller.call_tool("ask", {"times": 1})
            assert "cancel" in str(result.structured_content)


async def test_a_round_that_nobody_comes_back_for_ends_its_task() -> None:
    server, ended = make(round_ttl=0.05)
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener, by_hand(listener.uri) as hand:
            call: dict[str, Any] = {"name": "ask", "arguments": {"times": 1}}
            asked = await hand.ask("tools/call", call, capabilities=CAN_BE_ASKED)
            while not ended:
                await anyio.lowlevel.checkpoint()
            assert ended == ["stopped"]
            refused = await hand.refusal("tools/call", {**call, "requestState": asked["requestState"]})
            assert refused["code"] == types.INVALID_PARAMS


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["MCPServer", "FastMCP"])
async def test_fastmcps_own_client_answers_too(kind: str) -> None:
    server: Any = MCPServer[Any]("asks", log_level="CRITICAL") if kind == "MCPServer" else FastMCP[Any]("asks")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def ask(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"got": [await task.ask("which?", choices=["a", "b"]) for _ in range(2)]}

    async def answer(message: str, response_type: Any, params: Any, context: Any) -> dict[str, str]:
        return {"answer": "b"}

    with anyio.fail_after(60):
        async with mcpc.listen(server, "http://127.0.0.1:0/mcp") as listener:
            async with FastMCPClient(listener.uri, elicitation_handler=answer) as caller:
                result = await caller.call_tool("ask")
    assert result.structured_content == {"got": ["b", "b"]}


class Waiting:
    """A call that waits for its caller."""

    def __init__(self) -> None:
        self.abandoned = anyio.Event()

    async def resume(self, call: Any, responses: dict[str, Any]) -> Any: ...

    def abandon(self) -> None:
        self.abandoned.set()


async def test_a_round_is_its_caller_s_alone_good_for_its_tool_and_for_once() -> None:
    table, waiting = RoundTable(60), Waiting()
    state = table.open(waiting, "alice", "ask")
    assert is_ours(state)
    assert not is_ours("another's")
    for principal, tool in (("bob", "ask"), (None, "ask"), ("alice", "other")):
        with pytest.raises(mcp.MCPError, match="Invalid or expired requestState"):
            table.take(state, principal, tool)
    assert table.take(state, "alice", "ask") is waiting
    with pytest.raises(mcp.MCPError, match="Invalid or expired"):
        table.take(state, "alice", "ask")


async def test_a_round_whose_time_is_over_is_abandoned_and_one_that_was_taken_is_not() -> None:
    table, late, taken = RoundTable(0), Waiting(), Waiting()
    with anyio.fail_after(60):
        await table.expire(table.open(late, None, "ask"))
        state = table.open(taken, None, "ask")
        table.take(state, None, "ask")
        await table.expire(state)
    assert (late.abandoned.is_set(), taken.abandoned.is_set()) == (True, False)
