"""A connection to a server, as the commands make one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import typer

from mcpc.cli.common import say
from mcpc.cli.completing import complete_address
from mcpc.client import Client
from mcpc.uri import parse_uri

__all__ = ["URIArgument", "connected"]

URIArgument = Annotated[
    str,
    typer.Argument(metavar="URI", help="Where the server is.", show_default=False, autocompletion=complete_address),
]

PATIENCE = 5.0
"""Seconds without an answer after which the user is told what is waited for."""


@asynccontextmanager
async def connected(uri: str, **options: Any) -> AsyncGenerator[Client]:
    """A client at `uri`; a server that takes its time to answer is waited for, and the user told so.

    Raises:
        URIError: the address or an option cannot be used.
        ConnectFailed: nobody answered, or the peer refused us.
    """
    async with anyio.create_task_group() as tasks:
        waiting = anyio.CancelScope()
        tasks.start_soon(_tell_of_waiting, uri, waiting)
        async with Client(uri, provider="mcpc-cli", **options) as client:
            waiting.cancel()
            yield client


async def _tell_of_waiting(uri: str, waiting: anyio.CancelScope) -> None:
    with waiting:
        await anyio.sleep(PATIENCE)
        say(f"still waiting for an MCP server's answer from {parse_uri(uri)} (Ctrl-C gives up) ...")
