"""What it costs when the messages come from many tasks."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for tasks in scale.tasks:
        variant = f"{tasks} task{'s' if tasks > 1 else ''}"
        job = {"tasks": tasks, "count": scale.task_messages, "size": 280}
        found += across("tasks", {"mcpc": ("memory", "unix", "ws")}, variant=variant, timeout=240, **job)
    job = {"tasks": min(50, max(scale.tasks)), "rate": 100, "size": 280, "count": scale.paced_messages}
    found += across("tasks", {"mcpc": ("unix",)}, variant="50 tasks at 100/s", timeout=240, **job)
    return found


SCENARIO = Scenario(
    "tasks",
    "Many tasks",
    "The same number of messages in all, on one connection, from 1, 100 or 10 000 tasks that begin together; "
    "and from 50 that send at a pace.",
    (
        Metric("rate", "callbacks/s", "/s", higher_is_better=True),
        Metric("cpu_us", "CPU of both", "µs", higher_is_better=False),
        Metric("starts", "tasks started/s", "/s", higher_is_better=True),
    ),
    _cases,
)
