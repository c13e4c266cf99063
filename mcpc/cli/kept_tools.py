"""What a server has told at a Tab, kept for the next one: to ask it again takes longer than a Tab may.

One file a server in the user's cache directory, which only the user can read. Its name is a digest of what was typed,
as an address may hold a secret, and it holds the names of tools and of their arguments alone. Whatever is wrong with
it, the server is asked. Imports nothing of the SDK, which is the point.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

__all__ = ["KEPT", "MAX_BYTES", "ToolNames", "keep", "kept"]

KEPT = 60.0
"""Seconds for which a list is taken for what the server has."""
MAX_BYTES = 1024 * 1024
"""Bytes of one list; a larger one is not kept."""

ToolNames = dict[str, list[str]]
"""The names of a server's tools, each with those of its arguments."""


def kept(server: str, params: Mapping[str, Any]) -> ToolNames | None:
    """What the server told a moment ago; None where it has to be asked.

    Args:
        server: The server, as it was typed.
        params: The options that were typed before.
    """
    with suppress(OSError, ValueError, RuntimeError):  # RecursionError is one of these
        path = _path(server, params)
        if 0 <= time.time() - path.stat().st_mtime < KEPT:
            return _checked(json.loads(path.read_text(encoding="utf-8")))
    return None


def keep(server: str, params: Mapping[str, Any], tools: ToolNames) -> None:
    """Keep what the server tells. Where that cannot be, nothing is kept.

    Args:
        server: The server, as it was typed.
        params: The options that were typed before.
        tools: What it told.
    """
    data = json.dumps(tools).encode()
    if not tools or len(data) > MAX_BYTES:
        return
    with suppress(OSError, RuntimeError):
        path = _path(server, params)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(path.parent)
        opened, name = tempfile.mkstemp(dir=path.parent)  # 0600
        try:
            with open(opened, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise


def _path(server: str, params: Mapping[str, Any]) -> Path:
    chosen = [params.get(name) or None for name in ("header", "token_env", "option", "config")]
    typed = [server, chosen, os.environ.get("MCPC_CONFIG"), os.getcwd()]
    digest = hashlib.sha256(json.dumps(typed, default=str).encode()).hexdigest()
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".cache"
    return base / "mcpc" / "tools" / f"{digest}.json"


def _checked(found: Any) -> ToolNames | None:
    """What was read, where it is a list of tools."""
    if not isinstance(found, dict):
        return None
    tools = cast("dict[str, Any]", found)
    return tools if all(_is_texts(names) for names in tools.values()) else None


def _is_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) for each in cast("list[Any]", found))


def _forget_old(directory: Path) -> None:
    for path in directory.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
