"""`unix:///path`: newline-framed JSON-RPC over a stream socket of the file system.

Who may write to the file may connect, so it is 0600 unless told otherwise. What
happens on a socket once it is there is not told here.
"""

import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import quote, unquote_to_bytes

import anyio

from mcpc.errors import URIError
from mcpc.transport import (
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_MAX_MESSAGE_SIZE,
    URI,
    Endpoint,
    FrameChannel,
    Listener,
    Traits,
)
from mcpc_transports import examples
from mcpc_transports.sockets.dialling import OPEN_TIMEOUT, channel_over, connect_socket, dialling
from mcpc_transports.sockets.serving import BACKLOG, Serving, binding, run
from mcpc_transports.sockets.socket_file import bind_unix, remove_if, remove_stale, starting_alone

__all__ = ["UnixTransport"]

SUN_PATH = 104 if sys.platform == "darwin" else 108
"""Bytes of a socket's path, its ending zero included: unix(7)."""


class UnixTransport:
    """Serves `unix:///absolute/path`."""

    traits: Traits = Traits(
        heartbeat=True, guarded=True, example=examples.UNIX, place="{scheme}://{directory}/mcpc.sock"
    )

    def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_ANSWER_SIZE, open_timeout: float = OPEN_TIMEOUT
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Connect to the socket file that `uri` names.

        Args:
            uri: `unix:///absolute/path`, percent-encoded where need be.
            max_message_size: Bytes of the largest message accepted.
            open_timeout: Seconds to connect in.
        """
        return self._connect(_socket_path(uri), max_message_size, open_timeout)

    @asynccontextmanager
    async def _connect(self, path: str, max_message_size: int, seconds: float) -> AsyncGenerator[FrameChannel]:
        with dialling(path, seconds), anyio.fail_after(seconds):
            sock = await connect_socket(socket.AF_UNIX, path)
        async with channel_over(sock, max_message_size) as channel:
            yield channel

    def listen(
        self,
        uri: URI,
        endpoint: Endpoint,
        /,
        *,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        mode: int = 0o600,
        backlog: int = BACKLOG,
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve a socket file, made on entering and removed on leaving. One that nobody serves any more is replaced.

        Args:
            uri: `unix:///absolute/path`, percent-encoded where need be.
            endpoint: What to serve.
            max_message_size: Bytes of the largest message accepted.
            mode: Permissions of the file, whatever the umask: who may write to it may connect.
            backlog: Connections that may wait to be accepted.
        """
        return self._listen(_socket_path(uri), endpoint, max_message_size, mode, backlog)

    @asynccontextmanager
    async def _listen(
        self, path: str, endpoint: Endpoint, max_message_size: int, mode: int, backlog: int
    ) -> AsyncGenerator[Serving]:
        with binding(path):
            async with starting_alone(os.path.dirname(path)):
                remove_stale(path)
                sock, identity = bind_unix(path, mode, backlog)
        with sock:
            serving = Serving(f"unix://{quote(os.fsencode(path))}", sock, endpoint, max_message_size, lambda _: path)
            async with run(serving, retire=lambda: remove_if(path, identity)):
                yield serving


def _socket_path(uri: URI) -> str:
    if not hasattr(socket, "AF_UNIX"):
        raise URIError("this platform has no unix: sockets")
    if uri.username is not None or uri.authority or uri.query or "#" in uri.rest or not uri.path:
        raise URIError(
            f"a unix: address is unix:///absolute/path (write ? as %3F, # as %23) and nothing else, not {uri}"
        )
    name = unquote_to_bytes(uri.path)
    if b"\0" in name:
        raise URIError("the path of a unix: address cannot hold a zero byte")
    if len(name) >= SUN_PATH:
        raise URIError(f"the path of this unix: address has {len(name)} bytes; here the limit is {SUN_PATH - 1}")
    return os.fsdecode(name)
