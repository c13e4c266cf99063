"""What an idle connection costs the server in memory."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

PAIRS = {"mcpc": ("unix", "ws"), "mcp 1.30": ("ws",), "websockets": ("ws",), "mcp 2.3": ("memory",)}


def _cases(scale: Scale) -> list[Case]:
    variant = f"{scale.idle} connections"
    return across("memory", PAIRS, variant=variant, timeout=240, connections=scale.idle)


SCENARIO = Scenario(
    "memory",
    "Memory of an idle connection",
    "Resident memory of the server process before and after, divided by the number of connections. Ours listen for "
    "callbacks meanwhile. mcp 2.3 has no WebSocket server: its row is the SDK's server loop alone, over memory "
    "streams, which every connection of ours holds too.",
    (Metric("bytes", "KiB a connection", "KiB", higher_is_better=False, divide_by=1024),),
    _cases,
)
