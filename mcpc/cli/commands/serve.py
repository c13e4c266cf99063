"""`mcpc serve`: a server object at one or more addresses."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.completing import complete_address
from mcpc.cli.params import AllowRemote, Cert, Key, Options, Store, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import serving
else:
    serving = later("mcpc.cli.serving")

__all__ = ["serve"]

Target = Annotated[
    str, typer.Argument(metavar="SERVER", help="app.py:server or package.module:server.", show_default=False)
]
Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URI",
        help="Where to serve it; port 0 is any free port. [default: stdio:]",
        show_default=False,
        autocompletion=complete_address,
    ),
]
AskedToken = Annotated[
    str | None,
    typer.Option("--token-env", metavar="VAR", help="Ask clients for the bearer token in this environment variable."),
]


def serve(
    target: Target,
    uris: Places = None,
    allow_remote: AllowRemote = False,
    token_env: AskedToken = None,
    ssl_cert: Cert = None,
    ssl_key: Key = None,
    store: Store = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Serve a server at one or more addresses, all at once.

    The addresses that clients can dial are written to stderr. Ctrl-C or
    SIGTERM stops the running tasks, sends clients the last messages, and
    ends with exit code 0. With stdio: (or no address) nothing but the
    protocol goes to stdout, and it ends when the client leaves.

    Examples:
      mcpc serve app.py:server ws://127.0.0.1:8765/mcp
      mcpc serve app.py:server unix:///tmp/app.sock http://127.0.0.1:0/mcp
      mcpc serve app.py:server
      mcpc serve app.py:server http://127.0.0.1:0/mcp --store sqlite:tasks.db
      TOKEN=... mcpc serve app.py:server ws://0.0.0.0:80/mcp --token-env TOKEN
      mcpc serve app.py:server wss://127.0.0.1:443/mcp --ssl-cert cert.pem
    """
    serving.serve(
        target,
        uris or (),
        lambda: serving.Listening.wanted(allow_remote, token_env, ssl_cert, ssl_key, option),
        store,
    )
