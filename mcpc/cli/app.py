"""The commands put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from mcpc.cli.bench import bench
from mcpc.cli.bridge import bridge
from mcpc.cli.call import call
from mcpc.cli.demo import demo
from mcpc.cli.look import tools, watch
from mcpc.cli.serve import serve
from mcpc.cli.transports import transports
from mcpc.messages import VERSION

__all__ = ["app", "main"]

app = typer.Typer(
    name="mcpc",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcpc {version('mcpc')} (wire {VERSION}, mcp {version('mcp')})")
        raise typer.Exit


@app.callback()
def root(
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


for command in (serve, call, tools, watch, bridge, transports, bench, demo):
    app.command()(command)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="mcpc")
