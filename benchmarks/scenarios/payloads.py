"""What larger messages cost."""

from benchmarks.scenarios.base import Case, Scale, Scenario, across
from benchmarks.scenarios.throughput import METRICS

__all__ = ["SCENARIO", "size_name"]

PAIRS = {
    "mcpc": ("memory", "stdio", "unix", "ws", "http"),
    "original 0.2.6": ("stdio",),
    "mcp 1.30": ("stdio", "ws"),
    "mcp 2.3": ("stdio", "http"),
    "raw": ("stdio", "unix"),
    "websockets": ("ws",),
}


def size_name(size: int) -> str:
    """Bytes as a person writes them."""
    return f"{size // 1024} KiB" if size >= 1024 and size % 1024 == 0 else f"{size} B"


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for size in scale.sizes:
        found += across("payloads", PAIRS, variant=size_name(size), size=size, seconds=scale.seconds)
    return found


SCENARIO = Scenario(
    "payloads",
    "Larger messages",
    "As the throughput of one connection, with messages of other sizes.",
    METRICS,
    _cases,
)
