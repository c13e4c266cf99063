"""`Redialling`: for how long, and how often, something is tried again whose connection went away under it."""

from typing import Protocol

import anyio

from mcpc.client.backoff import Backoff

__all__ = ["Redialling", "Redials"]


class Redials(Protocol):
    """A client, as far as it dials again."""

    @property
    def reconnect(self) -> bool:
        """Whether there will be another connection when this one is lost."""
        ...

    @property
    def reconnect_timeout(self) -> float | None:
        """Seconds for which to wait for one; None for ever."""
        ...


class Redialling:
    """Counts from the first failure in a row.

    Args:
        client: Says whether and for how long a connection is dialled again.
    """

    def __init__(self, client: Redials) -> None:
        self._client = client
        self._backoff = Backoff()
        self._give_up_at: float | None = None

    def succeeded(self) -> None:
        """It works (again)."""
        self._backoff.succeeded()
        self._give_up_at = None

    @property
    def is_over(self) -> bool:
        """Whether the server has been out of reach for long enough, now that it has failed."""
        client, now = self._client, anyio.current_time()
        if not client.reconnect:
            return True
        if self._give_up_at is None:
            timeout = client.reconnect_timeout
            self._give_up_at = now + (float("inf") if timeout is None else timeout)
        return now >= self._give_up_at

    async def wait(self) -> None:
        """Wait before trying again."""
        await self._backoff.wait()
