"""What a store's file takes on disk."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    variant = f"{scale.updates} updates"
    return across("disk", {"mcpc+sqlite": ("tcp",)}, variant=variant, timeout=300, count=scale.updates, size=280)


SCENARIO = Scenario(
    "disk",
    "Size on disk",
    "One task sends so many updates of 280 bytes, all of which its client reads; then the sizes of the store's file "
    "and of the journal beside it. A channel keeps its newest 10 000 messages.",
    (
        Metric("file", "file", "MiB", higher_is_better=False, divide_by=1 << 20),
        Metric("journal", "journal", "MiB", higher_is_better=False, divide_by=1 << 20),
    ),
    _cases,
)
