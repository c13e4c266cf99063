"""`mcpc call`: run a tool as a task, and follow it."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import anyio
import typer
from mcp.shared.exceptions import MCPError
from mcp_types import Tool
from rich.console import Console

from mcpc.cli.arguments import read_object, tool_arguments
from mcpc.cli.asking import ask
from mcpc.cli.common import (
    COMPLETE,
    FAILED,
    HeaderOption,
    JsonOption,
    OptionOption,
    TokenOption,
    UserMistake,
    VerboseOption,
    assignments,
    compact,
    connect_options,
    exit_code_of,
    mistakes_told,
    printable,
    put,
    read_value,
    run,
    say,
    say_error,
    until_signal,
)
from mcpc.cli.completing import complete_call
from mcpc.cli.connecting import URIArgument, connected
from mcpc.cli.terminal import LineReader
from mcpc.cli.toolset import check_known, list_tools
from mcpc.cli.views import View, make_view
from mcpc.client import Client, TaskHandle
from mcpc.errors import MCPCError, PromptError, TaskFailed, TaskStopped, UnknownTask
from mcpc.messages import Prompt, prompt_of

__all__ = ["call"]


def call(
    uri: URIArgument,
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="The tool.", show_default=False, autocompletion=complete_call)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Its arguments, checked against the tool's schema: text where it takes text, else JSON.",
            show_default=False,
            autocompletion=complete_call,
        ),
    ] = None,
    json_args: Annotated[
        str | None, typer.Option("--json-args", metavar="JSON", help="Arguments as one JSON object, sent as it is.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow/--no-follow",
            help="Wait for the end, or write the task's id once it has started, and leave (see: mcpc watch --task).",
        ),
    ] = True,
    session: Annotated[
        str, typer.Option("--session", metavar="NAME", help="The conversation that the task belongs to.")
    ] = "default",
    header: HeaderOption = None,
    token_env: TokenOption = None,
    option: OptionOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Call a tool and follow it to its end.

    Progress and status go to stderr, the result to stdout. What the task asks
    is asked here, and read from stdin. Ctrl-C stops the task on the server and
    waits for its end; once more leaves at once. With --json every message
    of the task is a line of JSON on stdout.

    Exit codes: 0 complete, 1 failed, 2 a mistake or no connection,
    130 interrupted.

    Examples:
      mcpc call ws://127.0.0.1:8765/mcp process_data data_id=42
      mcpc call unix:///tmp/app.sock resize size=3 tags='["a", "b"]'
      mcpc call "stdio:python app.py" count n=100 --json
      mcpc call https://host/mcp report --json-args '{"year": 2026}' \\
          --token-env TOKEN
    """
    with mistakes_told():
        given = _given(uri, arguments)
        base = read_object(json_args)
        options = connect_options(uri, header, token_env, option)

    async def main() -> int:
        view = make_view(tool, as_json=as_json)
        caller = _Caller(view, as_json=as_json, tool=tool, session=session)
        return await caller.run(uri, options, given, base, follow=follow)

    run(main)


def _given(uri: str, arguments: Sequence[str] | None) -> dict[str, str]:
    try:
        return assignments(arguments, "an argument")
    except UserMistake as exc:
        if uri.startswith("stdio:") and " " not in uri:  # the shell has made arguments of the command's words
            raise UserMistake(f"{exc}; a stdio: address with spaces needs quotes: 'stdio:command arg ...'") from exc
        raise


class _Caller:
    """One call, from dialling to its exit code."""

    def __init__(self, view: View, *, as_json: bool, tool: str, session: str) -> None:
        self.view = view
        self.as_json = as_json
        self.tool = tool
        self.session = session
        self._lines = LineReader()
        self._one_question = anyio.Lock()
        self._handle: TaskHandle | None = None
        self._interrupted_by = 0
        self._leaving = False
        self._redials = False
        self._unanswered: Prompt | None = None

    async def run(
        self, uri: str, options: dict[str, Any], given: dict[str, str], base: dict[str, Any] | None, *, follow: bool
    ) -> int:
        """Dial, call, follow; the exit code."""
        code = COMPLETE
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._obey_signals, tasks.cancel_scope)
                async with connected(uri, on_connection=self._connection, **options) as client:
                    self._redials = client.reconnect
                    try:
                        code = await self._call(client, given, base, follow=follow)
                    finally:
                        self._leaving = True
                tasks.cancel_scope.cancel()
        finally:
            self.view.close()
        return exit_code_of(self._interrupted_by) if self._interrupted_by else code

    def _connection(self, state: str) -> None:
        if self._handle is None or self._leaving:
            return
        if state == "lost" and self._redials:
            self.view.note("the connection was lost; dialling again (Ctrl-C gives up) ...")
        elif state == "connected":
            self.view.note("connected again")

    async def _call(self, client: Client, given: dict[str, str], base: dict[str, Any] | None, *, follow: bool) -> int:
        tools = await _tools_of(client)
        known = next((tool for tool in tools if tool.name == self.tool), None)
        arguments = tool_arguments(given, base, known)
        overflow = "block" if self.as_json else "coalesce"
        try:
            self._handle = await client.start_task(self.tool, arguments, session_id=self.session, overflow=overflow)
        except MCPError:
            check_known(self.tool, tools)
            raise
        if not follow:
            return self._leave(self._handle)
        await self._follow(self._handle)
        return await self._outcome(self._handle, tools)

    def _leave(self, handle: TaskHandle) -> int:
        if self.as_json:
            put(compact({"task_id": handle.task_id, "tool_name": self.tool, "session_id": self.session}))
        else:
            put(handle.task_id)
        return COMPLETE

    async def _follow(self, handle: TaskHandle) -> None:
        async with anyio.create_task_group() as tasks:
            async for message in handle:
                self.view.show(message)
                prompt = prompt_of(message)
                if prompt is not None:
                    tasks.start_soon(self._ask, handle, prompt)
            tasks.cancel_scope.cancel()
        self.view.close()

    async def _ask(self, handle: TaskHandle, prompt: Prompt) -> None:
        """Ask until the server takes the answer; without anybody to ask, stop the task."""
        async with self._one_question:
            while True:
                try:
                    answer = await self._read_answer(prompt)
                    await handle.answer(prompt.id, answer)
                except PromptError as exc:
                    self.view.note(f"  {exc}")
                    if not str(exc).startswith("the answer"):
                        return  # answered already, or timed out: nobody waits for another
                except EOFError:
                    self._unanswered = prompt
                    await handle.stop()
                    return
                except MCPCError as exc:
                    self.view.note(f"  the answer came too late: {exc}")
                    return
                else:
                    return

    async def _read_answer(self, prompt: Prompt) -> Any:
        if self.as_json:
            return read_value(await self._lines.read_line())
        self.view.pause()
        return await ask(prompt, self._lines)

    async def _obey_signals(self, scope: anyio.CancelScope) -> None:
        """The first signal stops the task on the server; the next one, or one without a task, ends us."""
        self._interrupted_by = await until_signal()
        handle = self._handle
        if handle is not None and not handle.ended:
            self.view.note("stopping the task (Ctrl-C again to leave at once) ...")
            try:
                await handle.stop()
                self._interrupted_by = await until_signal()
            except (UnknownTask, MCPCError, MCPError) as exc:
                self.view.note(f"the task could not be stopped: {exc}")
        scope.cancel()

    async def _outcome(self, handle: TaskHandle, tools: Sequence[Tool]) -> int:
        try:
            result = await handle.result()
        except TaskStopped:
            if self._unanswered is not None:
                say_error(f"the task asked {self._unanswered.message!r}, and standard input has ended; it was stopped")
            elif not self.as_json:
                say("the task was stopped")
            return FAILED
        except TaskFailed as exc:
            if "nknown tool" in str(exc):
                check_known(self.tool, tools)
            if not self.as_json:
                say_error(f"{self.tool} failed: {printable(str(exc).removeprefix('ToolError: '), lines=True)}")
            return FAILED
        if not self.as_json:
            _put_result(result)
        return COMPLETE


def _put_result(result: Any) -> None:
    console = Console()
    if isinstance(result, str):
        put(printable(result, lines=True) if console.is_terminal else result)
    elif console.is_terminal:
        console.print_json(data=result, ensure_ascii=False)
    else:
        put(json.dumps(result, indent=2, ensure_ascii=False))


async def _tools_of(client: Client) -> list[Tool]:
    try:
        return await list_tools(client)
    except MCPError:
        return []  # a server need not list what it has
