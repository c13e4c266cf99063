"""`mcpc serve`: a server object at one or more addresses."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

import anyio
import typer

from mcpc.cli.common import COMPLETE, OptionOption, UserMistake, VerboseOption, mistakes_told, run, say, until_signal
from mcpc.cli.completing import complete_address
from mcpc.cli.listening import CertOption, KeyOption, Listening, RemoteOption
from mcpc.cli.loading import load_server
from mcpc.errors import MCPCError
from mcpc.server import listen
from mcpc.server.binding import bind
from mcpc.server.kinds import lowlevel_of
from mcpc.transport import Listener
from mcpc.uri import parse_uri

__all__ = ["serve"]

FLAGS = {"allow_remote=True": "--allow-remote", "a token_verifier": "--token-env", "a token verifier": "--token-env"}
"""What transports advise a program to pass, as the command line has it."""


def serve(
    target: Annotated[
        str, typer.Argument(metavar="SERVER", help="app.py:server or package.module:server.", show_default=False)
    ],
    uris: Annotated[
        list[str],
        typer.Argument(
            metavar="URI",
            help="Where to serve it; port 0 is any free port.",
            show_default=False,
            autocompletion=complete_address,
        ),
    ],
    allow_remote: RemoteOption = False,
    token_env: Annotated[
        str | None,
        typer.Option(
            "--token-env", metavar="VAR", help="Ask clients for the bearer token in this environment variable."
        ),
    ] = None,
    ssl_cert: CertOption = None,
    ssl_key: KeyOption = None,
    option: OptionOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve a server at one or more addresses, all at once.

    The addresses that clients can dial are written to stderr. Ctrl-C or
    SIGTERM stops the running tasks, sends clients the last messages, and
    ends with exit code 0. With stdio: nothing but the protocol goes to
    stdout, and it ends when the client leaves.

    Examples:
      mcpc serve app.py:server ws://127.0.0.1:8765/mcp
      mcpc serve app.py:server unix:///tmp/app.sock http://127.0.0.1:0/mcp
      mcpc serve app.py:server stdio:
      TOKEN=... mcpc serve app.py:server ws://0.0.0.0:80/mcp --token-env TOKEN
      mcpc serve app.py:server wss://127.0.0.1:443/mcp --ssl-cert cert.pem
    """

    with mistakes_told():
        wanted = Listening.wanted(allow_remote, token_env, ssl_cert, ssl_key, option)
        places = [(uri, wanted.for_uri(uri)) for uri in uris]
        wanted.check_used()
        server = load_server(target)
    run(lambda: _serve(server, places))


async def _serve(server: Any, places: Sequence[tuple[str, dict[str, Any]]]) -> int:
    """Serve at every place until a signal, or until the client of our stdin leaves."""
    over = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wait_for_signal, over)
        async with AsyncExitStack() as stack:
            for uri, options in places:
                listener = await _listen(stack, server, uri, options)
                _announce(server, listener)
                finished: anyio.Event | None = getattr(listener, "finished", None)
                if finished is not None:
                    tasks.start_soon(_pass_on, finished, over)
            # Waited for, not cancelled: a cancellation would reach the connections before their last messages are sent.
            await over.wait()
            await bind(server).workshop.wind_down()  # before the first address closes
        tasks.cancel_scope.cancel()
    return COMPLETE


async def _listen(stack: AsyncExitStack, server: Any, uri: str, options: dict[str, Any]) -> Listener:
    """Open one address; what its transport advises is said in flags."""
    try:
        return await stack.enter_async_context(listen(server, uri, **options))
    except MCPCError as exc:
        text = str(exc)
        for argument, flag in FLAGS.items():
            text = text.replace(argument, flag)
        raise UserMistake(text) from exc


async def _wait_for_signal(over: anyio.Event) -> None:
    await until_signal()
    over.set()


async def _pass_on(finished: anyio.Event, over: anyio.Event) -> None:
    await finished.wait()
    over.set()


def _announce(server: Any, listener: Listener) -> None:
    own = parse_uri(listener.uri).scheme == "stdio"
    say(f"serving {lowlevel_of(server).name} {'on stdin and stdout' if own else f'at {listener.uri}'}")
