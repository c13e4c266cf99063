"""A client of a server by its name in a configuration: the address and the options come from there."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

from mcpc.config import named_server

__all__ = ["Configured"]


class Configured:
    """What clients have that are made of an address and options."""

    @classmethod
    def from_config(
        cls, source: "str | PathLike[str] | Mapping[str, Any]", name: str | None = None, **options: Any
    ) -> Self:
        """A client of a server by its name in a configuration (`mcpServers`, or `servers` as VS Code has it).

        `${NAME}` and `${NAME:-default}` in it are replaced from the environment. A command is run, so read only files
        that you trust as you trust programs.

        Args:
            source: The file, or what such a file holds.
            name: The server's name there; None for the only one.
            options: What the client takes besides; they win over those of the configuration.

        Raises:
            ConfigError: it cannot be read or has no such server, or a variable is missing.
            URIError, TypeError: see the client.
        """
        found = named_server(source, name)
        make: Any = cls
        return make(found.uri, **{**found.options, **options})
