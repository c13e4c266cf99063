"""`mcpc tools` and `mcpc watch`: what a server has, and what it says."""

from datetime import datetime
from typing import Annotated

import anyio
import typer
from mcp_types import Tool

from mcpc.cli.common import (
    COMPLETE,
    FAILED,
    HeaderOption,
    JsonOption,
    OptionOption,
    OutputEnded,
    TokenOption,
    UserMistake,
    VerboseOption,
    compact,
    connect_options,
    printable,
    put,
    run,
    say,
    until_signal,
)
from mcpc.cli.connecting import URIArgument, connected
from mcpc.cli.toolset import list_tools, parameters
from mcpc.cli.views import status_of
from mcpc.client import Client
from mcpc.errors import ConnectionLost
from mcpc.messages import MCPCMessage

__all__ = ["tools", "watch"]

# --- tools ---


def tools(
    uri: URIArgument,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    option: OptionOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the tools of a server.

    Examples:
      mcpc tools ws://127.0.0.1:8765/mcp
      mcpc tools "stdio:python app.py" --json
      mcpc tools https://host/mcp --header X-Team=blue --token-env TOKEN
    """

    async def main() -> int:
        async with connected(uri, **connect_options(uri, header, token_env, option)) as client:
            found = await list_tools(client)
        if as_json:
            put(compact([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found]))
        for tool in () if as_json else found:
            _put_tool(tool)
        if not found:
            say("the server has no tools")
        return COMPLETE

    run(main)


def _put_tool(tool: Tool) -> None:
    put(printable(f"{tool.name}({parameters(tool.input_schema)})"))
    for line in printable(tool.description or "", lines=True).strip().splitlines():
        put(f"    {line}".rstrip())


# --- watch ---


def watch(
    uri: URIArgument,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="Only messages of this conversation.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="Follow this task to its end, whoever started it.")
    ] = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    option: OptionOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what a server sends, live, until Ctrl-C.

    Server events come as lines on stdout. With --task it is one task, from
    its present state to its end; the id is what mcpc call --no-follow wrote.
    A connection that is lost is dialled again.

    Exit codes: 0 at Ctrl-C or when the task is complete, 1 it failed,
    2 a mistake or no connection.

    Examples:
      mcpc watch ws://127.0.0.1:8765/mcp
      mcpc watch unix:///tmp/app.sock --json
      mcpc watch ws://127.0.0.1:8765/mcp --task 5d2c6a01-...
    """

    async def main() -> int:
        watcher = _Watcher(as_json)
        options = connect_options(uri, header, token_env, option)
        code = COMPLETE
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_on_signal, tasks.cancel_scope)
            async with connected(uri, reconnect_timeout=None, on_connection=watcher.connection, **options) as client:
                code = await (watcher.watch(client, session) if task is None else watcher.follow(client, task))
            tasks.cancel_scope.cancel()
        return code

    run(main)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    await until_signal()
    scope.cancel()


class _Watcher:
    """Writes what comes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._over = anyio.Event()
        self._failure: Exception = ConnectionLost("the server has ended the connection")
        self._redials = True

    def connection(self, state: str) -> None:
        """The connection has changed its state."""
        if state != "closed":
            say(f"{_now()} connection {state}")
        if state == "lost" and not self._redials:
            self._over.set()

    async def follow(self, client: Client, task_id: str) -> int:
        """Show one task to its end."""
        handle = client.task(task_id)
        await handle
        event = ""
        async for message in handle:
            self.show(message)
            event = message.event
        return COMPLETE if event == "complete" else FAILED

    async def watch(self, client: Client, session: str | None) -> int:
        """Watch until cancelled, until a connection is lost that is not dialled again, or until nobody reads us."""
        if not client.supports_mcpc:
            raise UserMistake("this server sends no callbacks: it is a plain MCP server, there is nothing to watch")
        self._redials = client.reconnect
        client.add_event_listener(self._listen, session_id=session)
        await self._over.wait()
        raise self._failure

    def _listen(self, message: MCPCMessage) -> None:
        try:
            self.show(message)
        except OutputEnded as exc:
            self._failure = exc
            self._over.set()

    def show(self, message: MCPCMessage) -> None:
        """Write a message."""
        if self.as_json:
            put(compact(message.model_dump()))
            return
        about = [_now(), message.event]
        if message.type == "task":
            about.insert(1, f"{message.tool_name}[{(message.task_id or '')[:8]}]")
        if message.session_id not in (None, "*", "default"):
            about.append(f"({message.session_id})")
        put(printable(" ".join(about)) + f"  {status_of(message.result)}".rstrip())


def _now() -> str:
    return datetime.now().strftime("%H:%M:%S")
