"""`Starter`: a tool called as a task, in the way that its server takes.

By metadata in the call (ours, or an original's), by the tasks extension, or as an
ordinary call that looks like a task from outside.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcpc.client.handle import TaskHandle
from mcpc.client.handshake import Form
from mcpc.client.requests import typed
from mcpc.client.router import Router
from mcpc.client.sep2663_extension import RemoteTasks
from mcpc.client.steering import CallSteering, ChannelSteering
from mcpc.errors import MCPCError
from mcpc.wire.callbacks import messages_in_content
from mcpc.wire.calls import call_meta

__all__ = ["Starter"]

logger = logging.getLogger("mcpc")

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
    """

    def __init__(
        self, router: Router, remote: RemoteTasks, call: ToolCall, steer: Callable[[str], ChannelSteering]
    ) -> None:
        self._router = router
        self._remote = remote
        self._call = call
        self._steer = steer

    async def start(self, form: Form, channel: str, handle: TaskHandle, arguments: dict[str, Any]) -> None:
        """Call a tool for `handle`.

        Args:
            form: How the server takes a call's metadata.
            channel: Our channel's key.
            handle: The handle, which knows the tool.
            arguments: The tool's arguments; they may be added to.

        Raises:
            MCPCError, MCPError: the server refused the call, or the connection went away.
        """
        self._router.add(handle)
        try:
            if form:
                await self._start_with_metadata(form, channel, handle, arguments)
            elif self._remote.available:
                await self._remote.start(handle, arguments)
            else:
                self._start_call(handle, arguments)
        except MCPError as exc:
            self._router.forget(handle)
            raise typed(exc) from exc
        except BaseException:
            self._router.forget(handle)
            await self._stop_quietly(handle)
            raise

    async def _stop_quietly(self, handle: TaskHandle) -> None:
        """Nobody will have the handle: the task that it was for is not wanted any more."""
        if handle.ended or not handle.steering.on_channel:
            return
        with anyio.move_on_after(GOODBYE, shield=True):
            try:
                await handle.steering.stop()
            except (MCPCError, MCPError) as exc:
                logger.debug("a task that nobody waits for could not be stopped: %s", exc)

    async def _start_with_metadata(
        self, form: Form, channel: str, handle: TaskHandle, arguments: dict[str, Any]
    ) -> None:
        session_id, task_id = handle.session_id, handle.task_id
        meta: Any = None
        if form == "meta":
            handle.steering = self._steer(task_id)
            meta = call_meta(channel=channel, session_id=session_id, task_id=task_id)
        elif form == "0.2.6":
            arguments["mcpc_params"] = {"session_id": session_id, "task_id": task_id}
        else:
            arguments["_metadata"] = {"mcpc_session_id": session_id, "mcpc_task_id": task_id}
        result = await self._call(handle.tool_name, arguments, meta=meta)
        if not any(message.task_id == task_id for message in messages_in_content(result.content)):
            self._router.finish(handle, result)

    def _start_call(self, handle: TaskHandle, arguments: dict[str, Any]) -> None:
        handle.steering = steering = CallSteering(handle.tool_name)
        self._router.emit(handle, "created", f"{handle.tool_name} was called")
        self._router.spawn(partial(self._run_call, handle, steering, arguments))

    async def _run_call(self, handle: TaskHandle, steering: CallSteering, arguments: dict[str, Any]) -> None:
        """An ordinary call that looks like a task from outside."""
        router = self._router
        try:
            with steering.scope:
                result = await self._call(
                    handle.tool_name, arguments, progress_callback=partial(router.progress, handle)
                )
                router.finish(handle, result)
        except MCPError as exc:
            router.fail(handle, typed(exc))
        except Exception as exc:
            router.fail(handle, exc)
        if steering.scope.cancelled_caught:
            router.emit(handle, "failed", {"error": "stopped", "message": "the call was cancelled"})
