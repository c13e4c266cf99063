"""`MCPCHandler`: callbacks for a `ClientSession` of your own, as in mcpc 0.2, over any pair of streams."""

import logging
import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import anyio
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError

from mcpc.client.handshake import Form, shake_hands
from mcpc.client.inbox import Inbox
from mcpc.client.listening import Listening
from mcpc.client.tap import tap
from mcpc.detached import spawn_detached
from mcpc.dispatcher import Dispatcher, Registration
from mcpc.errors import MCPCError
from mcpc.flow import Flow
from mcpc.logs import logger_of
from mcpc.matching import Matches
from mcpc.messages import VERSION, MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, Overflow
from mcpc.transport import StreamPair
from mcpc.wire.originals import with_metadata

__all__ = ["MCPCHandler"]

logger: logging.Logger = logger_of(__name__)


class MCPCHandler:
    """Callbacks for one connection.

    Wrap a transport's streams, make the session over them, ask whether the server speaks MCPC, and add metadata to
    the arguments of each call that shall be a task.

    Args:
        provider_name: Our name in the handshake.
        config: Kept for mcpc 0.2; `log_level` is not applied (set the level of the logger `mcpc` instead).
    """

    def __init__(self, provider_name: str, **config: Any) -> None:
        self.provider_name = provider_name
        self.config = config
        self.supports_mcpc: bool = False
        self.protocol_version: str | None = VERSION
        self._form: Form = ""
        flow = Flow()
        self._dispatcher = Dispatcher(lambda main: spawn_detached(_as_coroutine(main)), flow)
        self._inbox = Inbox(self._dispatcher.deliver_all, flow)
        self._listening = Listening(self._inbox, flow, secrets.token_urlsafe(24))
        self._ended = anyio.Event()

    def add_event_listener(
        self,
        listener: Callable[[MCPCMessage], Any],
        *,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        **matches: Unpack[Matches],
    ) -> Registration:
        """Call `listener`, sync or async, with every message that matches; see `Client.add_event_listener`."""
        add = self._dispatcher.add
        return add(listener, capacity=capacity, overflow=overflow, capacity_bytes=capacity_bytes, **matches)

    def remove_event_listener(self, listener: Callable[[MCPCMessage], Any]) -> None:
        """Call `listener` no more."""
        self._dispatcher.remove(listener)

    async def wrap_streams(self, reader: Any, writer: Any) -> StreamPair:
        """The same streams, from which callbacks leave for the listeners."""
        self._ended = anyio.Event()
        return tap((reader, writer), self._inbox, channel=self._our_channel, on_end=lambda _: self._stream_ended())

    async def check_mcpc_support(self, session: ClientSession) -> bool:
        """Ask the server whether it speaks MCPC; if it does, callbacks come from now on.

        Raises:
            MCPError: the connection failed.
        """
        self._form, information = await shake_hands(session, self.provider_name)
        self.supports_mcpc = bool(self._form)
        self.protocol_version = None if information is None else information.mcpc_version
        if self._form == "meta":
            spawn_detached(lambda: self._listen(session))
            with anyio.move_on_after(10):
                await self._inbox.listening.wait()
        return self.supports_mcpc

    async def init_mcpc(self, session: ClientSession) -> bool:
        """The name of `check_mcpc_support` in mcpc 0.2.6."""
        return await self.check_mcpc_support(session)

    def add_metadata(self, args: Mapping[str, Any] | None, session_id: str) -> dict[str, Any]:
        """The arguments with a new task's metadata, in the form that the server takes; unchanged for a standard server.

        Args:
            args: The tool's arguments.
            session_id: The conversation that the task belongs to, as you name it.
        """
        arguments = dict(args or {})
        if not self.supports_mcpc:
            return arguments
        form = "0.2.6" if self._form == "0.2.6" else "0.2.1"
        return with_metadata(form, arguments, session_id=session_id, task_id=str(uuid.uuid4()))

    def _our_channel(self) -> str | None:
        return self._listening.channel if self._form == "meta" else None

    async def _listen(self, session: ClientSession) -> None:
        """Listen for as long as the streams last."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_ended, group.cancel_scope)
                await self._listening.run(session)
        except* (MCPError, MCPCError, anyio.ClosedResourceError, RuntimeError) as group_of_errors:
            logger.debug("listening ended: %s", group_of_errors.exceptions[0])

    async def _until_ended(self, scope: anyio.CancelScope) -> None:
        await self._ended.wait()
        scope.cancel()

    def _stream_ended(self) -> None:
        self._ended.set()
        self._inbox.abandon_calls()
        self._dispatcher.close()


def _as_coroutine(main: Callable[[], Any]) -> Callable[[], Any]:
    async def run() -> None:
        await main()

    return run
