"""Who meets our server, in what environment, and what is seen: and the table of the page."""

import json
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from locked_kit import ELSEWHERE, LOCKS, Locked, NodeFolder, node

__all__ = [
    "COLUMNS",
    "NODE_FOLDER",
    "PAGE",
    "PEERS",
    "Peer",
    "Seen",
    "page_with",
    "rows_of",
    "serving_matrix",
    "table_of",
]

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "peers" / "matrix"
PAGE = ROOT / "docs" / "ecosystem.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"
NODE_FOLDER = NodeFolder("matrix-node", HERE / "node")

COLUMNS = {
    "result": "result",
    "updates": "updates",
    "question": "is asked",
    "failure": "failure",
    "stop": "stop",
    "companions": "with companion tools",
}
"""What is tried, and its name in the table."""

CELLS = {True: "yes", False: "no"}
"""What a cell of the table says; a client that sees something in between says it in words."""

Seen = Mapping[str, str]
"""The cell of each column."""


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
        lock = ROOT / "requirements-dev.lock" if self.lock is None else LOCKS / f"{self.lock}.lock"
        found = re.search(rf"^{re.escape(self.package)}==(\S+)$", lock.read_text(), re.MULTILINE)
        assert found is not None, f"{lock} has no {self.package}"
        return found.group(1)

    def run(self, uri: str) -> Seen:
        """Let it meet a server; what was seen."""
        folder = NODE_FOLDER.ready() if self.is_node else HERE
        argv = [self._interpreter(), self.program]
        argv += [*self.arguments, uri] if self.is_node else [uri, *self.arguments]
        done = subprocess.run(argv, cwd=folder, env=ELSEWHERE, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        print(self.name, done.stderr[-2000:])
        found: dict[str, bool | str] = json.loads(done.stdout.strip().splitlines()[-1])
        return {column: cell if isinstance(cell, str) else CELLS[cell] for column, cell in found.items()}

    def _interpreter(self) -> str:
        if self.is_node:
            return str(node())
        return sys.executable if self.lock is None else Locked.of(self.lock).ready()


PEERS = (
    Peer("Python SDK, version 1", "mcp", "client_mcp1.py", lock="mcp1"),
    Peer("Python SDK, version 2", "mcp", "client_mcp2.py", ("auto",)),
    Peer("Python SDK, version 2, older era", "mcp", "client_mcp2.py", ("legacy",)),
    Peer("FastMCP", "fastmcp", "client_fastmcp.py"),
    Peer("FastMCP's tasks", "fastmcp-tasks", "client_fastmcp_tasks.py", lock="fastmcp_tasks"),
    Peer("pydantic-ai", "pydantic-ai-slim", "client_pydantic_ai.py", lock="pydantic_ai"),
    Peer("openai-agents", "openai-agents", "client_openai_agents.py", lock="openai_agents"),
    Peer("langchain-mcp-adapters", "langchain-mcp-adapters", "client_langchain.py", lock="langchain"),
    Peer("LlamaIndex", "llama-index-tools-mcp", "client_llama_index.py", lock="llama_index"),
    Peer("google-adk", "google-adk", "client_google_adk.py", lock="google_adk"),
    Peer("TypeScript SDK, version 1", "@modelcontextprotocol/sdk", "client.mjs", ("ts1",)),
    Peer("TypeScript SDK, version 2", "@modelcontextprotocol/client", "client.mjs", ("ts2",)),
    Peer("the tasks extension's client", "@modelcontextprotocol/ext-tasks", "client.mjs", ("ext-tasks",)),
    Peer("AI SDK", "@ai-sdk/mcp", "client.mjs", ("ai-sdk",)),
)


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
        rows.append([peer.name, f"{peer.package} {peer.version}", *(found[column] for column in COLUMNS)])
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
