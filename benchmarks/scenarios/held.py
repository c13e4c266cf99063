"""What a task costs the server in memory, while it runs and after its end."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["ENDED", "RUNNING", "SCENARIO"]

RUNNING = "that run"
ENDED = "that have ended"


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for variant in (RUNNING, ENDED):
        found += across("held", {"mcpc": ("unix",)}, variant=variant, timeout=240, tasks=scale.held, held=variant)
    return found


SCENARIO = Scenario(
    "held",
    "Memory of a task",
    "Resident memory of the server process before and after so many tasks, divided by their number. Those that run "
    "all wait for the same; those that have ended did so one after the other, with a number for a result, and are all "
    "remembered.",
    (Metric("bytes", "KiB a task", "KiB", higher_is_better=False, divide_by=1024),),
    _cases,
)
