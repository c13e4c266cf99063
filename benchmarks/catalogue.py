"""Who is compared: the peers, what each can carry callbacks over, and which of its ways to push is the fastest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import environments
from benchmarks.environments import Environment

__all__ = ["PEERS", "TRANSPORTS", "Peer", "peer_named"]

TRANSPORTS = ("memory", "stdio", "unix", "tcp", "ws", "http", "sse")


@dataclass(frozen=True)
class Peer:
    """One way to get callbacks across."""

    name: str
    about: str
    """What it does for each callback."""
    script: str
    """The client's script in `peers/`."""
    environment: Environment
    transports: tuple[str, ...]
    job: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the job says for this peer."""
    job_for: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """The same, for one transport."""
    limit: bool = False
    """Whether it is a limit, not a competitor: bytes without any protocol on top."""

    @property
    def is_external(self) -> bool:
        """Whether it needs an environment made for it."""
        return not self.environment.is_ours

    def job_on(self, transport: str) -> dict[str, Any]:
        """What the job says for this peer on a transport."""
        return {**self.job, **self.job_for.get(transport, {})}


PEERS = (
    Peer(
        "mcpc",
        "`await task.update(…)` to a sync listener: numbered, bounded, validated, replayable",
        "mcpc_client.py",
        environments.OURS,
        TRANSPORTS,
    ),
    Peer(
        "mcpc+uvloop",
        "the same on uvloop, both sides",
        "mcpc_client.py",
        environments.UVLOOP,
        TRANSPORTS,
        job={"uvloop": True},
    ),
    Peer(
        "mcpc+sqlite",
        "the same with a store in a SQLite file, which each message is in before it is shown",
        "mcpc_client.py",
        environments.OURS,
        ("tcp",),
        job={"store": "sqlite:{path}.db"},
    ),
    Peer(
        "mcpc+redis",
        "the same through a Redis: the task runs in a worker process, its client is connected to another process",
        "mcpc_client.py",
        environments.OURS,
        ("tcp",),
        job={"store": "redis:", "run": "worker"},
    ),
    Peer(
        "sdk-client",
        "`mcp.Client` on our transport and server: what our client adds to a call",
        "mcpc_client.py",
        environments.OURS,
        TRANSPORTS,
        job={"bare": True},
    ),
    Peer(
        "original 0.2.6",
        "mcpc 0.2.6 on mcp 1.6.0: the worker writes an unsolicited response to stdout",
        "original_client.py",
        environments.ORIGINAL,
        ("stdio",),
    ),
    Peer(
        "mcp 1.30",
        "log notifications (faster there than progress) to the session's logging callback",
        "mcp1_client.py",
        environments.MCP1,
        ("stdio", "ws", "http"),
        job={"notify": "log"},
    ),
    Peer(
        "mcp 2.3",
        "log notifications to the client's logging callback, opted in to, mode auto; in memory progress reports, "
        "which there are a direct call of the client's function",
        "mcp2_client.py",
        environments.MCP2,
        ("stdio", "http", "memory"),
        job={"notify": "log"},
        job_for={"memory": {"notify": "progress"}},
    ),
    Peer(
        "mcp 2.3 log",
        "log notifications in memory, for comparison with its progress reports",
        "mcp2_client.py",
        environments.MCP2,
        ("memory",),
        job={"notify": "log"},
    ),
    Peer(
        "mcp 2.3 streams",
        "mcp 2.3 in memory over its own streams of messages, in the era that ours speaks: a transport, but no bytes",
        "mcp2_client.py",
        environments.MCP2,
        ("memory",),
        job={"streams": True},
    ),
    Peer(
        "FastMCP 4",
        "progress reports to the client's progress handler",
        "fastmcp_client.py",
        environments.FASTMCP,
        ("http",),
    ),
    Peer(
        "FastMCP's Docket",
        "a task of Docket reports its progress as a message, a subscription in another process is told; neither "
        "numbered nor kept",
        "docket_client.py",
        environments.DOCKET,
        ("tcp",),
    ),
    Peer(
        "raw redis",
        "the limit of a Redis: XADD in one process, XREAD in another, through the client of our store; a batch of up "
        "to 512 messages an entry",
        "redis_client.py",
        environments.OURS,
        ("tcp",),
        limit=True,
    ),
    Peer(
        "raw",
        "the transport's limit: lines of bytes over asyncio, one write each, not decoded",
        "raw_client.py",
        environments.OURS,
        ("stdio", "unix", "tcp"),
        limit=True,
    ),
    Peer(
        "websockets",
        "the limit of a WebSocket in Python: one text frame a message, not decoded; `broadcast` in the fan-out",
        "websockets_client.py",
        environments.OURS,
        ("ws",),
        limit=True,
    ),
    Peer(
        "mcpc, thin clients",
        "our server, and the receivers of `websockets` in place of our clients: the servers differ and nothing else",
        "websockets_client.py",
        environments.OURS,
        ("ws",),
        job={"target": "mcpc"},
    ),
)


def peer_named(name: str) -> Peer:
    """The peer of that name.

    Raises:
        KeyError: there is none.
    """
    return next((peer for peer in PEERS if peer.name == name), None) or _unknown(name)


def _unknown(name: str) -> Peer:
    raise KeyError(f"no peer {name!r}; there are: {', '.join(peer.name for peer in PEERS)}")
