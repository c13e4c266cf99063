"""How long a callback takes, from the sending in the server to the call of the listener."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["LOADED", "SCENARIO", "UNLOADED"]

UNLOADED = "50/s"
LOADED = "1 000/s"

PAIRS = {
    "mcpc": ("memory", "stdio", "unix", "tcp", "ws", "http", "sse"),
    "mcpc+sqlite": ("tcp",),
    "mcpc+redis": ("tcp",),
    "mcpc+uvloop": ("stdio", "unix", "ws", "http"),
    "original 0.2.6": ("stdio",),
    "mcp 1.30": ("stdio", "ws", "http"),
    "mcp 2.3": ("memory", "stdio", "http"),
    "FastMCP 4": ("http",),
    "FastMCP's Docket": ("tcp",),
    "raw redis": ("tcp",),
    "raw": ("stdio", "unix", "tcp"),
    "websockets": ("ws",),
}


def _cases(scale: Scale) -> list[Case]:
    slow = max(10, round(50 * scale.latency_seconds))
    fast = max(50, round(1000 * scale.latency_seconds))
    return [
        *across("latency", PAIRS, variant=UNLOADED, rate=50, count=slow, size=280),
        *across("latency", PAIRS, variant=LOADED, rate=1000, count=fast, size=280),
    ]


SCENARIO = Scenario(
    "latency",
    "Latency of a callback",
    "The sender puts the time into the message, the listener compares it with its own: one clock for all processes "
    "of the machine. Unloaded is 50 messages a second.",
    (
        Metric("p50", "p50", "µs", higher_is_better=False),
        Metric("p99", "p99", "µs", higher_is_better=False),
    ),
    _cases,
)
