"""One connection to the server, shared: requests of many clients, renamed so that no two are alike.

Where a message goes is told by what it carries: an answer by its id, progress by
its token, what a stream of notifications brings by its subscription id. A message
that carries none of these goes to nobody, unless there is only one who can have
asked for it: what belongs to one client must not reach another.
"""

import itertools
import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    LOG_LEVEL_META_KEY,
    METHOD_NOT_FOUND,
    RequestId,
)
from pydantic_core import to_json

from mcpc.bridge.box import Box
from mcpc.bridge.links import Parcel, Target
from mcpc.bridge.passing import CAME_BACK, LOOP_PATIENCE, has_passed, passed_on
from mcpc.bridge.pipe import SAME_ID
from mcpc.bridge.upstream import Upstream
from mcpc.errors import FrameError, LimitReached, MCPCError
from mcpc.logs import logger_of
from mcpc.shares import Shares
from mcpc.wire.message import (
    ID,
    METHOD,
    PARAMS,
    RESULT,
    Message,
    error_message,
    id_of,
    is_answer,
    is_request,
    meta_of,
    method_of,
    notification_message,
    params_of,
    with_meta,
)
from mcpc.wire.names import SUBSCRIPTION_META
from mcpc.wire.standard import (
    CANCELLED_METHOD,
    CHANGES,
    INITIALIZE_METHOD,
    INITIALIZED_METHOD,
    PROGRESS_METHOD,
    PROGRESS_TOKEN,
    REQUEST_ID,
)

__all__ = ["Call", "Hub", "HubKeeper"]

logger: logging.Logger = logger_of(__name__)

MAX_SHARED = 4000
"""Requests of all clients of a shared connection that may wait for their answers."""
CLIENT_SHARE = 0.9
"""The part of them that one client may have while no other has any (see `mcpc.shares`)."""

LEFT = "the client that began the handshake with the server left before it was sent; try again"


@dataclass(eq=False, slots=True)
class Call:
    """A client's request that waits for its answer."""

    number: int
    """What the server knows it as."""
    box: Box
    """Where what belongs to it goes."""
    client: Hashable
    """Whom it is counted for."""
    request_id: RequestId
    """As the client named it."""
    token: RequestId | None
    """The progress token, as the client named it."""
    takes_logs: bool
    method: str


class Hub(Upstream):
    """A shared connection to the server.

    Args:
        target: The server.
        modern: Whether it serves the stateless era. Then a request says whether it takes log messages, and
            notifications for all do not exist.
    """

    def __init__(self, target: Target, *, modern: bool) -> None:
        super().__init__(target)
        self._modern = modern
        self._ids = itertools.count(1)
        self._calls: dict[RequestId, Call] = {}
        self._ids_of: set[tuple[Box, RequestId]] = set()
        """The ids that wait, as their clients know them."""
        self._shares = Shares(MAX_SHARED, CLIENT_SHARE)
        self._boxes: list[Box] = []
        self._handshake: Message | None = None
        self._shaking: list[tuple[Box, RequestId]] | None = None
        """Who waits for the server's first answer to `initialize`; None while that is not on its way."""
        self._confirmed = False
        self.undelivered: int = 0
        """Messages from the server that could not be told whose they are."""

    # --- from the clients ---

    def join(self, box: Box) -> None:
        """Let a client have what is for all."""
        self._boxes.append(box)

    def leave(self, box: Box) -> None:
        """A client is gone: its requests are cancelled."""
        box.close()
        if box in self._boxes:
            self._boxes.remove(box)
        # But not the handshake: others wait for its answer.
        for number in [n for n, call in self._calls.items() if call.box is box and call.method != INITIALIZE_METHOD]:
            self._cancel(number)

    async def request(
        self, box: Box, message: Message, headers: Mapping[str, str] | None = None, client: Hashable = None
    ) -> Call:
        """Send a client's request; its answer, and what belongs to it, come to the box.

        Args:
            box: Where it comes to.
            message: The request.
            headers: Those that came with it.
            client: Whom it is counted for; the box, where that is the client's.

        Raises:
            MCPCError: there is no connection, or it is gone, or too many wait, or one of this id, or the message has
                passed too many bridges.
        """
        client = box if client is None else client
        if self._modern or message[METHOD] == INITIALIZE_METHOD:
            message = passed_on(message)
        self._check_room(box, message[ID], client)
        number = next(self._ids)
        meta = meta_of(params_of(message))
        token: Any = meta.get(PROGRESS_TOKEN)
        call = Call(
            number,
            box,
            client,
            message[ID],
            token,
            not self._modern or LOG_LEVEL_META_KEY in meta,
            message[METHOD],
        )
        renamed = {**message, ID: number}
        if token is not None:
            renamed[PARAMS] = with_meta(params_of(message), PROGRESS_TOKEN, number)
        self._remember(call)
        try:
            await self.send(renamed, headers)
        except MCPCError:
            if self._forget(number) is not None:
                raise
            # Otherwise it was answered with all that waited when the connection ended.
        except BaseException:
            self.abandon(call)
            raise
        return call

    def _check_room(self, box: Box, request_id: RequestId, client: Hashable) -> None:
        if (box, request_id) in self._ids_of:
            raise MCPCError(SAME_ID)
        refusal = self._shares.refusal([client])
        if refusal == "all":
            raise LimitReached(f"{MAX_SHARED} requests wait for answers, which is the limit of a shared connection")
        if refusal is not None:
            raise LimitReached(
                f"this client has as many as it may of the {MAX_SHARED} requests that may wait for their answers; "
                "the rest is kept for the others who share the connection"
            )

    def _remember(self, call: Call) -> None:
        self._calls[call.number] = call
        self._ids_of.add((call.box, call.request_id))
        self._shares.take([call.client])

    def _forget(self, number: RequestId | None) -> Call | None:
        call = None if number is None else self._calls.pop(number, None)
        if call is not None:
            self._ids_of.discard((call.box, call.request_id))
            self._shares.give_back([call.client])
        return call

    def abandon(self, call: Call) -> None:
        """Nobody waits for a request any more: the server is told, where it has not answered."""
        if call.number in self._calls:
            self._cancel(call.number)

    def _cancel(self, number: RequestId, params: Mapping[str, Any] | None = None) -> None:
        self._forget(number)
        notification = notification_message(CANCELLED_METHOD, {**(params or {}), REQUEST_ID: number})
        if self.tasks is not None and not self.ended:
            self.tasks.start_soon(self._send_if_possible, notification)

    async def _send_if_possible(self, message: Message) -> None:
        try:
            await self.send(message)
        except MCPCError as exc:
            logger.debug("not sent: %s", exc)

    async def notify(self, box: Box, message: Message) -> None:
        """Send a client's notification, where it has a meaning on a shared connection."""
        method = method_of(message)
        if method == CANCELLED_METHOD:
            params = params_of(message)
            for number, call in self._calls.items():
                is_shared = call.method == INITIALIZE_METHOD  # others wait for its answer
                if call.box is box and not is_shared and _same(call.request_id, params.get(REQUEST_ID)):
                    self._cancel(number, params)
                    return
        elif method != INITIALIZED_METHOD or not self._confirmed:
            self._confirmed = self._confirmed or method == INITIALIZED_METHOD
            await self._send_if_possible(message)

    async def shake_hands(self, box: Box, message: Message) -> None:
        """Have a client's `initialize` answered: the first one by the server, the others with the same answer.

        Raises:
            MCPCError: there is no connection, or it is gone.
        """
        await self.until_settled()  # until then whoever began it might leave, and nobody would
        if self._handshake is not None:
            box.drop({**self._handshake, ID: message[ID]})
        elif self._shaking is not None:
            self._shaking.append((box, message[ID]))
            if has_passed(message) and self.tasks is not None:
                self.tasks.start_soon(self._give_up, box, message[ID])
        else:
            shaking = self._shaking = []
            # What a client can be asked is not offered: on a shared connection a question has no addressee.
            try:
                await self.request(box, {**message, PARAMS: {**params_of(message), "capabilities": {}}})
            except BaseException:
                if self._shaking is shaking:  # it was not sent: the next one begins anew
                    self._shaken(error_message(message[ID], CONNECTION_CLOSED, LEFT))
                raise

    async def _give_up(self, box: Box, request_id: RequestId) -> None:
        """A handshake that came from another bridge may be ours, come back: it must not wait for itself."""
        await anyio.sleep(LOOP_PATIENCE)
        if self._shaking is not None and (box, request_id) in self._shaking:
            self._shaking.remove((box, request_id))
            box.drop(error_message(request_id, INVALID_REQUEST, CAME_BACK))

    def _shaken(self, answer: Message) -> None:
        waiting, self._shaking = self._shaking or [], None
        self._handshake = answer if RESULT in answer else None
        for box, request_id in waiting:
            box.drop({**answer, ID: request_id})

    # --- from the server ---

    async def take(self, parcel: Parcel) -> None:
        """See `Upstream.take`."""
        message = parcel.message
        if is_request(message):
            text = "clients that share a connection cannot be asked"
            await self._send_if_possible(error_message(message[ID], METHOD_NOT_FOUND, text))
            return
        if not is_answer(message):
            found = self._addressed(message)
        else:
            call = self._forget(id_of(message))
            found = [] if call is None else [(call.box, self._answer(call, message))]
            if call is not None and call.method == INITIALIZE_METHOD:
                self._shaken(message)
        if not found:
            self.undelivered += 1
            logger.debug("left out: it is not known whose %s is", method_of(message) or "answer")
        size = 0 if not found else len(to_json(message)) if parcel.frame is None else len(parcel.frame)
        for box, renamed in found:
            await box.put(renamed, size)

    def _answer(self, call: Call, message: Message) -> Message:
        renamed = {**message, ID: call.request_id}
        result: dict[str, Any] = message.get(RESULT, {})
        if SUBSCRIPTION_META in meta_of(result):
            renamed[RESULT] = with_meta(result, SUBSCRIPTION_META, call.request_id)
        return renamed

    def _addressed(self, message: Message) -> list[tuple[Box, Message]]:
        """Whose a notification is, and as that client knows it."""
        method, params = method_of(message), params_of(message)
        subscription = meta_of(params).get(SUBSCRIPTION_META)
        if subscription is not None:
            call = self._named(subscription)
            if call is None:
                return []
            name = str(call.request_id) if isinstance(subscription, str) else call.request_id
            return [(call.box, {**message, PARAMS: with_meta(params, SUBSCRIPTION_META, name)})]
        if method == PROGRESS_METHOD:
            call = self._named(params.get(PROGRESS_TOKEN))
            return [] if call is None else [(call.box, {**message, PARAMS: {**params, PROGRESS_TOKEN: call.token}})]
        if method in CHANGES:
            return [(box, message) for box in self._boxes]
        boxes = {call.box for call in self._calls.values() if call.takes_logs}
        return [(box, message) for box in boxes] if len(boxes) == 1 else []

    def _named(self, number: Any) -> Call | None:
        """The request that a token or a subscription id of ours stands for."""
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        return self._calls.get(number) if isinstance(number, int) else None

    def on_bad(self, error: FrameError) -> None:
        """See `Upstream.on_bad`."""
        call = self._forget(error.request_id)
        if call is not None:
            text = f"the server's answer is not an MCP message: {error}"
            call.box.drop(error_message(call.request_id, INTERNAL_ERROR, text))

    def on_end(self, reason: str) -> None:
        """See `Upstream.on_end`."""
        waiting = [(call.box, call.request_id) for call in self._calls.values()] + (self._shaking or [])
        for box, request_id in waiting:
            box.drop(error_message(request_id, CONNECTION_CLOSED, reason))
        for box in {*self._boxes, *(box for box, _ in waiting)}:
            box.close()
        for number in tuple(self._calls):
            self._forget(number)
        self._boxes.clear()
        self._shaking = None


class HubKeeper:
    """The shared connections of one bridge: one for each era, as a connection speaks one only.

    Args:
        target: The server.
        tasks: Where the connections are read.
    """

    def __init__(self, target: Target, tasks: anyio.abc.TaskGroup) -> None:
        self._target = target
        self._tasks = tasks
        self._hubs: dict[bool, Hub] = {}

    def get(self, *, modern: bool) -> Hub:
        """The connection of an era; a new one where there is none, or the last one is gone."""
        hub = self._hubs.get(modern)
        if hub is None or hub.ended:
            hub = self._hubs[modern] = Hub(self._target, modern=modern)
            self._tasks.start_soon(hub.run)
        return hub


def _same(one: Any, other: Any) -> bool:
    # 1 == True in Python, and 1 == 1.0.
    return type(one) is type(other) and one == other
