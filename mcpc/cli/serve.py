"""`mcpc serve`: a server object at one or more addresses."""

import hmac
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from mcp.server.auth.provider import AccessToken, TokenVerifier

from mcpc.cli.common import (
    COMPLETE,
    OptionOption,
    UserMistake,
    VerboseOption,
    assignments,
    check_types,
    mistakes_told,
    read_value,
    run,
    say,
    token_from,
    until_signal,
)
from mcpc.cli.loading import load_server
from mcpc.server import listen
from mcpc.server.binding import bind, lowlevel_of
from mcpc.transport import URI, Listener
from mcpc.uri import parse_uri, resolve, schemes, transport_options

__all__ = ["serve"]

GUARDED_BY_THE_SYSTEM = frozenset(("memory", "stdio", "unix"))
"""Schemes that only this user (or the parent process) can reach, so that they need no token."""


def serve(
    target: Annotated[
        str, typer.Argument(metavar="SERVER", help="app.py:server or package.module:server.", show_default=False)
    ],
    uris: Annotated[
        list[str], typer.Argument(metavar="URI", help="Where to serve it; port 0 is any free port.", show_default=False)
    ],
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Bind to an address that other machines can reach.")
    ] = False,
    token_env: Annotated[
        str | None,
        typer.Option(
            "--token-env", metavar="VAR", help="Ask clients for the bearer token in this environment variable."
        ),
    ] = None,
    ssl_cert: Annotated[
        Path | None, typer.Option("--ssl-cert", help="The certificate (PEM), for wss, https and sse+https.")
    ] = None,
    ssl_key: Annotated[
        Path | None, typer.Option("--ssl-key", help="Its key, where it is in a file of its own.")
    ] = None,
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
        wanted = _Wanted(
            allow_remote=allow_remote,
            token=None if token_env is None else token_from(token_env),
            tls=_load_tls(ssl_cert, ssl_key),
            options={name: read_value(text) for name, text in assignments(option, "--option").items()},
        )
        places = [(uri, wanted.for_uri(uri)) for uri in uris]
        wanted.check_used()
        server = load_server(target)
    run(lambda: _serve(server, places))


class _StaticToken(TokenVerifier):
    """Lets in whoever has the one token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Who has this token; None for a wrong one."""
        if not hmac.compare_digest(token.encode(), self._token):
            return None
        return AccessToken(token=token, client_id="token", scopes=[])


@dataclass
class _Wanted:
    """What the command line asks of listeners, dealt out to those that take it."""

    allow_remote: bool
    token: str | None
    tls: ssl.SSLContext | None
    options: dict[str, Any]
    _used: set[str] = field(default_factory=set[str])

    def for_uri(self, text: str) -> dict[str, Any]:
        """The options for listening at one address.

        Raises:
            UserMistake: a token was given, and anybody could come in here without one.
            URIError: the address cannot be used.
        """
        uri = parse_uri(text)
        transport = resolve(uri.scheme)
        known = transport_options(transport, "listen")
        options = {name: value for name, value in self.options.items() if name in known}
        check_types(transport, "listen", options)
        if self.allow_remote and "allow_remote" in known:
            options["allow_remote"] = True
        if self.tls is not None and "ssl_context" in known and f"{uri.scheme}s" not in schemes():
            options["ssl_context"] = self.tls
        if self.token is not None and self._guard(uri, known):
            options["token_verifier"] = _StaticToken(self.token)
        self._used.update(options)
        return options

    def _guard(self, uri: URI, known: dict[str, Any]) -> bool:
        """Whether the token is to be checked here."""
        if "token_verifier" in known:
            return True
        if uri.scheme in GUARDED_BY_THE_SYSTEM:
            return False
        raise UserMistake(f"{uri.scheme}: cannot check a token, so {uri} would be open to anybody; leave it out")

    def check_used(self) -> None:
        """See that every option was taken by somebody.

        Raises:
            UserMistake: one was not.
        """
        flags = {
            "allow_remote": ("--allow-remote", self.allow_remote),
            "token_verifier": ("--token-env", self.token is not None),
            "ssl_context": ("--ssl-cert", self.tls is not None),
            **{name: (f"--option {name}", True) for name in self.options},
        }
        for name, (flag, given) in flags.items():
            if given and name not in self._used:
                raise UserMistake(f"{flag}: none of these addresses takes it; see: mcpc transports")


def _load_tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise UserMistake("--ssl-key needs --ssl-cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as exc:
        raise UserMistake(f"--ssl-cert: {cert} cannot be used: {exc.strerror or exc}") from exc
    return context


async def _serve(server: Any, places: Sequence[tuple[str, dict[str, Any]]]) -> int:
    """Serve at every place until a signal, or until the client of our stdin leaves."""
    over = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wait_for_signal, over)
        async with AsyncExitStack() as stack:
            for uri, options in places:
                listener = await stack.enter_async_context(listen(server, uri, **options))
                _announce(server, listener)
                finished: anyio.Event | None = getattr(listener, "finished", None)
                if finished is not None:
                    tasks.start_soon(_pass_on, finished, over)
            # Waited for, not cancelled: a cancellation would reach the connections before their last messages are sent.
            await over.wait()
            await bind(server).wind_down()  # before the first address closes
        tasks.cancel_scope.cancel()
    return COMPLETE


async def _wait_for_signal(over: anyio.Event) -> None:
    await until_signal()
    over.set()


async def _pass_on(finished: anyio.Event, over: anyio.Event) -> None:
    await finished.wait()
    over.set()


def _announce(server: Any, listener: Listener) -> None:
    own = parse_uri(listener.uri).scheme == "stdio"
    say(f"serving {lowlevel_of(server).name} {'on stdin and stdout' if own else f'at {listener.uri}'}")
