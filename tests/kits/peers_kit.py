"""What the tests with other people's clients and servers share.

Run as a program it makes all that they need, or says what cannot be had.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmarks.environments import Environment, EnvironmentFailed
from locked_kit import WORK, Locked, NodeFolder, pins
from matrix_kit import NODE_FOLDER, PEERS

__all__ = ["AGENTS", "ONLY_BY_MAKE_PEERS", "ORIGINALS", "WEBSOCKET_FOLDER", "WRITES", "original"]

ROOT = Path(__file__).resolve().parents[2]
WANTED = os.environ.get("MCPC_PEERS", "")

ONLY_BY_MAKE_PEERS = pytest.mark.skipif(not WANTED, reason="run by `make peers`")
"""For a test that fetches packages of its own."""

WRITES = WANTED == "write"
"""Whether the table is made anew, and not compared: `make ecosystem`."""

AGENTS = ("pydantic_ai", "openai_agents", "langgraph")
"""Frameworks whose agents live with a task."""

ORIGINALS = ("0.2.1", "0.2.6")
"""Versions of the original mcpc that are met."""

WEBSOCKET_FOLDER = NodeFolder("websocket-node", ROOT / "tests" / "peers" / "node")


def original(version: str) -> str:
    """The Python of an environment that has an original mcpc."""
    environment = Environment(
        f"mcpc-{version}-{sys.version_info.major}.{sys.version_info.minor}",
        # It asks for Python 3.12 in its metadata and runs on 3.11.
        (("--no-deps", *pins("originals")), ("--no-deps", "--ignore-requires-python", f"mcpc=={version}")),
    )
    environment.make(WORK)
    return environment.python(WORK)


def _make_all() -> Generator[str]:
    for lock in sorted({peer.lock for peer in PEERS if peer.lock}):
        Locked.of(lock).ready()
        yield lock
    for agent in AGENTS:
        Locked.of(f"agent_{agent}", beside=True).ready()
        yield f"agent_{agent}"
    for version in ORIGINALS:
        original(version)
        yield f"mcpc {version}"
    for folder in (NODE_FOLDER, WEBSOCKET_FOLDER):
        folder.ready()
        yield folder.name


def main() -> None:
    """Make all environments."""
    try:
        for made in _make_all():
            print(f"ready: {made}", flush=True)
    except EnvironmentFailed as exc:
        sys.exit(f"error: {exc}")


if __name__ == "__main__":
    main()
