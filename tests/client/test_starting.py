"""How a tool is called as a task, without a server: by metadata, as an original takes it, or as an ordinary call."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import anyio.abc
import pytest
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, CallToolResult, Result, TextContent

import mcpc
from mcpc.client.handle import TaskHandle
from mcpc.client.handshake import Form
from mcpc.client.repeater import Repeater
from mcpc.client.router import Router
from mcpc.client.sep2663_extension import RemoteTasks
from mcpc.client.starting import Starter
from mcpc.client.steering import ChannelSteering
from mcpc.flow import Flow
from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, TaskQueue
from mcpc.wire.names import STOP_METHOD
from mcpc.wire.reasons import refusal_meta

pytestmark = pytest.mark.anyio


class NoTasks:
    """A server without the tasks extension."""

    available = False


class Called:
    """A tool, and how it was called."""

    def __init__(self, outcome: CallToolResult | Exception | None) -> None:
        self.outcome = outcome
        self.seen: list[tuple[dict[str, Any], Any]] = []
        self.entered = anyio.Event()

    async def __call__(self, name: str, arguments: dict[str, Any], *, meta: Any = None, **more: Any) -> CallToolResult:
        self.seen.append((arguments, meta))
        self.entered.set()
        if self.outcome is None:
            await anyio.sleep_forever()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return cast("CallToolResult", self.outcome)


class Client:
    """The parts of a client that start a task."""

    def __init__(self, group: anyio.abc.TaskGroup, called: Called) -> None:
        def spawn(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
            group.start_soon(main)

        self.flow = Flow()
        self.asked: list[str] = []
        self.router = Router(spawn, self.flow, self.steer)
        self.seen: list[MCPCMessage] = []
        self.router.listeners.add(self.see)
        self.starter = Starter(self.router, cast("RemoteTasks", NoTasks()), called, self.steer, anyio.Event())
        self.handle = TaskHandle("t", "tool", "s", TaskQueue(DEFAULT_CAPACITY, "coalesce", self.flow))

    def see(self, message: MCPCMessage) -> None:
        self.seen.append(message)

    def steer(self, task_id: str) -> ChannelSteering:
        return ChannelSteering(Repeater(lambda: cast("ClientSession", self)), "key", task_id)

    async def send_request(self, request: Any, result_type: type[Result]) -> Result:
        """Stands for the session: takes what a task is asked."""
        self.asked.append(request.method)
        return result_type.model_validate({})

    @property
    def events(self) -> list[str]:
        return [message.event for message in self.seen]


@asynccontextmanager
async def client(called: Called) -> AsyncGenerator[Client]:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield Client(group, called)
            group.cancel_scope.cancel()


def answer(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def closed() -> MCPError:
    return MCPError(CONNECTION_CLOSED, "Connection closed")


async def test_an_ordinary_call_looks_like_a_task_with_a_first_and_a_last_message() -> None:
    async with client(Called(answer("5"))) as one:
        await one.starter.start("", "key", one.handle, {})
        assert await one.handle.result() == 5
        assert one.events == ["created", "complete"]
        assert one.handle.status == "complete"


async def test_an_ordinary_call_whose_connection_goes_is_lost_and_has_not_failed() -> None:
    async with client(Called(closed())) as one:
        await one.starter.start("", "key", one.handle, {})
        with pytest.raises(mcpc.ConnectionLost):
            await one.handle.result()
        assert one.handle.status == "lost"
        assert one.events == ["created"], "no listener is told that it failed, as nobody knows"
        assert not one.router.handles


async def test_an_ordinary_call_that_the_server_refuses_has_failed() -> None:
    async with client(Called(MCPError(INVALID_PARAMS, "no such row"))) as one:
        await one.starter.start("", "key", one.handle, {})
        with pytest.raises(mcpc.TaskFailed, match="no such row"):
            await one.handle.result()
        assert one.handle.status == "failed"
        assert one.events == ["created", "failed"]


async def test_an_ordinary_call_that_answers_with_an_error_has_failed() -> None:
    async with client(Called(answer("no such row", is_error=True))) as one:
        await one.starter.start("", "key", one.handle, {})
        with pytest.raises(mcpc.TaskFailed, match="no such row"):
            await one.handle.result()


async def test_an_ordinary_call_is_stopped_by_cancelling_it() -> None:
    called = Called(None)
    async with client(called) as one:
        await one.starter.start("", "key", one.handle, {})
        await called.entered.wait()
        await one.handle.stop()
        with pytest.raises(mcpc.TaskStopped):
            await one.handle.result()
        with pytest.raises(mcpc.UnknownTask):
            await one.handle.send("more")


async def test_our_metadata_goes_beside_the_arguments_and_an_originals_among_them() -> None:
    forms: list[tuple[Form, set[str]]] = [("meta", set[str]()), ("0.2.6", {"mcpc_params"}), ("0.2.1", {"_metadata"})]
    for form, inside in forms:
        called = Called(answer("5"))
        async with client(called) as one:
            await one.starter.start(form, "key", one.handle, {"a": 1})
            arguments, meta = called.seen[0]
            assert arguments.keys() == {"a", *inside}
            assert (meta is not None) == (form == "meta")
            assert await one.handle.result() == 5, "a tool that is no background tool answers at once"


@pytest.mark.parametrize("error", [closed(), MCPError(INVALID_PARAMS, "no")])
async def test_a_start_that_is_refused_leaves_no_handle_behind(error: MCPError) -> None:
    async with client(Called(error)) as one:
        with pytest.raises((mcpc.ConnectionLost, MCPError)):
            await one.starter.start("meta", "key", one.handle, {})
        assert not one.router.handles


async def test_a_start_that_is_cancelled_stops_its_task_and_leaves_no_handle_behind() -> None:
    called = Called(None)
    async with client(called) as one:
        async with anyio.create_task_group() as group:
            group.start_soon(one.starter.start, "meta", "key", one.handle, dict[str, Any]())
            await called.entered.wait()
            assert one.router.handles
            group.cancel_scope.cancel()
        assert not one.router.handles
        assert one.asked == [STOP_METHOD]


async def test_a_start_that_a_server_refuses_as_it_stops_raises_and_has_failed_for_nobody() -> None:
    refusal = mcpc.ServerStopping("the server is shutting down")
    refused = answer(str(refusal), is_error=True)
    refused.meta = refusal_meta(refusal)
    async with client(Called(refused)) as one:
        with pytest.raises(mcpc.ServerStopping, match="shutting down"):
            await one.starter.start("meta", "key", one.handle, {})
        assert one.events == []
        assert not one.router.handles
