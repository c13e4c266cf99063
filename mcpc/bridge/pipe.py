"""One client with a connection to the server of its own: what comes in at one end goes out at the other.

Nothing is renamed. What is kept is the ids that wait for an answer, so that none
waits for ever when the server goes away.
"""

import logging
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST, RequestId

from mcpc.bridge.headers import opens_modern
from mcpc.bridge.links import Link, Parcel, Target
from mcpc.bridge.passing import passed_on
from mcpc.errors import FrameError, MCPCError, TransportError
from mcpc.logs import logger_of
from mcpc.wire.message import ID, error_message, id_of, is_answer, is_request, method_of, params_of
from mcpc.wire.standard import CANCELLED_METHOD, INITIALIZE_METHOD, REQUEST_ID

__all__ = ["GONE", "LINGER", "MAX_PENDING", "SAME_ID", "TOO_MANY", "UNREACHABLE", "Pipe", "refusal"]

logger: logging.Logger = logger_of(__name__)

MAX_PENDING = 10_000
"""Requests of one client that may wait for their answers."""

TOO_MANY = f"{MAX_PENDING} requests of this client wait for their answers, which is the bridge's limit"

SAME_ID = "a request of this id waits for its answer; each needs an id of its own"

LINGER = 0.25
"""Seconds in which the requests that a client had sent already are told that there is no server."""

GONE = "the server behind the bridge went away"

UNREACHABLE = "the server behind the bridge cannot be reached"
"""What clients are told; why, and where it should be, is for the log."""


def refusal(error: FrameError) -> Parcel:
    """The answer to a bad frame."""
    return Parcel(error_message(error.request_id, error.code, str(error)))


class Pipe:
    """Carries messages between a client and its own connection to the server.

    Args:
        client: The client's connection.
        target: The server; dialled when the client first says something, so that an idle connection costs no more.
    """

    def __init__(self, client: Link, target: Target) -> None:
        self._client = client
        self._target = target
        self._pending: dict[RequestId, None] = {}
        self._bad = 0

    async def run(self) -> None:
        """Carry until either end is gone. Raises nothing that the peers caused."""
        first = await self._from_client()
        if first is None:
            return
        if method_of(first.message) == INITIALIZE_METHOD or opens_modern(first.message):  # others stay as they came
            try:
                first = Parcel(passed_on(first.message), headers=first.headers)
            except FrameError as exc:
                logger.warning("a bridge to %s leads back to itself", self._target.uri)
                await self._refuse_all(first, str(exc), exc.code)
                return
        try:
            async with self._target.open() as upstream:
                opening, first = first, None
                await self._carry(opening, upstream)
        except MCPCError as exc:
            logger.warning("a bridged connection to %s failed: %s", self._target.uri, exc)
            await self._refuse_all(first)

    async def _from_client(self) -> Parcel | None:
        """The client's next sound message; None when there is no more. Bad ones are answered here."""
        try:
            while True:
                try:
                    return await self._client.receive()
                except FrameError as exc:
                    await self._client.send(refusal(exc))
        except TransportError:
            return None

    async def _refuse_all(self, first: Parcel | None, why: str = UNREACHABLE, code: int = CONNECTION_CLOSED) -> None:
        """There is no server: say so to each request that the client has sent by now."""
        with anyio.move_on_after(LINGER):
            while first is not None:
                if is_request(first.message):
                    await self._answer(first.message[ID], why, code)
                first = await self._from_client()

    async def _answer(self, request_id: RequestId, text: str, code: int = CONNECTION_CLOSED) -> None:
        try:
            await self._client.send(Parcel(error_message(request_id, code, text)))
        except TransportError:
            await checkpoint()

    async def _carry(self, first: Parcel, upstream: Link) -> None:
        async with anyio.create_task_group() as tasks:

            async def down() -> None:
                await self._down(upstream)
                tasks.cancel_scope.cancel()

            tasks.start_soon(down)
            await self._up(first, upstream)
            tasks.cancel_scope.cancel()

    async def _up(self, parcel: Parcel | None, upstream: Link) -> None:
        """Client to server, until the client is gone, or the server."""
        while parcel is not None:
            message = parcel.message
            if is_request(message):
                if (why := self._refusal(message[ID])) is not None:
                    await self._answer(message[ID], *why)
                    parcel = await self._from_client()
                    continue
                self._pending[message[ID]] = None
            elif method_of(message) == CANCELLED_METHOD:
                self._cancelled(params_of(message))
            try:
                await upstream.send(parcel)
            except TransportError:
                await self._server_gone()
                return
            parcel = await self._from_client()

    def _refusal(self, request_id: RequestId) -> tuple[str, int] | None:
        if request_id in self._pending:
            return SAME_ID, INVALID_REQUEST
        return (TOO_MANY, INTERNAL_ERROR) if len(self._pending) >= MAX_PENDING else None

    def _cancelled(self, params: dict[str, Any]) -> None:
        # It may never be answered, so it must not count as waiting.
        request_id = params.get(REQUEST_ID)
        if isinstance(request_id, str | int):
            self._pending.pop(request_id, None)

    async def _down(self, upstream: Link) -> None:
        """Server to client, until the server is gone, or the client."""
        while True:
            try:
                parcel = await upstream.receive()
            except FrameError as exc:
                await self._bad_from_server(exc)
                continue
            except TransportError:
                await self._server_gone()
                return
            if is_answer(parcel.message):
                self._pending.pop(id_of(parcel.message), None)
            try:
                await self._client.send(parcel)
            except TransportError:
                return

    async def _bad_from_server(self, error: FrameError) -> None:
        """What is no MCP message is not passed on; where it was to be an answer, its request is answered."""
        self._bad += 1
        if self._bad == 1:
            logger.warning("not passed on, as it is not an MCP message: %s (said once)", error)
        request_id = error.request_id
        if request_id is not None and request_id in self._pending:
            del self._pending[request_id]
            await self._answer(request_id, f"the server's answer is not an MCP message: {error}", INTERNAL_ERROR)

    async def _server_gone(self) -> None:
        while self._pending:
            request_id, _ = self._pending.popitem()
            await self._answer(request_id, GONE)
