"""How long a server that was killed takes to its first answer, with what it finds in its store."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["EMPTY", "SCENARIO", "found"]

EMPTY = "nothing in the store"


def found(channels: int, tasks: int) -> str:
    """What the server finds, in words."""
    return f"{channels} channels, {tasks} running tasks"


def _cases(scale: Scale) -> list[Case]:
    pairs = {"mcpc+sqlite": ("tcp",)}
    full = {"connections": scale.stored_channels, "tasks": scale.stored_tasks}
    return [
        *across("restart", pairs, variant=EMPTY, connections=0, tasks=0),
        *across("restart", pairs, variant=found(scale.stored_channels, scale.stored_tasks), timeout=300, **full),
    ]


SCENARIO = Scenario(
    "restart",
    "A restart with a full store",
    "The store is as a process leaves it that was killed: channels with ten messages each, and tasks that run, "
    "spread over them. A new process is started; from then to the answer to its first tool call, the start of Python "
    "included. The tasks are orphans, and end once.",
    (Metric("milliseconds", "to the first answer", "ms", higher_is_better=False),),
    _cases,
)
