"""WebSocket connections that somebody else's web server has accepted (ASGI), as frame channels.

Sockets, pings and the handshake are that server's; who is let in, and what a
message is, is decided here as in a listener of ours.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import anyio
from mcp.server.auth.provider import TokenVerifier
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameError
from mcpc.mount import Mount
from mcpc.transport import Endpoint, Peer
from mcpc.wire.envelope import BEGINNING, END
from mcpc.wire.rpc import too_large
from mcpc_transports.addresses import Guests
from mcpc_transports.tokens import POLICY_VIOLATION, is_expired
from mcpc_transports.websocket.expiry import ending_with_token, peer_of

__all__ = ["AsgiChannel", "mounted"]

SUBPROTOCOL = "mcp"


class AsgiChannel:
    """A WebSocket connection of a web server; see `mcpc.transport.FrameChannel`.

    Args:
        receive: The server's.
        send: The server's.
        max_message_size: Bytes of the largest message.
    """

    def __init__(self, receive: Receive, send: Send, max_message_size: int) -> None:
        self._receive = receive
        self._send = send
        self._limit = max_message_size
        self._closed = False
        self._ended = False
        self._waiting = anyio.CancelScope()
        self._close_code = 1000
        self._close_reason = ""

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`."""
        if self._closed:
            raise ChannelClosed("we closed the connection")
        if self._ended:
            raise ChannelBroken("the peer is gone")
        try:
            for frame in frames:
                await self._send({"type": "websocket.send", "text": frame.decode()})
        except (OSError, RuntimeError) as exc:  # servers differ in what they raise when the peer is gone
            self._ended = True
            raise ChannelBroken("the peer is gone") from exc

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`."""
        if self._closed:
            raise ChannelClosed("we closed the connection")
        if self._ended:
            raise ChannelEnded("the peer ended the connection")
        message: Any = None
        with anyio.CancelScope() as self._waiting:
            message = await self._receive()
        if message is None:
            raise ChannelClosed("we closed the connection")
        if message["type"] == "websocket.disconnect":
            self._ended = True
            raise ChannelEnded("the peer ended the connection")
        return self._frame(message)

    def _frame(self, message: Any) -> bytes:
        text = message.get("text")
        if text is None:
            raise FrameError("a message is a text frame, not a binary one")
        frame = text.encode()
        if len(frame) > self._limit:
            raise too_large(self._limit, frame[:BEGINNING], frame[-END:])
        return frame

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`."""
        if self._closed:
            return
        self._closed = True
        self._waiting.cancel()
        if not self._ended:
            with anyio.move_on_after(1, shield=True):
                try:
                    await self._send(
                        {"type": "websocket.close", "code": self._close_code, "reason": self._close_reason}
                    )
                except (OSError, RuntimeError):
                    self._ended = True  # it was gone already

    async def close(self, code: int, reason: str) -> None:
        """`aclose`, and say why."""
        self._close_code, self._close_reason = code, reason
        await self.aclose()


class _Connections:
    """The app of the path."""

    def __init__(
        self, endpoint: Endpoint, guests: Guests, token_verifier: TokenVerifier | None, max_message_size: int
    ) -> None:
        self._endpoint = endpoint
        self._guests = guests
        self._token_verifier = token_verifier
        self._limit = max_message_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        peer = await self._admitted(scope)
        if peer is None:
            # Before the upgrade a server makes it a 403.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        offered = SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        channel = AsgiChannel(receive, send, self._limit)
        async with ending_with_token(channel, peer.access_token):
            await self._endpoint.serve_channel(channel, peer)

    async def _admitted(self, scope: Scope) -> Peer | None:
        """Who connects; None for somebody who may not."""
        headers = Headers(scope=scope)
        if self._guests.refusal(headers.getlist("host"), headers.getlist("origin")) is not None:
            return None
        client = scope.get("client")
        address = "" if client is None else f"{client[0]}:{client[1]}"
        if self._token_verifier is None:
            return peer_of(None, headers, address)
        kind, _, token = headers.get("authorization", "").partition(" ")
        access = await self._token_verifier.verify_token(token.strip()) if kind.lower() == "bearer" else None
        return None if access is None or is_expired(access) else peer_of(access, headers, address)


def mounted(
    endpoint: Endpoint,
    path: str,
    token_verifier: TokenVerifier | None,
    allowed_hosts: Sequence[str] | None,
    allowed_origins: Sequence[str] | None,
    max_message_size: int,
) -> Mount:
    """What serves `path` in somebody else's web server."""
    guests = Guests.of("mounted", allowed_hosts, allowed_origins)
    app = _Connections(endpoint, guests, token_verifier, max_message_size)
    return Mount("websocket", {path: app}, nullcontext())
