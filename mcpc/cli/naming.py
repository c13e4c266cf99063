"""Servers by name, as the commands take them: which configuration is meant, and which server of it."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

import mcpc
from mcpc.cli.addresses import address_of
from mcpc.cli.config_file import configuration

__all__ = ["known_names", "meant", "where", "where_and_what"]


def known_names(chosen: "Path | str | None") -> list[str]:
    """The servers that can be named; none where the configuration cannot be read."""
    path = configuration(chosen)
    with contextlib.suppress(mcpc.ConfigError):
        return [] if path is None else [server.name for server in mcpc.named_servers(path)]
    return []


def meant(text: str, chosen: "Path | str | None") -> tuple[str, dict[str, Any], Path | None]:
    """The address that was typed or named, the options that belong to it, and the configuration they are from.

    Raises:
        ConfigError: the configuration cannot be read, or has no such server.
        UserMistake: it is neither a name nor an address.
    """
    path = configuration(chosen)
    if path is None or not (_is_name(text) or (chosen and text in known_names(path))):
        return address_of(text), {}, None
    server = mcpc.named_server(path, text)
    return server.uri, server.options, path.absolute()


def _is_name(text: str) -> bool:
    """Whether it can be no address: that has a colon, and a file of a server ends in .py."""
    return ":" not in text and not text.endswith(".py")


def where(uri: str | None, server: str | None) -> str:
    """Where the server is: at the address, or by the name in `--server`.

    Raises:
        BadParameter: neither says it, or both do.
    """
    if server is not None and uri is not None:
        raise typer.BadParameter("give an address or --server, not both", param_hint="URI")
    found = server or uri
    if not found:
        raise typer.BadParameter("say where the server is, or give --server NAME", param_hint="URI")
    return found


def where_and_what(server: str | None, words: Sequence[str | None]) -> tuple[str, str, list[str]]:
    """Where the server is, the tool, and its arguments: with `--server` no word says where.

    Raises:
        BadParameter: one of the first two is missing.
    """
    typed = [word for word in words if word is not None]
    place = server or (typed.pop(0) if typed else None)
    if place is None:
        raise typer.BadParameter("say where the server is, or give --server NAME", param_hint="URI")
    if not typed:
        raise typer.BadParameter("say which tool", param_hint="TOOL")
    return place, typed[0], typed[1:]
