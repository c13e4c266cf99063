"""`Attached`: how a task is reached that was begun elsewhere, once the server has said whether it is on our channel.

A task of our channel is steered there, and its messages come there anyhow; only one that is on another's channel is
followed by the tasks extension. Nobody but the server knows which: so the first thing that is asked of it decides.
"""

from collections.abc import Callable
from typing import Any

from mcpc.client.steering import Steering
from mcpc.errors import ConnectionLost, UnknownTask

__all__ = ["Attached"]


class Attached:
    """Steers it in the one way, or in the other.

    Args:
        channel: How a task of our channel is reached.
        elsewhere: Begins to follow it in another way; None where there is none.
    """

    def __init__(self, channel: Steering, elsewhere: Callable[[], Steering | None]) -> None:
        self._channel = channel
        self._elsewhere = elsewhere
        self._chosen: Steering | None = None

    @property
    def on_channel(self) -> bool:
        """Whether it is on our channel, as far as is known."""
        return self._chosen is None or self._chosen.on_channel

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """See `Steering`."""
        await (await self._way()).send_input(value, prompt_id)

    async def stop(self) -> None:
        """See `Steering`."""
        await (await self._way()).stop()

    async def state(self) -> dict[str, Any]:
        """See `Steering`."""
        if self._chosen is not None:
            return await self._chosen.state()
        try:
            state = await self._channel.state()
        except UnknownTask:
            self._chosen = self._chosen or self._elsewhere()
            if self._chosen is None:
                raise
            return await self._chosen.state()
        self._chosen = self._channel
        return state

    async def _way(self) -> Steering:
        if self._chosen is None:
            try:
                await self.state()
            except ConnectionLost:
                return self._channel  # which asks again when there is another connection
        return self._chosen or self._channel
