"""`Listening`: one channel listened to, over one connection after another, for as long as there is room.

It asks for the messages and keeps asking; the `Inbox` takes them. Knows nothing
of who gets them.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from mcpc.client.backoff import Backoff
from mcpc.client.inbox import Inbox
from mcpc.client.life import STABLE
from mcpc.client.pausing import Pausing
from mcpc.client.requests import ask_server, ask_to_listen
from mcpc.errors import ConnectFailed, ConnectionLost, MCPCError
from mcpc.flow import Flow
from mcpc.logs import logger_of
from mcpc.wire.requests import about_listening, listen_params

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
        flow: While it is stopped the server is to pause; what is sent meanwhile stays with it.
        channel: The channel's key.
        max_message_size: Bytes of the largest message that we take, where the server is to know.
        backoff: How long to wait before listening again on a connection that stands; one of its own.
    """

    def __init__(
        self,
        inbox: Inbox,
        flow: Flow,
        channel: str,
        max_message_size: int | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.channel = channel
        self.max_message_size: int | None = max_message_size
        self._inbox = inbox
        self._flow = flow
        self._backoff = backoff or Backoff()
        inbox.on_overrun = self._cut
        self._stream: anyio.CancelScope | None = None

    async def begin(
        self, group: TaskGroup, session: ClientSession, end_connection: Callable[[Exception], None], *, waits: bool
    ) -> None:
        """Listen in `group` for as long as the connection stands.

        Args:
            group: The connection's.
            session: Its session.
            end_connection: Called where the server does not let us listen, which no caller waits for, with the reason.
            waits: Return when the server has confirmed. Where it has opened the channel there is no need, unless we
                have listened to it before: the log may have been lost, and with it its tasks, before new ones begin.

        Raises:
            ConnectFailed: it does not, for too long.
        """
        self._inbox.stopped_listening()

        async def or_end(wait: Callable[[], Awaitable[None]]) -> None:
            try:
                await wait()
            except (MCPError, MCPCError) as exc:
                logger.warning("listening for callbacks failed: %s", exc)
                end_connection(ConnectFailed(f"the server does not let us listen: {exc}"))

        group.start_soon(or_end, partial(self.run, session))
        if waits or self._inbox.epoch is not None:
            await self.confirmed()
        else:
            group.start_soon(or_end, self.confirmed)

    async def run(self, session: ClientSession) -> None:
        """Listen until the connection is gone.

        Raises:
            MCPCError, MCPError: the server refused.
        """
        self._backoff.succeeded()  # what came of the last connection is not this one's fault
        refusals = 0
        while True:
            await self._flow.wait()
            await self._listen_once(session)
            if self._inbox.listening.is_set():
                refusals = 1
            elif refusals > MAX_REFUSALS:
                raise ConnectionLost("the server no longer lets us listen")
            else:
                refusals += 1
            self._inbox.stopped_listening()
            if not self._flow.stopped:
                await self._backoff.wait()

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
        """One stream, to its end.

        Raises:
            MCPError: the server refused.
        """
        inbox, name, refusal = self._inbox, secrets.token_hex(8), None
        began = anyio.current_time()
        params = listen_params(
            self.channel,
            after=inbox.last,
            epoch=inbox.epoch,
            max_message_size=self.max_message_size,
            listen_id=name,
        )
        ask = partial(ask_server, session, params=about_listening(self.channel, name))
        pausing = Pausing(self._flow, inbox, ask, self._cut)
        async with anyio.create_task_group() as tasks:
            self._stream = tasks.cancel_scope
            self._flow.on_stop = lambda: pausing.begin(tasks.start_soon)
            try:
                await ask_to_listen(session, params)
            except MCPError as exc:
                refusal = exc
            finally:
                self._flow.on_stop = self._stream = None
                tasks.cancel_scope.cancel()
        if inbox.listening.is_set() and anyio.current_time() - began >= STABLE:
            self._backoff.succeeded()
        if refusal is None:
            return
        if refusal.code != CONNECTION_CLOSED:
            raise refusal
        logger.debug("the listen stream was cut: %s", refusal)

    def _cut(self) -> None:
        self._backoff.succeeded()  # that it ends is our doing
        if self._stream is not None:
            self._stream.cancel()
