"""What an operator sees of what a server holds: metrics that are read when they are asked for, by `opentelemetry-api`.

Each is the sum over the servers of this process: of one name there is one instrument. Nothing is counted for them that
is not counted anyway, so they cost nothing where nobody reads them. A server that is gone takes its numbers along.
"""

import threading
import weakref
from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from mcpc.server.workshop import Workshop

__all__ = ["show"]

SCOPE = "mcpc"
"""The name of the instrumentation scope."""

Reading = Callable[[Workshop], int]

COUNTERS: dict[str, tuple[str, str, Reading]] = {
    "mcpc.messages.logged": ("{message}", "Messages put into channels' logs", lambda w: w.journals.traffic.messages),
    "mcpc.messages.evicted": ("{message}", "Messages that logs let go of", lambda w: w.journals.traffic.evicted),
    "mcpc.gaps": ("{gap}", "Times that a listener was told of a gap", lambda w: w.journals.traffic.gaps),
    "mcpc.tasks.refused": ("{task}", "Tasks not begun at a bound", lambda w: w.tasks_taken.shares.refused),
    "mcpc.channels.refused": ("{channel}", "Channels not opened at a bound", lambda w: w.journals.taken.shares.refused),
}
"""What only grows: unit, description, and how it is read."""

LEVELS: dict[str, tuple[str, str, Reading]] = {
    "mcpc.channels.open": ("{channel}", "Channels that are known", lambda w: len(w.journals)),
    "mcpc.messages.unsent": ("{message}", "Messages that no listener was sent yet", lambda w: w.journals.unsent),
    "mcpc.messages.kept": ("By", "Messages kept for all channels", lambda w: w.journals.bytes),
    "mcpc.inputs.waiting": ("By", "Inputs that wait for tasks", lambda w: w.inputs_taken.shares.taken),
}
"""What goes up and down."""

_shown: "weakref.WeakSet[Workshop]" = weakref.WeakSet()
_lock = threading.Lock()
_made: list[object] = []
"""The instruments, once they are made."""


def show(workshop: Workshop) -> None:
    """Let the metrics count this server in, for as long as it is there."""
    with _lock:
        _shown.add(workshop)
        if not _made:
            _made.extend(_instruments())


def _instruments() -> Iterable[object]:
    meter = metrics.get_meter(SCOPE)
    for name, (unit, description, read) in COUNTERS.items():
        yield meter.create_observable_counter(name, [_sum(read)], unit, description)
    for name, (unit, description, read) in LEVELS.items():
        yield meter.create_observable_up_down_counter(name, [_sum(read)], unit, description)


def _sum(read: Reading) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        with _lock:
            workshops = list(_shown)
        return [Observation(sum(map(read, workshops)))] if workshops else []

    return observe
