"""What the command line says of listening: tokens, TLS, who may come in; dealt out to the addresses that take it."""

import hmac
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.server.auth.provider import AccessToken, TokenVerifier

from mcpc.cli.mistakes import UserMistake
from mcpc.cli.option_types import check_types
from mcpc.cli.values import assignments, read_value, token_from
from mcpc.transport import URI, traits_of
from mcpc.uri import parse_uri, resolve, schemes, transport_options

__all__ = ["Listening"]


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
class Listening:
    """What the command line asks of listeners, dealt out to those that take it."""

    allow_remote: bool
    token: str | None
    tls: ssl.SSLContext | None
    options: dict[str, Any]
    token_flag: str = "--token-env"
    """What the user calls the token, for errors."""
    option_flag: str = "--option"
    _used: set[str] = field(default_factory=set[str])

    @classmethod
    def wanted(
        cls,
        allow_remote: bool,
        token_env: str | None,
        ssl_cert: Path | None,
        ssl_key: Path | None,
        options: Sequence[str] | None,
        prefix: str = "--",
    ) -> "Listening":
        """Read what the command line says.

        Args:
            allow_remote: Whether to bind where other machines can reach.
            token_env: The environment variable with the token; None for no token.
            ssl_cert: The certificate.
            ssl_key: Its key, where that is in a file of its own.
            options: `NAME=VALUE` items.
            prefix: What the flags of the token and of the options begin with.

        Raises:
            UserMistake: something of it cannot be used.
        """
        return cls(
            allow_remote=allow_remote,
            token=None if token_env is None else token_from(token_env),
            tls=_load_tls(ssl_cert, ssl_key),
            options={name: read_value(text) for name, text in assignments(options, f"{prefix}option").items()},
            token_flag=f"{prefix}token-env",
            option_flag=f"{prefix}option",
        )

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
        if "ssl_context" in known and f"{uri.scheme}s" not in schemes():
            options["ssl_context"] = self._certificate_for(uri)
        if self.token is not None and self._guard(uri, known):
            options["token_verifier"] = _StaticToken(self.token)
        self._used.update(options)
        return options

    def _guard(self, uri: URI, known: dict[str, Any]) -> bool:
        """Whether the token is to be checked here."""
        if "token_verifier" in known:
            return True
        if traits_of(resolve(uri.scheme)).guarded:
            return False
        raise UserMistake(f"{uri.scheme}: cannot check a token, so {uri} would be open to anybody; leave it out")

    def _certificate_for(self, uri: URI) -> ssl.SSLContext:
        if self.tls is None:
            raise UserMistake(f"{uri.scheme}: needs --ssl-cert, a file with the server's certificate")
        return self.tls

    def check_used(self) -> None:
        """See that every option was taken by somebody.

        Raises:
            UserMistake: one was not.
        """
        flags = {
            "allow_remote": ("--allow-remote", self.allow_remote),
            "token_verifier": (self.token_flag, self.token is not None),
            "ssl_context": ("--ssl-cert", self.tls is not None),
            **{name: (f"{self.option_flag} {name}", True) for name in self.options},
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
