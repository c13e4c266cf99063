"""What fails beside a cancellation: told of, and the cancellation goes on alone.

A task group that is cancelled from outside while one of its tasks fails raises both on trio, in one group. That is no
`Exception`: `except` passes it by, the scope that was cancelled takes out its own part, and the error goes on to
whoever cancelled, who has nothing to do with it. On asyncio the group raises the error, and the next wait is cancelled.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["errors_told"]


@contextmanager
def errors_told(tell: Callable[[Exception], None]) -> Generator[None]:
    """Hand what fails inside to `tell`, alone or beside a cancellation; it goes no further, and a cancellation does.

    Args:
        tell: Called with the error, or with the group of those that came together. What it raises is raised instead.
    """
    try:
        yield
    except Exception as exc:
        tell(exc)
    except BaseExceptionGroup as group:
        errors, rest = group.split(Exception)
        if errors is None or rest is None:
            raise
        tell(errors)
        raise rest from None
