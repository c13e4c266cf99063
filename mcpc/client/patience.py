"""`Patience`: how long one call, or one task, may be silent, and how long it may take in all.

Progress, updates and whatever else is heard of it renew the one, and not the other. Knows
neither how it was called, nor how it is ended.
"""

from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from mcp.shared.dispatcher import ProgressFnT

from mcpc.errors import TimedOut

__all__ = ["Patience", "check_seconds"]

T = TypeVar("T")


def check_seconds(name: str, value: float | None) -> None:
    """See that an option is a number of seconds above 0, or None.

    Raises:
        ValueError: it is not.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all type-checked
        raise ValueError(f"{name} is a number of seconds above 0, not {value!r}")


class Patience:
    """The bounds of one call. The time runs from now.

    Args:
        timeout: Seconds of silence; None for any time.
        max_timeout: Seconds in all; None for any time.

    Raises:
        ValueError: one is no number of seconds above 0.
    """

    def __init__(self, timeout: float | None, max_timeout: float | None) -> None:
        check_seconds("timeout", timeout)
        check_seconds("max_timeout", max_timeout)
        self._timeout = timeout
        self._max_timeout = max_timeout
        self._ends_at = float("inf") if max_timeout is None else anyio.current_time() + max_timeout
        self._scope: anyio.CancelScope | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether there is any bound."""
        return self._timeout is not None or self._max_timeout is not None

    def renew(self) -> None:
        """Something was heard."""
        if self._scope is not None:
            self._scope.deadline = self._deadline()

    def _deadline(self) -> float:
        silent = float("inf") if self._timeout is None else anyio.current_time() + self._timeout
        return min(silent, self._ends_at)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Cancel the body when the patience is over.

        Raises:
            TimedOut: it was.
        """
        with anyio.CancelScope(deadline=self._deadline()) as self._scope:
            yield
        if self._scope.cancelled_caught:
            raise self._error()

    async def during(self, work: Awaitable[T]) -> T:
        """What `work` gives, within the bounds.

        Raises:
            TimedOut: it took too long, and was cancelled.
        """
        if not self.is_bounded:
            return await work
        with self.watching():
            return await work
        raise AssertionError("unreachable: what is cut short has raised")

    def _error(self) -> TimedOut:
        if self._max_timeout is not None and anyio.current_time() >= self._ends_at:
            return TimedOut(f"it took more than {self._max_timeout} s in all", "max_timeout", self._max_timeout)
        assert self._timeout is not None
        return TimedOut(f"nothing was heard of it for {self._timeout} s", "timeout", self._timeout)

    def hearing(self, callback: ProgressFnT | None) -> ProgressFnT | None:
        """A progress callback that renews this, and tells `callback`; the same one where there is nothing to renew."""
        if self._timeout is None:
            return callback

        async def heard(progress: float, total: float | None, message: str | None) -> Any:
            self.renew()
            if callback is not None:
                await callback(progress, total, message)

        return heard
