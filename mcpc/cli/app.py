"""The commands put together."""

from collections.abc import Callable
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mcpc.cli.commands.answer import answer
from mcpc.cli.commands.bench import bench
from mcpc.cli.commands.bridge import bridge
from mcpc.cli.commands.call import call
from mcpc.cli.commands.demo import demo
from mcpc.cli.commands.send import send
from mcpc.cli.commands.serve import serve
from mcpc.cli.commands.servers import servers
from mcpc.cli.commands.status import status
from mcpc.cli.commands.stop import stop
from mcpc.cli.commands.store import check as check_store
from mcpc.cli.commands.tools import tools
from mcpc.cli.commands.transports import transports
from mcpc.cli.commands.watch import watch
from mcpc.cli.commands.worker import worker
from mcpc.later import later

if TYPE_CHECKING:
    from importlib import metadata

    from mcpc import messages
else:
    messages = later("mcpc.messages")
    metadata = later("importlib.metadata")

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    name="mcpc",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes take longer to import than all the rest takes to run
    add_completion=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 120},
)


store: typer.Typer = typer.Typer(
    name="store", help="Look after a store of tasks.", no_args_is_help=True, rich_markup_mode=None
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcpc {metadata.version('mcpc')} (wire {messages.VERSION}, mcp {metadata.version('mcp')})")
        raise typer.Exit


def _as_written(text: str) -> str:
    """Help in which every line break stays where the text has it."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in cleandoc(text).split("\n\n"))


class _ToolCommand(TyperCommand):
    """A command that takes a tool's arguments, which are no options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words. Who writes `--n 3` is told how it is written."""
        try:
            return super().parse_args(ctx, args)
        except Exception as exc:
            option = getattr(exc, "option_name", None)
            if type(exc).__name__ != "NoSuchOption" or not isinstance(option, str):  # of click, or of typer's copy
                raise
            unknown: Any = exc
            unknown.message += f"; an argument of the tool is written {option.lstrip('-')}=VALUE"
            raise


def _add(command: Callable[..., None], to: typer.Typer = app) -> None:
    text = command.__doc__ or ""
    kind = _ToolCommand if command is call else None
    to.command(cls=kind, help=_as_written(text), short_help=text.partition("\n")[0])(command)


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Background tools for MCP, over any transport, picked by URI.

    An address is a transport and where: ws://127.0.0.1:8765/mcp,
    unix:///tmp/mcp.sock, http://host/mcp, stdio:python server.py, ...
    See them all with: mcpc transports

    Examples:
      mcpc demo
      mcpc serve app.py:server ws://127.0.0.1:8765/mcp
      mcpc tools ws://127.0.0.1:8765/mcp
      mcpc call ws://127.0.0.1:8765/mcp process_data data_id=42

    Exit codes: 0 done, 1 the tool failed, 2 a mistake in the command or no
    connection, 130 interrupted.
    """


app.callback(help=_as_written(_root.__doc__ or ""))(_root)
for command in (
    serve,
    worker,
    call,
    tools,
    watch,
    status,
    answer,
    send,
    stop,
    servers,
    bridge,
    transports,
    bench,
    demo,
):
    _add(command)
app.add_typer(store)
_add(check_store, store)
