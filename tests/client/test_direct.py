"""A client of a server object asks it without messages, and it is as if there were some."""

import contextvars
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError

import mcpc

pytestmark = pytest.mark.anyio

DEADLINE = 60.0

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


class Shop:
    """A server whose tools tell what happens to them, and its client."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("shop", log_level="CRITICAL")
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()
        self.go_on = anyio.Event()
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        tool = self.server.tool()
        for each in (self.hang, self.hold_out, self.tell, self.count, self.who, self.way, self.refuse, self.crash):
            tool(each)
        self.server.tool(structured_output=False)(self.name)

    async def hang(self) -> None:
        """Wait for ever."""
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()

    async def hold_out(self) -> None:
        """Go on although cancelled, until let go."""
        self.begun.set()
        with anyio.CancelScope(shield=True):
            await self.go_on.wait()

    async def tell(self, ctx: Context[Any, Any]) -> str:
        """Send something of its own before it answers."""
        params = mcp_types.ResourceUpdatedNotificationParams(uri="shop://stock")
        notification = mcp_types.ResourceUpdatedNotification(params=params)
        await ctx.session.send_notification(notification, related_request_id=ctx.request_id)
        return "told"

    async def count(self, text: str) -> int:
        """How long a text is."""
        return len(text)

    async def who(self) -> str:
        """Who calls, as far as a tool can see it; then somebody else."""
        seen = caller.get()
        caller.set("the tool")
        return seen

    async def way(self, ctx: Context[Any, Any]) -> str:
        """Which way a call took: the ids of the shorter one are its own."""
        return str(ctx.request_id)

    async def name(self) -> str:
        """What no JSON can hold (the name of a file may be such), said after something else."""
        await self.callbacks.emit("news", 0)
        return "\udcff"

    async def refuse(self) -> None:
        """Fail as tools do."""
        raise ToolError("sold out")

    async def crash(self) -> None:
        """Fail as requests do."""
        raise MCPError(-32050, "closed today", {"until": "Monday"})


@asynccontextmanager
async def shop(
    *middleware: Any,
    bytes: bool = False,  # noqa: A002
    **limits: Any,
) -> AsyncGenerator[tuple[Shop, mcpc.Client]]:
    made = Shop(**limits)
    made.server.middleware[:0] = middleware  # around ours
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(made.server, bytes=bytes) as client:
            if not bytes:
                await until_direct(client)
            yield made, client


async def until_direct(client: mcpc.Client) -> None:
    """Make calls until they take the shorter way: not before the server has heard that the client listens."""
    while "direct" not in str((await client.call_tool("way")).structured_content):
        pass


@pytest.mark.parametrize("bytes", [False, True], ids=["direct", "bytes"])
async def test_results_and_refusals_are_those_of_any_transport(bytes: bool) -> None:  # noqa: A002
    async with shop(bytes=bytes) as (_, client):
        assert (await client.call_tool("count", {"text": "äöü"})).structured_content == {"result": 3}
        refused = await client.call_tool("refuse")
        assert (refused.is_error, refused.content[0].text) == (True, "Error executing tool refuse: sold out")  # type: ignore[union-attr]
        with pytest.raises(MCPError) as crashed:
            await client.call_tool("crash")
        assert (crashed.value.code, crashed.value.message, crashed.value.error.data) == (
            -32050,
            "closed today",
            {"until": "Monday"},
        )
        assert (await client.call_tool("count", {"text": 1})).is_error
        with pytest.raises(MCPError) as unknown:
            await client.read_resource("shop://nothing")
        assert unknown.value.code == mcp_types.INVALID_PARAMS
        assert {tool.name for tool in (await client.list_tools()).tools} >= {"count", "refuse"}


async def test_what_is_no_message_has_no_bound_of_size_and_what_is_one_has() -> None:
    text = "x" * (5 * 1024 * 1024)
    async with shop() as (_, client):
        assert (await client.call_tool("count", {"text": text})).structured_content == {"result": len(text)}
    async with shop(bytes=True) as (_, client):
        with pytest.raises(mcpc.LimitReached, match="max_message_size"):
            await client.call_tool("count", {"text": text})


async def test_a_caller_who_gives_up_cancels_the_tool() -> None:
    async with shop() as (made, client):
        async with anyio.create_task_group() as callers:
            callers.start_soon(client.call_tool, "hang")
            await made.begun.wait()
            callers.cancel_scope.cancel()
        await made.cancelled.wait()


async def test_a_caller_who_gives_up_waits_for_no_tool_that_goes_on() -> None:
    async with shop() as (made, client):
        with pytest.raises(mcpc.TimedOut):
            await client.call_tool("hold_out", timeout=0.01)
        with pytest.raises(MCPError) as late:
            await client.call_tool("hold_out", read_timeout_seconds=0.01)
        assert late.value.code == mcp_types.REQUEST_TIMEOUT
        made.go_on.set()
        assert (await client.call_tool("count", {"text": "abc"})).structured_content == {"result": 3}


async def test_a_middleware_that_fails_as_it_is_cancelled_troubles_nobody_else() -> None:
    failed = anyio.Event()

    async def fail_when_cancelled(*, task_status: Any) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            failed.set()
            raise ValueError("beside the cancellation")

    async def clumsy(ctx: Any, call_next: Any) -> Any:
        async with anyio.create_task_group() as tasks:
            if ctx.params.get("name") == "hang":
                await tasks.start(fail_when_cancelled)
            return await call_next(ctx)

    async with shop(clumsy) as (made, client):
        async with anyio.create_task_group() as callers:
            callers.start_soon(client.call_tool, "hang")
            await made.begun.wait()
            callers.cancel_scope.cancel()
        await failed.wait()
        await anyio.wait_all_tasks_blocked()
        assert (await client.call_tool("count", {"text": "abc"})).structured_content == {"result": 3}


async def test_a_call_that_is_open_when_the_client_is_left_fails() -> None:
    made = Shop()
    failed: list[BaseException] = []

    async def call(client: mcpc.Client) -> None:
        try:
            await client.call_tool("hang")
        except (MCPError, mcpc.ConnectionLost) as exc:
            failed.append(exc)

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as callers:
            async with mcpc.Client(made.server) as client:
                await until_direct(client)
                callers.start_soon(call, client)
                await made.begun.wait()
        await made.cancelled.wait()
    assert len(failed) == 1


async def test_what_a_tool_sends_comes_before_its_answer() -> None:
    seen: list[Any] = []
    made = Shop()

    async def note(message: Any) -> None:
        seen.append(type(message).__name__)

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(made.server, message_handler=note) as client:
            await until_direct(client)
            seen.append((await client.call_tool("tell")).structured_content)
            seen.append((await client.call_tool("count", {"text": ""})).structured_content)
    assert seen == ["ResourceUpdatedNotification", {"result": "told"}, {"result": 0}]


async def test_what_was_sent_before_an_answer_is_there_when_the_answer_is() -> None:
    seen: list[Any] = []
    made = Shop()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(made.server) as client:
            client.add_event_listener(lambda message: seen.append(message.result), type="server_event")
            for number in range(5):  # the first while the client may not listen yet, the last two after that for sure
                await made.callbacks.emit("news", number)
                await client.call_tool("count", {"text": ""})
                assert seen == list(range(number + 1))
                if number == 2:
                    await until_direct(client)


async def test_an_answer_behind_something_else_comes_as_it_is_too() -> None:
    async with shop() as (_, client):
        seen: list[Any] = []
        client.add_event_listener(lambda message: seen.append(message.result), type="server_event")
        (content,) = (await client.call_tool("name")).content
        assert (content.text, seen) == ("\udcff", [0])  # type: ignore[union-attr]
        assert (await client.call_tool("count", {"text": "ab"})).structured_content == {"result": 2}


async def test_tool_and_caller_do_not_share_context_variables() -> None:
    async with shop() as (_, client):
        caller.set("the caller")
        for _ in range(2):
            assert (await client.call_tool("who")).structured_content == {"result": "nobody"}
        assert caller.get() == "the caller"


async def test_more_requests_than_a_client_may_make_are_refused_and_the_next_ones_are_not() -> None:
    # One is the client's own: it listens.
    async with shop(max_requests=2) as (made, client):
        async with anyio.create_task_group() as callers:
            callers.start_soon(client.call_tool, "hang")
            await made.begun.wait()
            with pytest.raises(MCPError, match="max_requests"):
                await client.call_tool("count", {"text": ""})
            callers.cancel_scope.cancel()
        assert (await client.call_tool("count", {"text": "a"})).structured_content == {"result": 1}
