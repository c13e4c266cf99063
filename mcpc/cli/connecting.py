"""A connection to a server, as the commands make one."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

import mcpc
from mcpc.cli.addresses import likely
from mcpc.cli.naming import meant
from mcpc.cli.option_types import check_types
from mcpc.cli.speech import say
from mcpc.cli.suggesting import suggesting
from mcpc.cli.values import assignments, read_value, token_from
from mcpc.logs import logger_of
from mcpc.transport import traits_of
from mcpc.uri import parse_uri, prepare, transport_options

__all__ = ["Place", "connected"]

logger: logging.Logger = logger_of(__name__)

PATIENCE = 5.0
"""Seconds without an answer after which the user is told what is waited for."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and how it is dialled."""

    uri: str
    options: dict[str, Any]
    token_env: str | None = None
    """The environment variable that holds the token."""
    spawned: bool = False
    """Whether the server is a process that is started for us, and ends with us."""
    keeps_errlog: bool = False
    """Whether what it writes to stderr can be sent elsewhere."""
    name: str | None = None
    """Its name in a configuration, where it was named."""
    config: str | None = None
    """The configuration."""

    @classmethod
    def wanted(
        cls,
        typed: str,
        headers: Sequence[str] | None,
        token_env: str | None,
        options: Sequence[str] | None,
        config: "Path | str | None" = None,
    ) -> "Place":
        """Read what the command line says; what is typed wins over what a configuration says.

        Raises:
            UserMistake: it cannot be read.
            ConfigError: a server is named, and the configuration cannot be read or does not know it.
            URIError: the address cannot be used, or its transport does not take one of the options.
        """
        uri, chosen, path = meant(typed, config)
        chosen |= {name: read_value(text) for name, text in assignments(options, "--option").items()}
        if headers:
            asked = assignments([_header(text) for text in headers], "--header", secret=True)
            chosen["headers"] = chosen.get("headers", {}) | asked
        if token_env is not None:
            chosen["token"] = token_from(token_env)
        _, transport = prepare(uri, "connect", chosen)
        check_types(transport, "connect", chosen)
        errlog = "errlog" in transport_options(transport, "connect") and "errlog" not in chosen
        named = (None, None) if path is None else (typed, str(path))
        return cls(uri, chosen, token_env, traits_of(transport).spawns, errlog, *named)


def _header(text: str) -> str:
    """A header as `NAME=VALUE`, also where it was written `NAME: VALUE`: no name has either sign in it."""
    name, colon, value = text.partition(":")
    return f"{name.strip()}={value.strip()}" if colon and "=" not in name else text


@asynccontextmanager
async def connected(place: Place, **options: Any) -> AsyncGenerator[mcpc.Client]:
    """A client at `place`; a server that takes its time to answer is waited for, and the user told so.

    What a server that is run for us writes to stderr is held back; the error has its last lines if it dies.

    Args:
        place: Where.
        options: Further ones of `mcpc.Client`.

    Raises:
        ConnectFailed: nobody answered, or the peer refused us.
        UserMistake: it refused us, and another address is likely meant.
    """
    async with anyio.create_task_group() as tasks:
        waiting = anyio.CancelScope()
        tasks.start_soon(_tell_of_waiting, place.uri, waiting)
        chosen = {**place.options, **_held_back(place), **options}
        async with AsyncExitStack() as stack:
            with suggesting(place.uri):
                client = await stack.enter_async_context(mcpc.Client(place.uri, provider="mcpc-cli", **chosen))
            waiting.cancel()
            yield client


def _held_back(place: Place) -> dict[str, Any]:
    """The option that keeps a server's stderr from ours, unless everything is to be seen."""
    return {} if not place.keeps_errlog or logger.isEnabledFor(logging.DEBUG) else {"errlog": None}


async def _tell_of_waiting(uri: str, waiting: anyio.CancelScope) -> None:
    with waiting:
        await anyio.sleep(PATIENCE)
        hint = f" ({likely(uri)})" if uri.count("/") == 2 else ""  # a socket whose server may wait for more itself
        say(f"still waiting for an MCP server's answer from {parse_uri(uri)}{hint} (Ctrl-C gives up) ...")
