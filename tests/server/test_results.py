"""A worker's result is what the server would have made of an ordinary tool's, for every kind of caller."""

import dataclasses
import enum
import functools
import inspect
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from fastmcp import Client as FastMCPClient
from fastmcp import FastMCP
from fastmcp.dependencies import Depends
from fastmcp.utilities.types import Audio as FastMCPAudio
from fastmcp.utilities.types import Image as FastMCPImage
from mcp.server import MCPServer, Server
from mcp.server.mcpserver import Audio, Image
from mcp_types import CallToolResult, ResourceLink, TextContent
from pydantic import BaseModel, Field

import mcpc
from sep2663_kit import by_hand

pytestmark = pytest.mark.anyio

KEPT = ("integer", "perhaps", "models", "image", "mixed", "result", "wrong")
"""Results that are made again after a restart."""
PNG = bytes.fromhex("89504e470d0a1a0a") + b"\0" * 20
KINDS: dict[str, Callable[[str], Any]] = {"MCPServer": MCPServer[Any], "Server": Server[Any], "FastMCP": FastMCP[Any]}


class Row(BaseModel):
    name: str
    count: int = Field(default=0, alias="rowCount")


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Colour(enum.Enum):
    RED = "red"


class Printed:
    """What JSON knows nothing of."""

    def __str__(self) -> str:
        return "printed"


def workers(kind: str) -> list[Callable[..., Any]]:
    """One for each kind of result."""
    picture: Any = (FastMCPImage if kind == "FastMCP" else Image)(data=PNG, format="png")
    sound: Any = (FastMCPAudio if kind == "FastMCP" else Audio)(data=PNG, format="wav")

    def integer() -> int:
        return 7

    def text() -> str:
        return "hi"

    def numbers() -> list[int]:
        return [1, 2]

    def nothing() -> None:
        return None

    def model() -> Row:
        return Row(name="a", rowCount=3)

    def point() -> Point:
        return Point(1, 2.5)

    def models() -> list[Row]:
        return [Row(name="a", rowCount=3)]

    def named() -> dict[str, Row]:
        return {"first": Row(name="a", rowCount=3)}

    def perhaps() -> Row | None:
        return Row(name="a", rowCount=3)

    def colour() -> Colour:
        return Colour.RED

    def several() -> set[int]:
        return {1}

    def mapping() -> dict[str, int]:
        return {"a": 1}

    def untyped():  # type: ignore[no-untyped-def]  # pyright: ignore
        return {"a": 1}

    def unknown():  # type: ignore[no-untyped-def]  # pyright: ignore
        return {"row": Printed(), "rows": [Printed()]}

    def image():  # type: ignore[no-untyped-def]  # pyright: ignore
        return picture

    def inside():  # type: ignore[no-untyped-def]  # pyright: ignore
        return ["see", [picture, ["it"]]]

    def audio():  # type: ignore[no-untyped-def]  # pyright: ignore
        return sound

    def block() -> TextContent:
        return TextContent(type="text", text="hi")

    def mixed():  # type: ignore[no-untyped-def]  # pyright: ignore
        return ["see", picture, ResourceLink(type="resource_link", uri="file:///rows", name="rows")]

    def result() -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="rows: 2")], structured_content={"rows": 2})

    def wrong() -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="no such row")], is_error=True)

    data: list[Any] = [integer, text, numbers, nothing, model, point, models, named, perhaps, colour, several, mapping]
    nested = [] if kind == "FastMCP" else [inside]  # FastMCP knows content at the top of a list only
    return [*data, untyped, unknown, image, *nested, audio, block, mixed, result, wrong]


def on_loop(function: Callable[[], Any]) -> Callable[[], Any]:
    """The same as an async function."""

    @functools.wraps(function)
    async def worker() -> Any:
        return function()

    return worker


def make(kind: str, where: str) -> tuple[Any, Any]:
    """The workers as background tools of one server, and as ordinary tools of another."""
    background, ordinary = KINDS[kind]("background"), KINDS["MCPServer" if kind == "Server" else kind]("ordinary")
    callbacks = mcpc.MCPCHelper(background)
    for function in workers(kind):
        worker = on_loop(function) if where == "on the loop" else function
        callbacks.tool()(worker)
        ordinary.tool()(worker)
    return background, ordinary


def plain(uri: str, mode: Any) -> mcp.Client:
    return mcp.Client(mcpc.connect(uri), mode=mode)


def names(kind: str) -> list[str]:
    return [worker.__name__ for worker in workers(kind)]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return request.param


@pytest.fixture(params=["on the loop", "in a thread"])
def where(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_plain_caller_gets_what_an_ordinary_tool_answers_and_the_same_listing(
    kind: str, where: str, mode: Any
) -> None:
    background, ordinary = make(kind, where)
    with anyio.fail_after(60):
        async with (
            mcpc.listen(background, "memory://results") as here,
            mcpc.listen(ordinary, "memory://ordinary") as there,
        ):
            async with plain(here.uri, mode) as one, plain(there.uri, mode) as two:
                listed = [{t.name: t.output_schema for t in (await c.list_tools()).tools} for c in (one, two)]
                assert listed[0] == listed[1]
                for name in names(kind):
                    mine, theirs = await one.call_tool(name), await two.call_tool(name)
                    assert mine.content == theirs.content, name
                    assert mine.is_error == theirs.is_error, name
                    # An object is structured, though the tool does not say so.
                    untold = {"untyped": {"a": 1}, "unknown": {"row": "printed", "rows": ["printed"]}}
                    assert mine.structured_content == untold.get(name, theirs.structured_content), name


async def test_a_client_of_ours_gets_the_value_that_an_ordinary_tool_stands_for(kind: str, where: str) -> None:
    background, ordinary = make(kind, where)
    with anyio.fail_after(60):
        async with mcpc.Client(background) as one, mcpc.Client(ordinary) as two:
            await one.list_tools()  # now it knows what each tool says that it returns
            for name in names(kind):
                outcomes: list[Any] = []
                for client in (one, two):
                    task = await client.start_task(name)
                    try:
                        outcomes.append(await task.result())
                    except mcpc.TaskFailed as exc:
                        outcomes.append(str(exc))
                if name in ("nothing", "numbers", "text", "integer"):
                    assert outcomes[0] == {"nothing": None, "numbers": [1, 2], "text": "hi", "integer": 7}[name]
                else:
                    assert outcomes[0] == outcomes[1], name


async def test_a_follower_by_the_tasks_extension_gets_the_ordinary_answer(kind: str, where: str) -> None:
    background, ordinary = make(kind, where)
    with anyio.fail_after(60):
        async with (
            mcpc.listen(background, "memory://results") as here,
            mcpc.listen(ordinary, "memory://ordinary") as there,
        ):
            async with by_hand(here.uri) as one, plain(there.uri, "auto") as two:
                for name in names(kind):
                    answer = (await one.until((await one.call(name))["taskId"], "completed"))["result"]
                    theirs = (await two.call_tool(name)).model_dump(mode="json", by_alias=True, exclude_none=True)
                    assert answer["content"] == theirs["content"], name
                    assert answer.get("isError", False) == theirs.get("isError", False), name


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_opened_for_a_call_stays_open_until_the_worker_has_ended_and_sees_its_error() -> None:
    server = FastMCP[Any]("results")
    callbacks = mcpc.MCPCHelper(server)
    seen: list[str] = []

    @asynccontextmanager
    async def transaction() -> AsyncGenerator[list[str]]:
        seen.append("open")
        try:
            yield seen
        except ValueError:
            seen.append("rolled back")
            raise
        else:
            seen.append("committed")

    injected: Any = Depends(transaction)

    @callbacks.tool()
    async def writes(fail: bool, task: mcpc.Task, rows: list[str] = injected) -> int:  # pyright: ignore
        assert [value async for value in task.inputs() if value == "go"] == ["go"]
        rows.append("written")
        if fail:
            raise ValueError("disk full")
        return len(rows)

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            (tool,) = (await client.list_tools()).tools
            assert set(tool.input_schema["properties"]) == {"fail"}
            for fail, ending in ((False, "committed"), (True, "rolled back")):
                seen.clear()
                task = await client.start_task("writes", {"fail": fail})
                await task.send("go")
                await task.send("stop")
                await task.stop()
                with pytest.raises(mcpc.TaskFailed):
                    await task.result()
                assert seen == ["open", "written", ending]


async def test_numbers_that_json_lacks_fail_with_their_places_and_lose_nothing(kind: str) -> None:
    server = KINDS[kind]("results")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def mean() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"rows": [{"mean": 1.5}, {"mean": math.nan}], "max": math.inf, "n": 2}

    @callbacks.tool()
    async def mends(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        try:
            await task.update({"mean": math.nan})
        except mcpc.MessageError as exc:
            return str(exc)
        return ""

    kept = {"rows": [{"mean": 1.5}, {"mean": "nan"}], "max": "inf", "n": 2}
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://nan") as listener:
            async with mcpc.Client(listener.uri) as client, plain(listener.uri, "auto") as caller:
                task = await client.start_task("mean")
                with pytest.raises(mcpc.TaskFailed, match=r"result\.rows\[1\]\.mean, result\.max") as failed:
                    await task.result()
                assert failed.value.result["result"] == kept
                answer = await caller.call_tool("mean")
                texts = [block.text for block in answer.content if isinstance(block, TextContent)]
                assert answer.is_error
                assert "result.rows[1].mean" in texts[0]
                assert '"nan"' in texts[1]
                assert "NaN" in await (await client.start_task("mends")).result()


async def test_a_result_that_is_not_what_the_tool_says_fails_and_is_not_lost(kind: str) -> None:
    server = KINDS[kind]("results")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def lies() -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        found: Any = {"rows": "many"}
        return found

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("lies")
            with pytest.raises(mcpc.TaskFailed, match="does not fit what the tool says it returns") as failed:
                await task.result()
            assert failed.value.result["result"] == {"rows": "many"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_fastmcp_has_its_own_results_and_its_own_client_reads_them() -> None:
    server = FastMCP[Any]("results")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def picture() -> Any:  # pyright: ignore[reportUnusedFunction]
        return FastMCPImage(data=PNG, format="png")

    @callbacks.tool()
    async def seven() -> int:  # pyright: ignore[reportUnusedFunction]
        return 7

    with anyio.fail_after(60):
        async with FastMCPClient(server) as client:
            assert (await client.call_tool("seven")).data == 7
            assert (await client.call_tool("picture")).content[0].type == "image"
        async with mcpc.Client(server) as client:
            assert await (await client.start_task("seven")).result() == 7
            (shown,) = await (await client.start_task("picture")).result()
            assert shown["mimeType"] == "image/png"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_background_tool_that_another_tool_calls_is_part_of_it() -> None:
    server = FastMCP[Any]("results")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def inner(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        await task.update("inner")
        if n < 0:
            raise ValueError("negative")
        return n + 1

    @callbacks.tool()
    async def outer(n: int, task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        await task.update("outer")
        return (await server.call_tool("inner", {"n": n})).structured_content

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("outer", {"n": 1})
            assert [m.result async for m in task][1:] == ["outer", {"result": 2}]
            task = await client.start_task("outer", {"n": -1})
            with pytest.raises(mcpc.TaskFailed):
                await task.result()


def make_again(kind: str, store: str, where: str, *, held: bool) -> Any:
    """The workers once more, on a store; held back, they end with their server only."""
    server = KINDS[kind]("again")
    callbacks = mcpc.MCPCHelper(server, store=store, shutdown_grace=0.1)

    def add(function: Callable[[], Any]) -> None:
        @functools.wraps(function)
        async def on_the_loop(task: mcpc.Task) -> Any:
            if held:
                await task.stopping()
            return function()

        @functools.wraps(function)
        def in_a_thread(task: mcpc.SyncTask) -> Any:
            if held:
                assert list(task.inputs()) == []
            return function()

        worker: Any = on_the_loop if where == "on the loop" else in_a_thread
        worker.__signature__ = inspect.signature(function).replace(
            parameters=[inspect.signature(worker, follow_wrapped=False).parameters["task"]]
        )
        callbacks.tool(function.__name__, on_interrupt="restart")(worker)

    for function in workers(kind):
        if function.__name__ in KEPT:
            add(function)
    return server


async def test_a_task_that_runs_again_from_a_store_has_the_result_of_a_call(
    kind: str, where: str, tmp_path: Path
) -> None:
    store = f"sqlite:{tmp_path}/tasks.db"
    _, ordinary = make(kind, where)
    with anyio.fail_after(60):
        async with (
            mcpc.listen(make_again(kind, store, where, held=True), "memory://before") as before,
            by_hand(before.uri) as hand,
        ):
            tasks = {name: (await hand.call(name))["taskId"] for name in KEPT}
        async with (
            mcpc.listen(make_again(kind, store, where, held=False), "memory://after") as after,
            mcpc.listen(ordinary, "memory://ordinary") as there,
        ):
            async with by_hand(after.uri) as hand, plain(there.uri, "auto") as caller:
                for name, task_id in tasks.items():
                    mine = (await hand.until(task_id, "completed"))["result"]
                    theirs = (await caller.call_tool(name)).model_dump(mode="json", by_alias=True, exclude_none=True)
                    assert mine["content"] == theirs["content"], name
                    assert mine.get("isError", False) == theirs.get("isError", False), name
                    if "structuredContent" in theirs:
                        assert mine["structuredContent"] == theirs["structuredContent"], name
