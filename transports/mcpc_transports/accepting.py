"""An accept loop that does not die, and that is quiet when the system has nothing left to give.

What every listener over sockets shares. Knows nothing of what is done with a connection.
"""

import socket
from collections.abc import Callable
from typing import Any

import anyio

from mcpc.logs import logger_of

__all__ = ["accept_forever"]

logger = logger_of(__name__)

PAUSE = 0.25
"""Seconds without accepting after an accept failed, as when we are out of descriptors."""

SILENCE = 60.0
"""Seconds between two words about that."""


async def accept_forever(
    sock: socket.socket,
    where: str,
    take: Callable[[socket.socket, Any], None],
    is_room: Callable[[], bool] = lambda: True,
) -> None:
    """Give each connection to `take`, with the peer's address, until the socket is closed. No failed accept ends this.

    Args:
        sock: A non-blocking socket that listens.
        where: Its address, for the log.
        take: Takes the connection, at once.
        is_room: Whether there may be one more; while there may not, they wait in the system's backlog.
    """
    complaint = _Complaint(where)
    while sock.fileno() >= 0:
        await anyio.wait_readable(sock)
        if not is_room():
            await complaint.pause("there are as many as may be")
            continue
        try:
            connection, address = sock.accept()
        except (BlockingIOError, ConnectionError):
            continue  # it went away again before we took it
        except OSError as exc:
            await complaint.pause(exc.strerror)
            continue
        connection.setblocking(False)
        take(connection, address)


class _Complaint:
    """Says that connections wait, now and then."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._said = float("-inf")

    async def pause(self, why: str | None) -> None:
        """Say why, if it was not said a moment ago, and wait a little: nothing tells when there is room again."""
        if anyio.current_time() - self._said >= SILENCE:
            self._said = anyio.current_time()
            logger.warning("no connection can be accepted at %s for now: %s", self._where, why)
        await anyio.sleep(PAUSE)
