"""How many callbacks a second many connections carry together."""

from benchmarks.scenarios.base import Case, Scale, Scenario, across
from benchmarks.scenarios.throughput import METRICS

__all__ = ["SCENARIO"]

PAIRS = {"mcpc": ("unix", "ws", "http"), "mcp 1.30": ("ws", "http"), "mcp 2.3": ("http",)}


def _cases(scale: Scale) -> list[Case]:
    variant = f"{scale.connections} connections"
    job = {"seconds": scale.seconds, "size": 280, "connections": scale.connections}
    return across("connections", PAIRS, variant=variant, timeout=240, **job)


SCENARIO = Scenario(
    "connections",
    "Throughput of many connections",
    "One server process, one client process, one task on each connection; all begin together. The total.",
    METRICS,
    _cases,
)
