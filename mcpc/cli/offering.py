"""The tools of a server, asked for while somebody waits at the Tab key."""

import contextlib
from collections.abc import Mapping
from typing import Any

import anyio
from mcp_types import Tool

from mcpc.cli.connecting import Place, connected
from mcpc.cli.toolset import list_tools
from mcpc.transport import traits_of
from mcpc.uri import parse_uri, resolve

__all__ = ["tools_at"]

PATIENCE = 2.0
"""Seconds that a server has to say what its tools are; more would feel like a shell that hangs."""


def tools_at(uri: str, params: Mapping[str, Any]) -> list[Tool]:
    """The tools of a server; none where it does not tell, and none where connecting would start one.

    Args:
        uri: Where it is: an address, a file, or a name in the configuration.
        params: The options that were typed before.
    """
    found: list[Tool] = []

    async def ask() -> None:
        place = Place.wanted(
            uri, params.get("header"), params.get("token_env"), params.get("option"), params.get("config")
        )
        if not traits_of(resolve(parse_uri(place.uri).scheme)).redialled:
            return
        with anyio.move_on_after(PATIENCE):
            async with connected(place, reconnect=False) as client:
                found.extend(await list_tools(client))

    with contextlib.suppress(Exception):  # whatever it is, running the command will say it
        anyio.run(ask)
    return found
