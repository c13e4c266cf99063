"""`mcpc bridge`: an address served by the server at another."""

from typing import Annotated, Any

import anyio
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
from mcpc.cli.completing import complete_address
from mcpc.cli.listening import CertOption, KeyOption, Listening, RemoteOption
from mcpc.uri import prepare

__all__ = ["bridge"]


def bridge(
    listen_uri: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="Where clients come in; port 0 is any free port.",
            show_default=False,
            autocompletion=complete_address,
        ),
    ],
    connect_uri: Annotated[
        str,
        typer.Argument(metavar="TO", help="Where the server is.", show_default=False, autocompletion=complete_address),
    ],
    shared: Annotated[bool, typer.Option("--shared", help="One connection to the server for all clients.")] = False,
    allow_remote: RemoteOption = False,
    listen_token_env: Annotated[
        str | None,
        typer.Option(
            "--listen-token-env", metavar="VAR", help="Ask clients for the bearer token in this environment variable."
        ),
    ] = None,
    ssl_cert: CertOption = None,
    ssl_key: KeyOption = None,
    listen_option: Annotated[
        list[str] | None,
        typer.Option("--listen-option", metavar="NAME=VALUE", help="An option of the listening transport."),
    ] = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    option: OptionOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve at one address the server that is at another.

    Any transport in, any transport out; callbacks, prompts, tasks and
    progress cross. --header, --token-env and --option are for the connection
    to the server; the certificate and what begins with --listen is for
    clients. Ctrl-C or SIGTERM ends it; with stdio: as FROM, also the client
    that leaves.

    Examples:
      mcpc bridge ws://127.0.0.1:9000/mcp 'stdio:python server.py'
      mcpc bridge stdio: wss://host/mcp --token-env TOKEN
      mcpc bridge https://0.0.0.0:443/mcp unix:///run/app.sock --allow-remote \\
          --ssl-cert cert.pem --listen-token-env TOKEN
    """
    with mistakes_told():
        wanted = Listening.wanted(allow_remote, listen_token_env, ssl_cert, ssl_key, listen_option, "--listen-")
        listen_options = wanted.for_uri(listen_uri)
        wanted.check_used()
        prepare(listen_uri, "listen", listen_options)
        options = connect_options(connect_uri, header, token_env, option)
    run(lambda: _bridge(listen_uri, connect_uri, shared, listen_options, options))


async def _bridge(
    listen_uri: str, connect_uri: str, shared: bool, listen_options: dict[str, Any], connect_options: dict[str, Any]
) -> int:
    """Serve until a signal, or until the client of our stdin leaves."""
    opened = bridging(
        listen_uri, connect_uri, shared=shared, listen_options=listen_options, connect_options=connect_options
    )
    async with opened as listener, anyio.create_task_group() as tasks:
        finished: anyio.Event | None = getattr(listener, "finished", None)
        say(f"bridging {'on stdin and stdout' if finished is not None else f'at {listener.uri}'}")
        if finished is not None:
            tasks.start_soon(_leave, finished, tasks.cancel_scope)
        await until_signal()
        tasks.cancel_scope.cancel()
    return COMPLETE


async def _leave(finished: anyio.Event, scope: anyio.CancelScope) -> None:
    await finished.wait()
    scope.cancel()
