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
    "Calls of an async tool that adds two numbers, one after the other. In memory a client, ours or the SDK's, is "
    "given the server itself and makes no JSON-RPC. The SDK's own streams do; `sdk-client` goes over `memory:`.",
    (
        Metric("p50", "p50", "µs", higher_is_better=False),
        Metric("p99", "p99", "µs", higher_is_better=False),
    ),
    _cases,
)
