"""What other processes do to the store: each bell is handed to whoever has to look.

A bell may be lost, so everybody looks now and then.
"""

import logging
from collections.abc import Awaitable, Callable

import anyio

from mcpc.errors import StoreError
from mcpc.logs import logger_of
from mcpc.store import Store
from mcpc.stored import Change

__all__ = ["Tail"]

logger: logging.Logger = logger_of(__name__)

RETRY = 1.0
"""Seconds before the bells are listened to, or the store is looked at, again after it failed."""
LOOK_INTERVAL = 5.0
"""Seconds between two looks at everything, at the most."""


class Tail:
    """Listens to the bells of a store.

    Args:
        store: Gives the store.
        heard: Told of each change; `look` means all of them.
    """

    def __init__(self, store: Callable[[], Store], heard: Callable[[Change], Awaitable[None]]) -> None:
        self._store = store
        self._heard = heard
        self._wanted = anyio.Event()

    async def listen_for_ever(self) -> None:
        """Hand on each bell."""
        while True:
            try:
                async for change in self._store().changes():
                    if change.kind == "look":
                        self._wanted.set()
                    else:
                        await self._tell(change)
            except StoreError as exc:
                logger.warning("the store's bells are not heard: %s", exc)
            await anyio.sleep(RETRY)

    async def look_for_ever(self) -> None:
        """Let everybody look: as the store says, and whether or not there was a bell. Bells are heard meanwhile."""
        while True:
            with anyio.move_on_after(LOOK_INTERVAL):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            if not await self._tell(Change("look")):
                await anyio.sleep(RETRY)
                self._wanted.set()

    async def _tell(self, change: Change) -> bool:
        """Hand a bell on; whether the store could be looked at."""
        try:
            await self._heard(change)
            return True
        except StoreError as exc:
            logger.warning("a change of the store could not be looked at: %s", exc)
        except Exception:
            logger.exception("a change of the store could not be looked at")
        return False
