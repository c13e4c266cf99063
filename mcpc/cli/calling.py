"""What `mcpc call` does: it runs a tool as a task, follows it to its end, and says what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import MCPError
from mcp_types import Tool

import mcpc
from mcpc.cli.arguments import Arguments
from mcpc.cli.connecting import Place, connected
from mcpc.cli.following import Follower, Interruption
from mcpc.cli.mistakes import COMPLETE, FAILED, UserMistake, mistakes_told, the_one
from mcpc.cli.outcome import put_result
from mcpc.cli.remembered import Remembered
from mcpc.cli.resuming import KEY, Resumable
from mcpc.cli.running import run
from mcpc.cli.speech import printable, put, say, say_error
from mcpc.cli.toolset import check_known, list_tools
from mcpc.cli.values import compact
from mcpc.cli.views import View, make_view

__all__ = ["Arguments", "Manner", "Place", "call"]


@dataclass(frozen=True)
class Manner:
    """Which tool is called, and how."""

    tool: str
    session: str
    follow: bool
    as_json: bool
    resume: bool = False
    timeout: float | None = None
    max_timeout: float | None = None


def call(where: Callable[[], Place], what: Callable[[], Arguments], manner: Manner) -> None:
    """Call a tool and follow it to its end."""
    with mistakes_told():
        arguments = what()
        place = where()
        if not manner.follow and place.spawned:
            raise UserMistake("--no-follow needs a server that stays: this one is run for the command and ends with it")
    run(lambda: _Caller(place, arguments, manner, make_view(manner.tool, as_json=manner.as_json)).run())


class _Caller:
    """One call, from dialling to its exit code."""

    def __init__(self, place: Place, arguments: Arguments, manner: Manner, view: View) -> None:
        self._place = place
        self._arguments = arguments
        self._manner = manner
        self._view = view
        self._interruption = Interruption(view)
        self._leaving = False
        self._redials = False
        self._resumable: Resumable | None = None

    async def run(self) -> int:
        """Dial, call, follow; the exit code."""
        code = COMPLETE
        options: dict[str, Any] = {}
        if self._manner.resume:
            manner = self._manner
            self._resumable = Resumable.of(self._place.uri, manner.tool, manner.session, self._arguments)
            options["channel_file"] = self._resumable.path
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._interruption.wait, tasks.cancel_scope)
                async with connected(self._place, on_connection=self._connection, **options) as client:
                    self._redials = client.reconnect
                    try:
                        code = await self._call(client)
                    finally:
                        self._leaving = True
                tasks.cancel_scope.cancel()
        finally:
            self._view.close()
        return self._interruption.exit_code or code

    def _connection(self, state: str) -> None:
        self._interruption.is_away = state == "lost"
        if self._interruption.handle is None or self._leaving:
            return
        if state == "lost" and self._redials:
            self._view.note("the connection was lost; dialling again (Ctrl-C gives up) ...")
        elif state == "connected":
            self._view.note("connected again")

    async def _call(self, client: mcpc.Client) -> int:
        code = FAILED
        try:
            code = await self._to_the_end(client)
        except* mcpc.TimedOut as group:
            say_error(f"{self._manner.tool} was stopped: {the_one(group)}")
        return code

    async def _to_the_end(self, client: mcpc.Client) -> int:
        tools = await _tools_of(client)
        handle = await self._start(client, tools)
        if not self._manner.follow:
            return self._leave(client, handle)
        follower = Follower(handle, self._view, as_json=self._manner.as_json)
        await follower.follow()
        code = await self._outcome(handle, follower, tools)
        if self._resumable is not None:
            self._resumable.forget()
        return code

    async def _start(self, client: mcpc.Client, tools: Sequence[Tool]) -> mcpc.TaskHandle:
        manner = self._manner
        known = next((tool for tool in tools if tool.name == manner.tool), None)
        arguments = self._arguments.for_tool(known)
        overflow = "block" if manner.as_json else "coalesce"
        key = None if self._resumable is None else KEY
        try:
            handle = await client.start_task(
                manner.tool,
                arguments,
                session_id=manner.session,
                key=key,
                timeout=manner.timeout,
                max_timeout=manner.max_timeout,
                overflow=overflow,
            )
        except MCPError:
            check_known(manner.tool, tools)
            raise
        self._interruption.handle = handle
        return handle

    def _leave(self, client: mcpc.Client, handle: mcpc.TaskHandle) -> int:
        Remembered(
            handle.task_id,
            handle.tool_name,
            handle.session_id,
            self._place.name or self._place.uri,
            self._place.token_env,
            client.channel if client.supports_mcpc else None,
            self._place.config,
        ).save()
        if self._manner.as_json:
            put(compact({"task_id": handle.task_id, "tool_name": handle.tool_name, "session_id": handle.session_id}))
        else:
            put(handle.task_id)
        return COMPLETE

    async def _outcome(self, handle: mcpc.TaskHandle, follower: Follower, tools: Sequence[Tool]) -> int:
        try:
            result = await handle.result()
        except mcpc.TaskStopped:
            if follower.unanswered is not None:
                asked = printable(follower.unanswered.message)
                say_error(f"the task asked {asked!r}, and standard input has ended; it was stopped")
            elif not self._manner.as_json:
                say("the task was stopped")
            return FAILED
        except mcpc.TaskFailed as exc:
            if "nknown tool" in str(exc):
                check_known(self._manner.tool, tools)
            if not self._manner.as_json:
                text = printable(str(exc).removeprefix("ToolError: "), lines=True)
                say_error(f"{self._manner.tool} failed: {text}")
            return FAILED
        if not self._manner.as_json:
            put_result(result)
        return COMPLETE


async def _tools_of(client: mcpc.Client) -> list[Tool]:
    try:
        return await list_tools(client)
    except MCPError:
        return []  # a server need not list what it has
