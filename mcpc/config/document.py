"""A configuration as it is written: from a file or a mapping to its servers. Knows nothing of what one server holds."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from mcpc.errors import ConfigError

__all__ = ["read_document"]

SECTIONS = (("mcpServers",), ("servers",), ("mcp", "servers"))
"""Where the servers stand: as Claude Desktop and FastMCP have it, a `mcp.json` of VS Code, its `settings.json`."""

COMMENTS = ("//", "/*", "#")


def read_document(source: "str | PathLike[str] | Mapping[str, Any]") -> tuple[str, dict[str, Any]]:
    """What the source is called in messages, and its servers by name.

    Raises:
        ConfigError: there is no such file, or it is not JSON, or has no servers.
    """
    if isinstance(source, Mapping):
        return "the configuration", _servers_of("the configuration", source)
    where = str(source)
    return where, _servers_of(where, _parsed(where, _text(Path(source))))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a mark
    except FileNotFoundError:
        raise ConfigError(f"there is no file {str(path)!r}") from None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text") from exc


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        hint = "; JSON has no comments" if text[exc.pos :].startswith(COMMENTS) else ""
        raise ConfigError(f"{where} is not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}{hint}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{where} is nested too deeply") from exc


def _servers_of(where: str, document: Any) -> dict[str, Any]:
    for section in SECTIONS:
        found = _inside(document, section)
        if found is None:
            continue
        if not isinstance(found, Mapping):
            raise ConfigError(f"{where}: {'.'.join(section)!r} must be an object, with a server for each name")
        return dict(cast("Mapping[str, Any]", found))
    raise ConfigError(f"{where} names no servers: it needs 'mcpServers' (or 'servers', as VS Code has it)")


def _inside(document: Any, section: tuple[str, ...]) -> Any:
    for name in section:
        if not isinstance(document, Mapping):
            return None
        document = cast("Mapping[str, Any]", document).get(name)
    return document
