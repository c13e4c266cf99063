"""`mcpc bridge`: an address served by the server at another."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.completing import complete_address
from mcpc.cli.params import AllowRemote, Cert, Config, Headers, Key, Options, TokenEnv, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import bridging, gathering
else:
    bridging = later("mcpc.cli.bridging")
    gathering = later("mcpc.cli.gathering")

__all__ = ["bridge"]

From = Annotated[
    str,
    typer.Argument(
        metavar="FROM",
        help="Where clients come in; port 0 is any free port.",
        show_default=False,
        autocompletion=complete_address,
    ),
]
To = Annotated[
    str | None,
    typer.Argument(
        metavar="TO",
        help="Where the server is; without it, all servers of the --config file.",
        show_default=False,
        autocompletion=complete_address,
    ),
]
Shared = Annotated[bool, typer.Option("--shared", help="One connection to the server for all clients.")]
AskedToken = Annotated[
    str | None,
    typer.Option(
        "--listen-token-env", metavar="VAR", help="Ask clients for the bearer token in this environment variable."
    ),
]
ListenOptions = Annotated[
    list[str] | None,
    typer.Option("--listen-option", metavar="NAME=VALUE", help="An option of the listening transport."),
]


def bridge(
    listen_uri: From,
    connect_uri: To = None,
    shared: Shared = False,
    allow_remote: AllowRemote = False,
    listen_token_env: AskedToken = None,
    ssl_cert: Cert = None,
    ssl_key: Key = None,
    listen_option: ListenOptions = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Serve at one address the server that is at another.

    Any transport in, any transport out; callbacks, prompts, tasks and
    progress cross. --header, --token-env and --option are for the connection
    to the server; the certificate and what begins with --listen is for
    clients. Ctrl-C or SIGTERM ends it; with stdio: as FROM, also the client
    that leaves.

    With a configuration and no TO, all of its servers are behind the one
    address: a tool T of the server S is S__T there. Each is started again
    when it ends; over HTTP, /status shows how they stand.

    Examples:
      mcpc bridge ws://127.0.0.1:9000/mcp 'stdio:python server.py'
      mcpc bridge stdio: wss://host/mcp --token-env TOKEN
      mcpc bridge https://0.0.0.0:443/mcp unix:///run/app.sock --allow-remote \\
          --ssl-cert cert.pem --listen-token-env TOKEN
      mcpc bridge http://127.0.0.1:8080/mcp --config mcp.json
    """

    def wanted() -> "bridging.Listening":
        return bridging.Listening.wanted(allow_remote, listen_token_env, ssl_cert, ssl_key, listen_option, "--listen-")

    if connect_uri is None:
        given = {"--shared": shared, "--header": header, "--token-env": token_env, "--option": option}
        unfit = next((flag for flag, value in given.items() if value), None)
        gathering.gather(listen_uri, wanted, config, unfit=unfit)
        return
    bridging.bridge(
        listen_uri,
        wanted,
        lambda: bridging.Place.wanted(connect_uri, header, token_env, option, config),
        shared=shared,
    )
