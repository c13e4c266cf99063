"""A connection to a server, as the commands make one."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

import mcpc
from mcpc.cli.option_types import check_types
from mcpc.cli.speech import say
from mcpc.cli.values import assignments, read_value, token_from
from mcpc.uri import parse_uri, prepare

__all__ = ["Place", "connected"]

PATIENCE = 5.0
"""Seconds without an answer after which the user is told what is waited for."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and how it is dialled."""

    uri: str
    options: dict[str, Any]

    @classmethod
    def wanted(
        cls, uri: str, headers: Sequence[str] | None, token_env: str | None, options: Sequence[str] | None
    ) -> "Place":
        """Read what the command line says.

        Raises:
            UserMistake: it cannot be read.
            URIError: the address cannot be used, or its transport does not take one of the options.
        """
        chosen: dict[str, Any] = {name: read_value(text) for name, text in assignments(options, "--option").items()}
        if headers:
            chosen["headers"] = assignments([_header(text) for text in headers], "--header", secret=True)
        if token_env is not None:
            chosen["token"] = token_from(token_env)
        _, transport = prepare(uri, "connect", chosen)
        check_types(transport, "connect", chosen)
        return cls(uri, chosen)


def _header(text: str) -> str:
    """A header as `NAME=VALUE`, also where it was written `NAME: VALUE`: no name has either sign in it."""
    name, colon, value = text.partition(":")
    return f"{name.strip()}={value.strip()}" if colon and "=" not in name else text


@asynccontextmanager
async def connected(place: Place, **options: Any) -> AsyncGenerator[mcpc.Client]:
    """A client at `place`; a server that takes its time to answer is waited for, and the user told so.

    Args:
        place: Where.
        options: Further ones of `mcpc.Client`.

    Raises:
        ConnectFailed: nobody answered, or the peer refused us.
    """
    async with anyio.create_task_group() as tasks:
        waiting = anyio.CancelScope()
        tasks.start_soon(_tell_of_waiting, place.uri, waiting)
        async with mcpc.Client(place.uri, provider="mcpc-cli", **place.options, **options) as client:
            waiting.cancel()
            yield client


async def _tell_of_waiting(uri: str, waiting: anyio.CancelScope) -> None:
    with waiting:
        await anyio.sleep(PATIENCE)
        say(f"still waiting for an MCP server's answer from {parse_uri(uri)} (Ctrl-C gives up) ...")
