"""How many callbacks a second many connections carry together."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across
from benchmarks.scenarios.throughput import METRICS

__all__ = ["SCENARIO"]

PAIRS = {"mcpc": ("unix", "ws", "http"), "mcp 1.30": ("ws", "http"), "mcp 2.3": ("http",)}


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for count in scale.connections:
        pairs = PAIRS if count == min(scale.connections) else {"mcpc": ("ws",)}
        job = {"seconds": scale.seconds, "size": 280, "connections": count}
        found += across("connections", pairs, variant=f"{count} connections", timeout=300, **job)
    return found


SCENARIO = Scenario(
    "connections",
    "Throughput of many connections",
    "One server process, one client process, one task on each connection; all begin together. The total.",
    (*METRICS, Metric("set_up_us", "client CPU of setting one up", "µs", higher_is_better=False)),
    _cases,
)
