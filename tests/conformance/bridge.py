"""Runs the official conformance suite through our bridge: HTTP -> a transport -> the SDK's own everything-server.

The server comes with the SDK's source distribution, of the version installed here. Scenarios of the tasks
extension are not counted: this server has no tasks.

    python tests/conformance/bridge.py [direct | ws | unix | tcp | stdio | http …]
"""

import json
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream
from run import EVERYTHING, MAIN, WORK, install, node_commands
from summary import Row, report

import mcpc
from mcpc.uri import resolve, transport_options

REVISIONS = {"2025-11-25": 84, "2026-07-28": 152}
"""The revisions of the specification, and how many checks the server passes without a bridge."""

LISTEN = "http://127.0.0.1:0/mcp"
ROUTES = ("direct", "ws", "unix", "tcp", "stdio", "http")
SERVING = str(Path(__file__).parent / "everything.py")


def everything_server() -> Path:
    """The directory of the everything-server, fetched once."""
    name = f"mcp-{version('mcp')}"
    home = WORK / name / "examples" / "servers" / "everything-server"
    if not home.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "mcp"]
        subprocess.run([*pip, name.replace("-", "=="), "-d", str(WORK)], check=True, stdout=DEVNULL)
        with tarfile.open(WORK / f"{name}.tar.gz") as archive:
            archive.extractall(WORK, filter="data")
    return home


@asynccontextmanager
async def process(*command: str, cwd: Path | None = None) -> AsyncGenerator[str]:
    """A server in a process of its own, and the first line that it says."""
    async with await anyio.open_process(command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd=cwd) as child:
        try:
            line = ""
            assert child.stdout is not None
            with anyio.fail_after(60):
                while "\n" not in line:
                    line += await TextReceiveStream(child.stdout).receive()
            yield line.strip()
        finally:
            child.terminate()


@asynccontextmanager
async def served(route: str, home: Path) -> AsyncGenerator[str]:
    """The address for the suite: of the server, or of a bridge to it."""
    if route in ("direct", "http"):
        async with process(sys.executable, EVERYTHING, str(home)) as uri:
            if route == "direct":
                yield uri
                return
            async with mcpc.bridging(LISTEN, uri, **listening(home)) as listener:
                yield listener.uri
        return
    with tempfile.TemporaryDirectory() as folder:
        addresses = {"ws": "ws://127.0.0.1:0/mcp", "tcp": "tcp://127.0.0.1:0", "unix": f"unix://{folder}/s.sock"}
        if route == "stdio":
            behind = f"stdio:{sys.executable} {SERVING} {home} stdio:"
            async with mcpc.bridging(LISTEN, behind, **listening(home)) as listener:
                yield listener.uri
            return
        async with (
            process(sys.executable, SERVING, str(home), addresses[route]) as uri,
            mcpc.bridging(LISTEN, uri, **listening(home)) as listener,
        ):
            yield listener.uri


def listening(home: Path) -> dict[str, Any]:
    """How the bridge listens: as the server itself does, with events kept and calls that are polled for."""
    if "event_store" not in transport_options(resolve("http"), "listen"):
        return {}
    sys.path.insert(0, str(home))
    store = import_module("mcp_everything_server.server").InMemoryEventStore()
    logging.getLogger().setLevel(logging.WARNING)  # the module has had everything told
    # The server closes the stream of one of its calls itself; over frames nothing can say so, so the bridge does.
    return {"poll_after": 0.1, "listen_options": {"event_store": store, "retry_interval": 100}}


async def run_suite(node: list[str], uri: str, revision: str, output: Path) -> Counter[str]:
    """Run what a revision requires; how many checks ended how."""
    shutil.rmtree(output, ignore_errors=True)
    command = [*node, str(MAIN), "server", "--url", uri, "--requirements", revision, "--output-dir", str(output)]
    with anyio.fail_after(300):
        await anyio.run_process(command, check=False, cwd=WORK, stderr=subprocess.STDOUT)
    return count_checks(output)


def count_checks(output: Path) -> Counter[str]:
    """How many checks in the suite's output ended how. Failed ones are printed."""
    counts: Counter[str] = Counter()
    for found in sorted(output.rglob("checks.json")):
        if found.parent.name.startswith("server-tasks-"):
            continue
        for check in json.loads(found.read_text()):
            counts[check["status"]] += 1
            if check["status"] == "FAILURE":
                print(f"  {found.parent.name}: {check['id']}: {check.get('errorMessage')}")
    return counts


async def main(routes: list[str]) -> int:
    """Run the suite by each route; 1 where one has fewer checks than the server by itself."""
    node, npm = node_commands()
    install(npm)
    home, rows = everything_server(), list[Row]()
    for route in routes or ROUTES:
        for revision, expected in REVISIONS.items():
            # A fresh server for each revision, as the suite changes what it lists.
            async with served(route, home) as uri:
                counts = await run_suite(node, uri, revision, WORK / "results" / f"bridge-{route}-{revision}")
            what = "everything-server" if route == "direct" else f"through a bridge, HTTP to {route}"
            rows.append(Row(what, revision, counts, expected))
            print(f"{route}, {revision}: {counts['SUCCESS']} of {expected}", flush=True)
    return report(rows)


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1:]))
