"""What an HTTP client is at the bridge: its requests, and the streams on which each gets what belongs to it."""

import logging
from collections.abc import Hashable, Mapping

import anyio
from mcp.shared.dispatcher import Outbound
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, RequestId

from mcpc.bridge.box import Box
from mcpc.bridge.hub import Call, Hub
from mcpc.bridge.links import Parcel, Target
from mcpc.bridge.passing import passed_on
from mcpc.bridge.pipe import GONE, MAX_PENDING, SAME_ID, TOO_MANY
from mcpc.bridge.upstream import Upstream
from mcpc.errors import ConnectionLost, FrameError, MCPCError
from mcpc.logs import logger_of
from mcpc.wire.message import (
    ID,
    METHOD,
    PARAMS,
    Message,
    answer_message,
    error_message,
    id_of,
    is_answer,
    is_request,
    method_of,
    params_meta,
    params_of,
    refused_message,
)
from mcpc.wire.names import LISTEN_METHOD, SUBSCRIPTION_META
from mcpc.wire.standard import CANCELLED_METHOD, CHANGES, INITIALIZE_METHOD, PROGRESS_METHOD, PROGRESS_TOKEN

__all__ = ["Answer", "PrivateSession", "SharedSession"]

logger: logging.Logger = logger_of(__name__)


class Answer:
    """One request over a shared connection, and what comes before its answer.

    Args:
        hub: The connection.
        box: Where what belongs to the request goes.
        channel: Where its client gets it.
        client: Whom it is counted for.
    """

    def __init__(self, hub: Hub, box: Box, channel: Outbound, client: Hashable) -> None:
        self._hub = hub
        self._box = box
        self._client = client
        self._channel = channel

    async def fetch(self, message: Message, headers: Mapping[str, str] | None = None) -> Message:
        """Ask, pass on what comes, and return the answer. Where nobody waits any more, the server is told.

        Raises:
            MCPCError: the connection is gone, or the client is too slow for those it shares it with.
        """
        call: Call | None = None
        try:
            if method_of(message) == INITIALIZE_METHOD:
                await self._hub.shake_hands(self._box, message)
            else:
                call = await self._hub.request(self._box, message, headers, self._client)
            return await self._collect()
        finally:
            if call is not None:
                self._hub.abandon(call)

    async def _collect(self) -> Message:
        while messages := await self._box.take():
            for message in messages:
                if is_answer(message):
                    return message
                await self._channel.notify(message[METHOD], message.get(PARAMS))
        raise ConnectionLost("the client reads too slowly" if self._box.overflowed else GONE)


class SharedSession:
    """A session whose client shares a connection with others.

    Args:
        hub: The connection.
        standalone: Where its client gets what belongs to no request.
    """

    def __init__(self, hub: Hub, standalone: Outbound) -> None:
        self._hub = hub
        self._standalone = standalone
        self._news = Box()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Pass on what is for all clients, until the session ends."""
        self._hub.join(self._news)
        with self._scope:
            while messages := await self._news.take():
                for message in messages:
                    await self._standalone.notify(message[METHOD], message.get(PARAMS))

    def close(self) -> None:
        """The session has ended."""
        self._hub.leave(self._news)
        self._scope.cancel()

    async def request(self, message: Message, channel: Outbound) -> Message:
        """The answer to one request.

        Raises:
            MCPCError: see `Answer.fetch`.
        """
        return await Answer(self._hub, Box(), channel, self).fetch(message)

    async def notify(self, message: Message) -> None:
        """Pass on a notification. (Cancelling ends `request`, and so needs no other message.)"""
        if method_of(message) != CANCELLED_METHOD:
            await self._hub.notify(self._news, message)


class _Waiting:
    """A request that waits for its answer."""

    def __init__(self, message: Message, channel: Outbound) -> None:
        self.message = message
        self.channel = channel
        self.answer: Message | None = None
        self.answered = anyio.Event()

    def settle(self, answer: Message) -> None:
        self.answer = answer
        self.answered.set()


class PrivateSession(Upstream):
    """A session with a connection of its own: nothing is renamed, and the server may ask the client.

    Args:
        target: The server.
        standalone: Where its client gets what belongs to no request.
    """

    def __init__(self, target: Target, standalone: Outbound) -> None:
        super().__init__(target)
        self._standalone = standalone
        self._waiting: dict[RequestId, _Waiting] = {}

    # --- from the client ---

    async def request(self, message: Message, channel: Outbound) -> Message:
        """The answer to one request.

        Raises:
            MCPCError: there is no connection, or it is gone, or too many wait, or one of this id, or the message has
                passed too many bridges.
        """
        request_id = message[ID]
        if method_of(message) == INITIALIZE_METHOD:
            message = passed_on(message)
        if request_id in self._waiting:
            raise MCPCError(SAME_ID)
        if len(self._waiting) >= MAX_PENDING:
            raise MCPCError(TOO_MANY)
        waiting = self._waiting[request_id] = _Waiting(message, channel)
        try:
            await self.send(message)
            await waiting.answered.wait()
        except MCPCError:
            if waiting.answer is None:
                raise
        finally:
            if self._waiting.get(request_id) is waiting:
                del self._waiting[request_id]
        assert waiting.answer is not None
        return waiting.answer

    async def notify(self, message: Message) -> None:
        """Pass on a notification."""
        try:
            await self.send(message)
        except MCPCError as exc:
            logger.debug("not sent: %s", exc)

    # --- from the server ---

    async def take(self, parcel: Parcel) -> None:
        """See `Upstream.take`."""
        message = parcel.message
        if is_request(message):
            assert self.tasks is not None
            # Not waited for: a question may take as long as its client likes.
            self.tasks.start_soon(self._ask, message, self._channel_for(message))
        elif not is_answer(message):
            await self._channel_for(message).notify(message[METHOD], message.get(PARAMS))
        else:
            waiting = self._waiting.pop(id_of(message), None)
            if waiting is not None:
                waiting.settle(message)

    def _channel_for(self, message: Message) -> Outbound:
        """The stream that a message belongs on.

        A frame does not say which request it belongs to, unless by a token or a subscription id. Other messages
        go where the latest request waits: a tool that logs, or asks, has been called.
        """
        if method_of(message) in CHANGES:
            return self._standalone
        subscription = params_meta(message).get(SUBSCRIPTION_META)
        if subscription is not None:
            waiting = self._waiting.get(subscription)
            return self._standalone if waiting is None else waiting.channel
        if method_of(message) == PROGRESS_METHOD:
            token = params_of(message).get(PROGRESS_TOKEN)
            for waiting in self._waiting.values():
                if params_meta(waiting.message).get(PROGRESS_TOKEN) == token:
                    return waiting.channel
        for waiting in reversed(self._waiting.values()):
            if method_of(waiting.message) != LISTEN_METHOD:
                return waiting.channel
        return self._standalone

    async def _ask(self, message: Message, channel: Outbound) -> None:
        """Put the server's question to the client, and send back what it says."""
        request_id = message[ID]
        try:
            answer = answer_message(request_id, await channel.send_raw_request(message[METHOD], message.get(PARAMS)))
        except MCPError as exc:
            answer = refused_message(request_id, exc.error)
        except Exception as exc:
            logger.exception("a question to a client failed")
            answer = error_message(request_id, INTERNAL_ERROR, type(exc).__name__)
        await self.notify(answer)

    def on_bad(self, error: FrameError) -> None:
        """See `Upstream.on_bad`."""
        waiting = None if error.request_id is None else self._waiting.pop(error.request_id, None)
        if waiting is not None:
            text = f"the server's answer is not an MCP message: {error}"
            waiting.settle(error_message(error.request_id, INTERNAL_ERROR, text))

    def on_end(self, reason: str) -> None:
        """See `Upstream.on_end`."""
        for request_id, waiting in self._waiting.items():
            waiting.settle(error_message(request_id, CONNECTION_CLOSED, reason))
        self._waiting.clear()
