"""What a plain tool call costs through us, beside the SDK alone."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

PAIRS = {
    "mcpc": ("memory", "stdio", "unix", "tcp", "ws", "http", "sse"),
    "sdk-client": ("memory", "stdio", "unix", "tcp", "ws", "http"),
    "mcp 2.3": ("memory", "stdio", "http"),
    "mcp 2.3 streams": ("memory",),
    "mcp 1.30": ("stdio", "ws", "http"),
    "original 0.2.6": ("stdio",),
    "FastMCP 4": ("http",),
}


def _cases(scale: Scale) -> list[Case]:
    return across("roundtrip", PAIRS, count=scale.calls)


SCENARIO = Scenario(
    "roundtrip",
    "Round trip of a plain tool call",
    "Calls of an async tool that adds two numbers, one after the other. The SDK's in-memory client calls the server's "
    "functions and makes no JSON-RPC, unless told to use its streams; ours goes through frames of bytes.",
    (
        Metric("p50", "p50", "µs", higher_is_better=False),
        Metric("p99", "p99", "µs", higher_is_better=False),
    ),
    _cases,
)
