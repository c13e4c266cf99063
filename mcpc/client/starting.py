"""`Starter`: a tool called as a task, in the way that its server takes.

By metadata in the call (ours, or an original's), by the tasks extension, or as an
ordinary call that looks like a task from outside.
"""

import logging
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcpc.client.attached import Attached
from mcpc.client.handle import TaskHandle
from mcpc.client.handshake import Form
from mcpc.client.router import Router
from mcpc.client.sep2663_extension import RemoteTasks
from mcpc.client.started import Made, StartedCall
from mcpc.client.steering import ChannelSteering, Steering
from mcpc.errors import KeyRefused, MCPCError, UnknownTask
from mcpc.logs import logger_of
from mcpc.messages import MCPCMessage
from mcpc.wire.callbacks import messages_in_content
from mcpc.wire.calls import call_meta
from mcpc.wire.names import KEY_META
from mcpc.wire.originals import with_metadata

__all__ = ["Starter"]

logger: logging.Logger = logger_of(__name__)

GOODBYE = 1.0
"""Seconds that stopping a task may take whose start was cancelled."""

ToolCall = Callable[..., Awaitable[CallToolResult]]
"""`mcp.Client.call_tool`."""


class Starter:
    """Starts tasks.

    Args:
        router: Where their messages go.
        remote: The tasks extension.
        call: Calls a tool.
        steer: How a task of our channel is reached.
        caught_up: Set once all has come that is kept of our channel.
    """

    def __init__(
        self,
        router: Router,
        remote: RemoteTasks,
        call: ToolCall,
        steer: Callable[[str], ChannelSteering],
        caught_up: anyio.Event,
    ) -> None:
        self._router = router
        self._remote = remote
        self._call = call
        self._steer = steer
        self._caught_up = caught_up

    async def start(
        self, form: Form, channel: str, handle: TaskHandle, arguments: dict[str, Any], key: str | None = None
    ) -> TaskHandle:
        """Call a tool for `handle`; the handle of its task: another one where that was begun before, and is held.

        Args:
            form: How the server takes a call's metadata.
            channel: Our channel's key.
            handle: The handle, which knows the tool.
            arguments: The tool's arguments; they may be added to.
            key: Names the start.

        Raises:
            KeyRefused: the server knows no keys, or this one was used for something else.
            MCPCError, MCPError: the server refused the call, or the connection went away.
        """
        if key is not None and form != "meta":
            raise KeyRefused("this server takes no keys of starts: it would start the task again each time")
        self._router.add(handle)
        call = StartedCall(handle, self._router)
        try:
            self._router.spawn(partial(call.run, self._way(form, channel, call, arguments, key)))
            await call.settled()
            return call.given
        except Exception:
            self._router.forget(handle)
            raise
        except BaseException:
            self._router.forget(handle)
            call.steering.scope.cancel()
            if key is None:  # with a key it may be started again, and is the same
                await self._stop_quietly(handle)
            raise

    def _way(self, form: Form, channel: str, call: StartedCall, arguments: dict[str, Any], key: str | None) -> Made:
        """The way in which the server takes the call."""
        handle = call.handle
        session_id, task_id = handle.session_id, handle.task_id
        if form == "meta":
            handle.steering = self._steer(task_id)
            answers = self._router.answering.answers
            meta = call_meta(channel=channel, session_id=session_id, task_id=task_id, key=key, answers=answers)
            return partial(self._call_with_metadata, {**meta, **call.token}, arguments)
        if form:
            arguments = with_metadata(form, arguments, session_id=session_id, task_id=task_id)
            return partial(self._call_with_metadata, None, arguments)
        if self._remote.available:
            return partial(self._remote.start, arguments=arguments)
        call.goes_on()
        return partial(self._call_plainly, arguments)

    def attach(self, handle: TaskHandle, *, on_channel: bool, elsewhere: bool) -> None:
        """Let `handle` follow the task of its id, which was begun before: on our channel, or by the extension.

        Args:
            handle: The handle.
            on_channel: Whether the task may be on our channel.
            elsewhere: Whether it may be on another one.

        Raises:
            UnknownTask: it is not on ours, and the server does not speak the extension.
            ConnectionLost: there is no connection.
        """
        if not on_channel and not self._remote.available:
            raise UnknownTask("this server lets nobody attach to a task: it does not speak the tasks extension")
        self._router.add(handle)
        if on_channel:
            follow = partial(self._followed, weakref.ref(handle)) if elsewhere else _nowhere
            handle.steering = Attached(self._steer(handle.task_id), follow)
            self._look(handle)
        else:
            self._remote.follow(handle, None)

    def _followed(self, held: "weakref.ref[TaskHandle]") -> Steering | None:
        """The task is not on our channel: follow it by the extension, where there is one."""
        handle = held()
        if handle is None or not self._remote.available:
            return None
        self._remote.follow(handle, None)
        return handle.steering

    def look_at_all(self) -> None:
        """There is a connection: learn how the tasks stand that were attached to before."""
        for handle in list(self._router.handles.values()):
            if handle.steering.on_channel:
                self._look(handle)

    def _look(self, handle: TaskHandle) -> None:
        self._router.spawn(partial(self._router.find, handle, self._caught_up))

    async def _stop_quietly(self, handle: TaskHandle) -> None:
        """Nobody will have the handle: the task that it was for is not wanted any more."""
        if handle.ended or not handle.steering.on_channel:
            return
        with anyio.move_on_after(GOODBYE, shield=True):
            try:
                await handle.steering.stop()
            except (MCPCError, MCPError) as exc:
                logger.debug("a task that nobody waits for could not be stopped: %s", exc)

    async def _call_with_metadata(
        self, meta: dict[str, Any] | None, arguments: dict[str, Any], call: StartedCall
    ) -> CallToolResult | None:
        """A server that speaks MCPC: a background tool answers at once, an ordinary one shows that it runs."""
        handle = call.handle
        result = await self._call(handle.tool_name, arguments, meta=meta)
        told = messages_in_content(result.content)
        if any(message.task_id == handle.task_id for message in told):
            if meta is not None:
                handle.steering = self._steer(handle.task_id)
            return None
        known = next((m for m in told if m.event == "created" and m.task_id), None)
        if meta is None or KEY_META not in meta or known is None:
            return result
        call.given = await self._take_up(handle, known)
        return None

    async def _take_up(self, handle: TaskHandle, created: MCPCMessage) -> TaskHandle:
        """The task was begun before: its handle, if somebody holds it; else `handle`, from where the task stands."""
        router, task_id = self._router, created.task_id
        assert task_id is not None
        held = router.handles.get(task_id)
        if held is not None:
            router.forget(handle)
            return held
        router.rename(handle, task_id)
        handle.session_id = created.session_id or handle.session_id
        handle.steering = self._steer(task_id)
        handle.known()
        await router.look_up(handle)
        return handle

    async def _call_plainly(self, arguments: dict[str, Any], call: StartedCall) -> CallToolResult:
        """A server that knows ordinary calls only."""
        return await self._call(call.handle.tool_name, arguments, meta=call.token)


def _nowhere() -> None:
    """There is no other way to a task."""
