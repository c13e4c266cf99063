"""`mcpc watch`: what a server says, or one task."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.later import later
from mcpc.cli.params import AsJson, Headers, Options, TokenEnv, Uri, Verbose

if TYPE_CHECKING:
    from mcpc.cli import watching
else:
    watching = later("mcpc.cli.watching")

__all__ = ["watch"]

OnlySession = Annotated[
    str | None, typer.Option("--session", metavar="NAME", help="Only messages of this conversation.")
]
OneTask = Annotated[
    str | None, typer.Option("--task", metavar="ID", help="Follow this task to its end, whoever started it.")
]


def watch(
    uri: Uri,
    session: OnlySession = None,
    task: OneTask = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
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
    watching.watch(lambda: watching.Place.wanted(uri, header, token_env, option), session, task, as_json=as_json)
