"""`mcpc bridge`: an address served by the server at another."""

from typing import Annotated, Any

import typer

from mcpc.bridge import bridging
from mcpc.cli.common import (
    COMPLETE,
    HeaderOption,
    OptionOption,
    TokenOption,
    VerboseOption,
    connect_options,
    mistakes_told,
    run,
    say,
    until_signal,
)
from mcpc.uri import prepare

__all__ = ["bridge"]


def bridge(
    listen_uri: Annotated[str, typer.Argument(metavar="FROM", help="Where clients come in.", show_default=False)],
    connect_uri: Annotated[str, typer.Argument(metavar="TO", help="Where the server is.", show_default=False)],
    shared: Annotated[bool, typer.Option("--shared", help="One connection to the server for all clients.")] = False,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    option: OptionOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve at one address the server that is at another.

    Any transport in, any transport out; callbacks, prompts and progress
    cross. Headers, token and options are for the connection to the server.
    Ctrl-C or SIGTERM ends it.

    Examples:
      mcpc bridge ws://127.0.0.1:9000/mcp 'stdio:python server.py'
      mcpc bridge unix:///tmp/mcp.sock https://host/mcp --token-env TOKEN
    """
    with mistakes_told():
        prepare(listen_uri, "listen", {})
        options = connect_options(connect_uri, header, token_env, option)
    run(lambda: _bridge(listen_uri, connect_uri, shared, options))


async def _bridge(listen_uri: str, connect_uri: str, shared: bool, options: dict[str, Any]) -> int:
    async with bridging(listen_uri, connect_uri, shared=shared, connect_options=options) as listener:
        say(f"bridging at {listener.uri}")
        await until_signal()
    return COMPLETE
