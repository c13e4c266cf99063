"""One client of a connection that it shares with others."""

import anyio
from mcp_types import CONNECTION_CLOSED

from mcpc.bridge.box import Box
from mcpc.bridge.headers import opens_modern
from mcpc.bridge.hub import Hub, HubKeeper
from mcpc.bridge.links import Link, Parcel
from mcpc.bridge.pipe import LINGER, refusal
from mcpc.errors import FrameError, MCPCError, TransportError
from mcpc.wire.message import ID, Message, error_message, is_answer, is_request, method_of
from mcpc.wire.standard import INITIALIZE_METHOD

__all__ = ["SharedClient"]


class SharedClient:
    """Carries one client's messages to the shared connection of its era, and brings back what is its own.

    Args:
        client: The client's connection.
        keeper: Has the shared connections.
    """

    def __init__(self, client: Link, keeper: HubKeeper) -> None:
        self._client = client
        self._keeper = keeper
        self._box = Box()

    async def run(self) -> None:
        """Carry until the client is gone, or the server. Raises nothing that the peers caused."""
        async with anyio.create_task_group() as tasks:

            async def deliver() -> None:
                await self._deliver()
                # What the client had sent already is still refused, each request by itself.
                await anyio.sleep(LINGER)
                tasks.cancel_scope.cancel()

            tasks.start_soon(deliver)
            await self._receive()
            tasks.cancel_scope.cancel()

    async def _deliver(self) -> None:
        """Server to client, until nothing more will come."""
        try:
            while messages := await self._box.take():
                for message in messages:
                    await self._client.send(Parcel(message))
        except TransportError:
            return

    async def _receive(self) -> None:
        """Client to server, until the client is gone."""
        hub: Hub | None = None
        try:
            while True:
                try:
                    message = (await self._client.receive()).message
                except FrameError as exc:
                    self._box.drop(refusal(exc).message)
                    continue
                if hub is None and is_request(message):
                    hub = self._keeper.get(modern=opens_modern(message))
                    hub.join(self._box)
                if hub is not None:
                    await self._pass_on(hub, message)
        except TransportError:
            return
        finally:
            if hub is not None:
                hub.leave(self._box)

    async def _pass_on(self, hub: Hub, message: Message) -> None:
        if is_answer(message):
            return  # an answer to a question that was never passed on
        if not is_request(message):
            await hub.notify(self._box, message)
            return
        try:
            if method_of(message) == INITIALIZE_METHOD:
                await hub.shake_hands(self._box, message)
            else:
                await hub.request(self._box, message)
        except MCPCError as exc:
            code = exc.code if isinstance(exc, FrameError) else CONNECTION_CLOSED
            await self._client.send(Parcel(error_message(message[ID], code, str(exc))))
