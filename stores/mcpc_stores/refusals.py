"""What several stores refuse in the same words."""

from mcpc.errors import TooManyTasks

__all__ = ["principal_full", "queue_full"]


def queue_full(limit: int) -> TooManyTasks:
    """As many tasks of a tool wait for a worker as may."""
    text = f"{limit} tasks of this tool wait for a worker, which is the limit (max_queued); try again later"
    return TooManyTasks(text, limit="max_queued", value=limit)


def principal_full(limit: int) -> TooManyTasks:
    """As many tasks of a principal have not ended as may."""
    text = f"{limit} tasks of this principal run, which is the limit; try again when one has ended"
    return TooManyTasks(text, limit="max_tasks_per_principal", value=limit)
