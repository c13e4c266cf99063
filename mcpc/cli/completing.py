"""What the shell offers at the Tab key: schemes, addresses, and the tools and arguments that a server tells of."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mcpc.cli.config_file import configuration
from mcpc.cli.kept_tools import ToolNames, keep, kept
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc import uri
    from mcpc.cli import naming, offering, schemas
else:
    uri = later("mcpc.uri")
    naming = later("mcpc.cli.naming")
    offering = later("mcpc.cli.offering")
    schemas = later("mcpc.cli.schemas")

__all__ = ["complete_address", "complete_call", "complete_scheme", "complete_server"]

BREAKS = (":", "=")
"""Where bash breaks words; the signs are words of their own then."""


def complete_scheme(incomplete: str) -> list[str]:
    """The schemes there are."""
    return [scheme for scheme in uri.schemes() if scheme.startswith(incomplete)]


def complete_address(incomplete: str) -> list[str]:
    """An address on this machine for each scheme that it may be; what it looks like only the transport itself knows."""
    scheme, colon, _ = incomplete.partition(":")
    if not incomplete:
        return [f"{known}:" for known in uri.schemes()]
    meant = [known for known in uri.schemes() if (known == scheme if colon else known.startswith(scheme))]
    return [address for known in meant if (address := uri.example_of(known)).startswith(incomplete)]


def complete_server(ctx: typer.Context, incomplete: str) -> list[str]:
    """The servers of the configuration, and addresses."""
    chosen = ctx.params.get("config")
    names = [] if configuration(chosen) is None else naming.known_names(chosen)
    return [*(name for name in names if name.startswith(incomplete)), *complete_address(incomplete)]


def complete_call(ctx: typer.Context, incomplete: str) -> list[str]:
    """The tools of the server at the address that was typed; after the tool, its arguments."""
    typed = [ctx.params.get("uri"), ctx.params.get("tool"), *(ctx.params.get("arguments") or ())]
    before = [ctx.params.get("server"), *typed]
    words = _rejoined([word for word in (*before, incomplete) if isinstance(word, str)])
    if words[-1] != incomplete or len(words) < 2:
        return []  # within a word that bash has broken
    tools = _tools(words[0], ctx.params)
    if len(words) == 2:
        return [name for name in tools if name.startswith(incomplete)]
    given = {word.partition("=")[0] for word in words[2:-1]}
    names = tools.get(words[1], [])
    return [f"{name}=" for name in names if name.startswith(incomplete) and name not in given]


def _tools(server: str, params: Mapping[str, Any]) -> ToolNames:
    """The tools of a server: what it told a moment ago, or what it tells."""
    if (known := kept(server, params)) is not None:
        return known
    tools = {tool.name: list(schemas.properties_of(tool.input_schema)) for tool in offering.tools_at(server, params)}
    keep(server, params, tools)
    return tools


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
