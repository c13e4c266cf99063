"""On which terms a task is begun: where it runs, and what becomes of it if its process dies. Plain values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcpc.stored import OnInterrupt

__all__ = ["Terms"]


@dataclass(frozen=True)
class Terms:
    """What a store is told of a new task."""

    arguments: dict[str, Any] | None = None
    """What its tool is called with, as JSON values; None where it never runs again or elsewhere."""
    on_interrupt: "OnInterrupt" = "fail"
    max_attempts: int = 3
    """How often it is begun at the most."""
    handle_after: float | None = None
    """Seconds after which a plain caller is given a handle; None where it waits for the end."""
    is_elsewhere: bool = False
    """Whether a worker process runs it, and not the server that was called."""
