"""`mcpc watch`: what a server says, or one task."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import AsJson, Config, Headers, MaybeUri, Named, Options, TokenEnv, Verbose
from mcpc.later import later

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
    uri: MaybeUri = None,
    session: OnlySession = None,
    task: OneTask = None,
    server: Named = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Show what a server sends, live, until Ctrl-C.

    Server events come as lines on stdout. With --task it is one task, from
    its present state to its end, and what it asks is asked here; the id is
    what mcpc call --no-follow wrote, and where the server is, is remembered.
    A connection that is lost is dialled again.

    Exit codes: 0 at Ctrl-C or when the task is complete, 1 it failed,
    2 a mistake or no connection.

    Examples:
      mcpc watch ws://127.0.0.1:8765/mcp
      mcpc watch unix:///tmp/app.sock --json
      mcpc watch --task 5d2c6a01-...
    """
    if uri is None and server is None and task is None:
        raise typer.BadParameter("say where the server is, or give --task", param_hint="URI")
    where = watching.Where(task or "", server or uri, header, token_env, option, config)
    watching.watch(where, session, is_task=task is not None, as_json=as_json)
