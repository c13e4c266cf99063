"""What the shell offers at the Tab key: schemes, addresses, and the tools and arguments that a server tells of."""

import contextlib
from collections.abc import Sequence
from typing import Any

import anyio
import typer
from mcp_types import Tool

from mcpc.cli.common import connect_options
from mcpc.cli.toolset import list_tools
from mcpc.client import Client
from mcpc.uri import schemes

__all__ = ["complete_address", "complete_call", "complete_scheme"]

PATIENCE = 2.0
"""Seconds that a server has to say what its tools are; more would feel like a shell that hangs."""

HERE = {"stdio": "stdio:", "memory": "memory://", "unix": "unix:///tmp/mcp.sock", "tcp": "tcp://127.0.0.1:8765"}
"""An address on this machine, for the schemes that do not look like ws://127.0.0.1:8765/mcp."""

BREAKS = (":", "=")
"""Where bash breaks words; the signs are words of their own then."""


def complete_scheme(incomplete: str) -> list[str]:
    """The schemes there are."""
    return [scheme for scheme in schemes() if scheme.startswith(incomplete)]


def complete_address(incomplete: str) -> list[str]:
    """An address on this machine for each scheme."""
    addresses = [HERE.get(scheme, f"{scheme}://127.0.0.1:8765/mcp") for scheme in schemes()]
    return [address for address in addresses if address.startswith(incomplete)]


def complete_call(ctx: typer.Context, incomplete: str) -> list[str]:
    """The tools of the server at the address that was typed; after the tool, its arguments."""
    before = [ctx.params.get("uri"), ctx.params.get("tool"), *(ctx.params.get("arguments") or ())]
    words = _rejoined([word for word in (*before, incomplete) if isinstance(word, str)])
    if words[-1] != incomplete or len(words) < 2:
        return []  # within a word that bash has broken
    tools = _tools_at(words[0], ctx.params)
    if len(words) == 2:
        return [tool.name for tool in tools if tool.name.startswith(incomplete)]
    given = {word.partition("=")[0] for word in words[2:-1]}
    names: list[str] = [
        name for tool in tools if tool.name == words[1] for name in tool.input_schema.get("properties") or ()
    ]
    return [f"{name}=" for name in names if name.startswith(incomplete) and name not in given]


def _rejoined(words: Sequence[str]) -> list[str]:
    """The words as they were typed, where bash has broken them."""
    if not any(word in BREAKS for word in words):
        return list(words)
    whole: list[str] = []
    for word in words:
        if whole and (word in BREAKS or whole[-1].endswith(BREAKS)):
            whole[-1] += word
        else:
            whole.append(word)
    return whole


def _tools_at(uri: str, params: dict[str, Any]) -> list[Tool]:
    """The tools of a server; none where it does not tell, and none of a command that would have to be run."""
    if uri.startswith("stdio:"):
        return []
    found: list[Tool] = []

    async def ask() -> None:
        options = connect_options(uri, params.get("header"), params.get("token_env"), params.get("option"))
        with anyio.move_on_after(PATIENCE):
            async with Client(uri, provider="mcpc-cli", reconnect=False, **options) as client:
                found.extend(await list_tools(client))

    with contextlib.suppress(Exception):  # whatever it is, running the command will say it
        anyio.run(ask)
    return found
