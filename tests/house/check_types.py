"""How much of what the library shows has a type that a type checker knows: `python tests/house/check_types.py`.

Pyright looks at the packages as an installation has them; what packages of others leave untyped does not count.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT, ROOT / "transports", ROOT / "stores")

LEAST = 0.98
"""The part of the public symbols that must have a known type."""


def report(package: str) -> dict[str, Any]:
    """What `pyright --verifytypes` says."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--verifytypes", package, "--ignoreexternal"]
    path = os.pathsep.join((*map(str, SOURCES), sysconfig.get_path("purelib")))
    with tempfile.TemporaryDirectory() as elsewhere:  # in the project's folder pyright would take it for its own
        done = subprocess.run(
            [*command, "--pythonpath", sys.executable],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout)["typeCompleteness"]


def complaints(found: dict[str, Any]) -> list[str]:
    """The symbols whose type is not known, each with why."""
    return [
        f"{symbol['name']}: {problem['message']}"
        for symbol in found["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
        for problem in symbol["diagnostics"]
    ]


def main() -> None:
    """Say what is missing, and fail, where it is too much."""
    for package in ("mcpc", "mcpc_transports", "mcpc_stores"):
        found = report(package)
        score = found["completenessScore"]
        if score < LEAST or not found["exportedSymbolCounts"]["withKnownType"]:
            print("\n".join(complaints(found)))
            sys.exit(f"{package}: {score:.1%} of the public symbols have a type that is known; {LEAST:.0%} must have")


if __name__ == "__main__":
    main()
