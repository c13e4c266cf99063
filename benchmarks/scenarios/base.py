"""What a scenario is: a question, the cases that answer it, and the numbers that count."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.catalogue import Peer, peer_named

__all__ = ["Case", "Metric", "Scale", "Scenario", "across"]


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    seconds: float = 1.0
    """Of one throughput measurement."""
    sizes: tuple[int, ...] = (4096, 65536, 1024 * 1024)
    """Bytes of a message, besides 280."""
    connections: tuple[int, ...] = (100, 1000, 4000)
    endings: tuple[int, ...] = (1000, 30_000)
    result_size: int = 5_000_000
    results: int = 10
    first_calls: int = 5
    starts: int = 7
    held: int = 5000
    fanout: int = 1000
    idle: int = 500
    tasks: tuple[int, ...] = (1, 100, 10_000)
    task_messages: int = 50_000
    paced_messages: int = 15_000
    calls: int = 500
    events: int = 20
    latency_seconds: float = 2.5
    cuts: int = 8
    completions: int = 30
    updates: int = 1_000_000
    stored_channels: int = 10_000
    stored_tasks: int = 1000
    tailed: int = 1000
    unwatched_blocks: int = 10
    unwatched_tasks: int = 100


QUICK = Scale(
    seconds=0.15,
    sizes=(4096,),
    connections=(5,),
    endings=(20,),
    result_size=50_000,
    results=2,
    first_calls=1,
    starts=1,
    held=20,
    fanout=20,
    idle=20,
    tasks=(1, 10),
    task_messages=1000,
    paced_messages=100,
    calls=50,
    events=3,
    latency_seconds=0.2,
    cuts=2,
    completions=5,
    updates=1000,
    stored_channels=20,
    stored_tasks=5,
    tailed=5,
    unwatched_blocks=2,
    unwatched_tasks=10,
)


@dataclass(frozen=True)
class Metric:
    """A number among a script's results."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    divide_by: float = 1.0
    """From the script's unit to the one that is shown."""


@dataclass(frozen=True)
class Case:
    """One measurement: who, over what, with which parameters."""

    scenario: str
    peer: Peer
    transport: str
    variant: str = ""
    """What tells it from the others of this peer and transport: `4 KiB`, `1 000/s`, …"""
    job: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timeout: float = 120.0
    """Seconds after which it is given up."""

    @property
    def key(self) -> str:
        """Names it among all."""
        return " · ".join(filter(None, (self.scenario, self.peer.name, self.transport, self.variant)))

    def argument(self) -> dict[str, Any]:
        """The job that the script is called with."""
        fixed = {"scenario": self.scenario, "transport": self.transport}
        return {**self.peer.job_on(self.transport), **self.job, **fixed}


@dataclass(frozen=True)
class Scenario:
    """A question."""

    name: str
    title: str
    about: str
    """How it is measured."""
    metrics: tuple[Metric, ...]
    """The first is the one that is compared."""
    cases: Callable[[Scale], Iterable[Case]]


def across(
    scenario: str,
    pairs: Mapping[str, Iterable[str]],
    *,
    variant: str = "",
    timeout: float = 120.0,
    **job: Any,
) -> list[Case]:
    """Cases for several peers (names) and the transports of each; the same transport side by side."""
    found = [
        Case(scenario, peer_named(name), transport, variant, job, timeout)
        for name, transports in pairs.items()
        for transport in transports
    ]
    order = ("memory", "stdio", "unix", "tcp", "ws", "http", "sse")
    return sorted(found, key=lambda case: order.index(case.transport))
