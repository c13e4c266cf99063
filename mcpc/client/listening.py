"""`Listening`: one channel listened to, over one connection after another, for as long as there is room.

It asks for the messages and keeps asking; the `Inbox` takes them. Knows nothing
of who gets them.
"""

import logging

import anyio
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from mcpc.client.backoff import Backoff
from mcpc.client.inbox import Inbox
from mcpc.client.requests import ask_to_listen
from mcpc.errors import ConnectFailed, ConnectionLost
from mcpc.flow import Flow
from mcpc.logs import logger_of
from mcpc.wire.requests import listen_params

__all__ = ["Listening"]

logger: logging.Logger = logger_of(__name__)

PATIENCE = 10.0
"""Seconds that the server has to confirm that it lets us listen."""
MAX_REFUSALS = 4
"""How often in a row a listen stream may end before it began, on a connection that seems to stand."""


class Listening:
    """Listens to a channel, and listens again after the last number when the stream ends.

    Args:
        inbox: Where the messages go.
        flow: While it is stopped we do not listen; what is sent meanwhile stays with the server.
        channel: The channel's key.
        max_message_size: Bytes of the largest message that we take, where the server is to know.
    """

    def __init__(self, inbox: Inbox, flow: Flow, channel: str, max_message_size: int | None = None) -> None:
        self.channel = channel
        self._max_message_size = max_message_size
        self._inbox = inbox
        self._flow = flow
        self._stream: anyio.CancelScope | None = None
        flow.on_stop = self._cut

    async def run(self, session: ClientSession) -> None:
        """Listen until the connection is gone.

        Raises:
            MCPCError, MCPError: the server refused.
        """
        backoff = Backoff()
        while True:
            await self._flow.wait()
            await self._listen_once(session)
            if self._inbox.listening.is_set():
                backoff.succeeded()
            elif backoff.failures > MAX_REFUSALS:
                raise ConnectionLost("the server no longer lets us listen")
            self._inbox.stopped_listening()
            if not self._flow.stopped:
                await backoff.wait()

    async def confirmed(self) -> None:
        """Wait until the server has confirmed that it lets us listen.

        Raises:
            ConnectFailed: it does not, for too long.
        """
        with anyio.move_on_after(PATIENCE) as patience:
            await self._inbox.listening.wait()
        if patience.cancelled_caught:
            raise ConnectFailed(f"the server did not confirm that it lets us listen within {PATIENCE:g} seconds")

    async def _listen_once(self, session: ClientSession) -> None:
        """One stream, to its end."""
        inbox = self._inbox
        params = listen_params(
            self.channel, after=inbox.last, epoch=inbox.epoch, max_message_size=self._max_message_size
        )
        with anyio.CancelScope() as self._stream:
            try:
                await ask_to_listen(session, params)
            except MCPError as exc:
                if exc.code != CONNECTION_CLOSED:
                    raise
                logger.debug("the listen stream was cut: %s", exc)
            finally:
                self._stream = None

    def _cut(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
