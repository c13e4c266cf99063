"""The servers of a configuration, by name: all of them, or one."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from mcpc.config.document import read_document
from mcpc.config.entry import NamedServer, entry_of

__all__ = ["named_server", "named_servers"]


def named_servers(source: "str | PathLike[str] | Mapping[str, Any]") -> list[NamedServer]:
    """Every server of a configuration, in its order.

    Args:
        source: The file, or what such a file holds.

    Raises:
        ConfigError: it cannot be read. (What is wrong with one server is said when that one is used.)
    """
    where, entries = read_document(source)
    return [NamedServer(name, where, entry) for name, entry in entries.items()]


def named_server(source: "str | PathLike[str] | Mapping[str, Any]", name: str | None = None) -> NamedServer:
    """One server of a configuration.

    Args:
        source: The file, or what such a file holds.
        name: Its name there; None for the only one.

    Raises:
        ConfigError: it cannot be read, or has no such server.
    """
    where, entries = read_document(source)
    return entry_of(where, entries, name)
