"""What `listen` yields: an address being served, and the two things to know about its end."""

from collections.abc import Awaitable, Callable

from mcpc.transport import Listener, until_finished

__all__ = ["Served"]


class Served:
    """An address being served.

    Args:
        listener: The transport's side of it.
        name: The server's name.
        wind_down: Ends the server's tasks.
        store: The address of its store.
    """

    def __init__(
        self, listener: Listener, name: str, wind_down: Callable[[], Awaitable[None]], store: str | None = None
    ) -> None:
        self.name = name
        """The server's name."""
        self.store = store
        """The address of the store that keeps its tasks; None where they are in memory."""
        self._listener = listener
        self._wind_down = wind_down

    @property
    def uri(self) -> str:
        """An address that can be dialled: the real port, and a host that can be reached."""
        return self._listener.uri

    async def finished(self) -> None:
        """Wait until it ends by itself, as over `stdio:`: when the client has closed our stdin."""
        await until_finished(self._listener)

    async def wind_down(self) -> None:
        """End the server's tasks in good order, at each of its addresses, while all are still open.

        No task is started any more; those that run are asked to stop, then cancelled; clients are sent their last
        messages; within twice the server's `shutdown_grace`. Leaving the last address does the same, but only for
        the clients at that one: the others are gone by then.
        """
        await self._wind_down()

    def __repr__(self) -> str:
        return f"<{self.name} served at {self.uri}>"
