"""Keeps a client's place on its channel in its file, so that the client that comes after it goes on from there.

What was handled is what every listener has returned from. It is written a few times
a second and when the client is left: after a kill the last of it may come again, and
nothing is left out.
"""

import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from mcpc.client.channel_file import ChannelFile
from mcpc.client.inbox import Inbox
from mcpc.client.listening import Listening
from mcpc.dispatcher import Dispatcher
from mcpc.errors import ChannelFileRefused
from mcpc.logs import logger_of

__all__ = ["Keeping"]

logger: logging.Logger = logger_of(__name__)

INTERVAL = 0.2
"""Seconds between two looks at what was handled."""


class Keeping:
    """One client's channel, and its place there.

    Args:
        channel: The channel's key.
        inbox: What was delivered.
        listeners: Who handles it.
        file: Where it is kept; None for nowhere.
        resumes: Whether tasks of an earlier client may be on the channel.
    """

    def __init__(
        self, channel: str, inbox: Inbox, listeners: Dispatcher, file: ChannelFile | None, *, resumes: bool
    ) -> None:
        self.channel = channel
        self.resumes = resumes
        self._file = file
        self._inbox = inbox
        self._listeners = listeners
        self._mark: tuple[str | None, int, Callable[[], bool]] | None = None
        """A place, and what tells whether all before it was handled."""

    @classmethod
    def of(
        cls, path: str | os.PathLike[str] | None, channel: str | None, inbox: Inbox, listeners: Dispatcher
    ) -> "Keeping":
        """The channel of that file, or of that key, or a new one.

        Raises:
            TypeError: both were given.
            ChannelFileRefused: the file cannot be used.
        """
        if path is None:
            key = secrets.token_urlsafe(24) if channel is None else channel
            return cls(key, inbox, listeners, None, resumes=channel is not None)
        if channel is not None:
            raise TypeError("give a channel or a channel_file, not both: the file has a channel of its own")
        file = ChannelFile(path)
        return cls(file.place.channel, inbox, listeners, file, resumes=True)

    @asynccontextmanager
    async def held(self, listening: Listening) -> AsyncGenerator[None]:
        """Use the file, if there is one: listen on its channel, from its place.

        Raises:
            ChannelFileRefused: it cannot be used.
        """
        if self._file is None:
            yield
            return
        place = self._file.open()
        try:
            listening.channel = place.channel
            self._inbox.epoch, self._inbox.last = place.epoch, place.last
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_for_ever, self._file)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self._keep(self._file)
            self._keep(self._file)  # what has been handled since the mark before
            self._file.close()

    async def _keep_for_ever(self, file: ChannelFile) -> None:
        while True:
            await anyio.sleep(INTERVAL)
            self._keep(file)

    def _keep(self, file: ChannelFile) -> None:
        """Write the place that was marked, once all before it was handled, and mark the next."""
        if self._mark is None and not self._inbox.holds_back:
            self._mark = (self._inbox.epoch, self._inbox.last, self._listeners.mark())
        if self._mark is None or not self._mark[2]():
            return
        epoch, last, _ = self._mark
        self._mark = None
        place = file.place
        if (epoch, last) == (place.epoch, place.last):
            return
        try:
            file.save(epoch, last)
        except ChannelFileRefused as exc:
            logger.warning("what was handled could not be kept; it may come again: %s", exc)
