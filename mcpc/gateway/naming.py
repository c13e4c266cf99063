"""The names that things of many servers have at one: the server's name, two underscores, and their own.

So no two are alike, whatever the servers call them. Knows nothing of what is named.
"""

import re
from collections.abc import Collection, Iterable

from mcpc.errors import ConfigError

__all__ = ["SEPARATOR", "divided", "prefix_of", "prefixed", "prefixes_of"]

SEPARATOR = "__"
"""Stands between a server's name and the name of what is its own."""

_OTHERS = re.compile(r"[^A-Za-z0-9_-]+")
"""What a tool's name cannot hold for every model."""


def prefix_of(name: str) -> str:
    """A server's name as tools can bear it: other characters than letters, digits, `_` and `-` become `_`."""
    return _OTHERS.sub("_", name)


def prefixes_of(names: Iterable[str]) -> dict[str, str]:
    """The prefix of each name.

    Raises:
        ConfigError: two of them could not be told apart.
    """
    found: dict[str, str] = {}
    for name in names:
        prefix = prefix_of(name)
        for other, taken in found.items():
            if _overlap(prefix, taken):
                raise ConfigError(
                    f"the servers {other!r} and {name!r} cannot be told apart by the names of their tools "
                    f"({taken}{SEPARATOR}… and {prefix}{SEPARATOR}…); give one of them another name"
                )
        found[name] = prefix
    return found


def _overlap(one: str, other: str) -> bool:
    return f"{one}{SEPARATOR}".startswith(f"{other}{SEPARATOR}") or f"{other}{SEPARATOR}".startswith(
        f"{one}{SEPARATOR}"
    )


def prefixed(prefix: str, name: str) -> str:
    """The name that `name` has at the gateway."""
    return f"{prefix}{SEPARATOR}{name}"


def divided(name: str, prefixes: Collection[str]) -> tuple[str, str] | None:
    """The prefix of a name, and the rest; None where no server has that prefix."""
    for prefix in prefixes:
        if name.startswith(f"{prefix}{SEPARATOR}"):
            return prefix, name[len(prefix) + len(SEPARATOR) :]
    return None
