"""What the end of a task costs, and whether it costs more where many end."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO", "ending"]


def ending(tasks: int) -> str:
    """How many end, in words."""
    return f"{tasks} tasks"


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for tasks in scale.endings:
        found += across("endings", {"mcpc": ("unix",)}, variant=ending(tasks), timeout=240, tasks=tasks)
    return found


SCENARIO = Scenario(
    "endings",
    "Tasks that end at once",
    "So many tasks wait for one gate and end when it opens; from then to the last message of the last one, for each.",
    (
        Metric("each_us", "for each", "µs", higher_is_better=False),
        Metric("client_cpu_us", "client CPU", "µs", higher_is_better=False),
        Metric("server_cpu_us", "server CPU", "µs", higher_is_better=False),
    ),
    _cases,
)
