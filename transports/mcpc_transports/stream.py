"""`unix:///path` and `tcp://host:port`: newline-framed JSON-RPC over a stream socket.

Neither has authentication, so both keep to this machine and this user unless told
otherwise: a socket file is 0600, a TCP listener binds to loopback, and a client
that does not speak JSON-RPC (a web page's POST, say) is dropped at its first line.
What happens on a socket once it is there is not told here.
"""

import ipaddress
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import anyio

from mcpc.errors import ListenFailed, URIError
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, LOOPBACK_HOSTS, URI, Endpoint, FrameChannel, Listener
from mcpc_transports._sockets import POLL, Serving, binding, channel_over, connect_socket, dialling, open_tcp, run

if sys.platform != "win32":
    import fcntl

__all__ = ["TcpTransport", "UnixTransport"]

OPEN_TIMEOUT = 10.0
"""Seconds to connect in, unless `open_timeout` says otherwise."""

BACKLOG = 128
"""Connections that may wait to be accepted."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another listener that starts in the same directory."""

SUN_PATH = 104 if sys.platform == "darwin" else 108
"""Bytes of a socket's path, its ending zero included: unix(7)."""


# --- tcp ---


class TcpTransport:
    """Serves `tcp://host:port`."""

    def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE, open_timeout: float = OPEN_TIMEOUT
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Connect to `uri`.

        Args:
            uri: `tcp://host:port`.
            max_message_size: Bytes of the largest message accepted.
            open_timeout: Seconds to connect in, the search for the host's name included.
        """
        host, port = _host_and_port(uri)
        if port == 0:
            raise URIError("port 0 can only be listened on: it means any free port")
        return self._connect(host, port, max_message_size, open_timeout)

    @asynccontextmanager
    async def _connect(
        self, host: str, port: int, max_message_size: int, seconds: float
    ) -> AsyncGenerator[FrameChannel]:
        with dialling(f"tcp://{_authority((host, port))}", seconds), anyio.fail_after(seconds):
            sock = await open_tcp(host, port, seconds)
        async with channel_over(sock, max_message_size) as channel:
            yield channel

    def listen(
        self,
        uri: URI,
        endpoint: Endpoint,
        /,
        *,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        allow_remote: bool = False,
        backlog: int = BACKLOG,
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve `uri`.

        Args:
            uri: `tcp://host:port`; port 0 is any free port.
            endpoint: What to serve.
            max_message_size: Bytes of the largest message accepted.
            allow_remote: Bind to an address that other machines can reach. There is no authentication.
            backlog: Connections that may wait to be accepted.
        """
        host, port = _host_and_port(uri)
        return self._listen(host, port, endpoint, max_message_size, allow_remote, backlog)

    @asynccontextmanager
    async def _listen(
        self, host: str, port: int, endpoint: Endpoint, max_message_size: int, allow_remote: bool, backlog: int
    ) -> AsyncGenerator[Serving]:
        where = f"tcp://{_authority((host, port))}"
        if not allow_remote and not _is_loopback(host):
            raise ListenFailed(
                f"{where} can be reached from other machines, and tcp: has no authentication; "
                "bind to 127.0.0.1, or pass allow_remote=True"
            )
        # Bound to one family: with any free port, two families would get two ports.
        host = "127.0.0.1" if host.lower() == "localhost" else host
        with binding(where):
            sock = await _bind_tcp(host, port, backlog)
        uri = f"tcp://{_authority((_dialable(host), sock.getsockname()[1]))}"
        with sock:
            serving = Serving(uri, sock, endpoint, max_message_size, _authority)
            async with run(serving, retire=lambda: None):
                yield serving


def _host_and_port(uri: URI) -> tuple[str, int]:
    if uri.username is not None or uri.path or uri.query or "#" in uri.rest:
        raise URIError(f"a tcp: address is tcp://host:port and nothing else, not {uri}")
    if not uri.host or uri.port is None:
        raise URIError("a tcp: address needs a host and a port: tcp://host:port")
    return uri.host, uri.port


def _authority(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() in LOOPBACK_HOSTS or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _dialable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


async def _bind_tcp(host: str, port: int, backlog: int) -> socket.socket:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sys.platform != "win32":  # there it would let a second listener steal the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


# --- unix ---


class UnixTransport:
    """Serves `unix:///absolute/path`."""

    def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE, open_timeout: float = OPEN_TIMEOUT
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
            async with _starting_alone(os.path.dirname(path)):
                _remove_stale(path)
                sock, identity = _bind_unix(path, mode, backlog)
        with sock:
            serving = Serving(f"unix://{quote(os.fsencode(path))}", sock, endpoint, max_message_size, lambda _: path)
            async with run(serving, retire=lambda: _remove_if(path, identity)):
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


@asynccontextmanager
async def _starting_alone(directory: str) -> AsyncGenerator[None]:
    """Keep other listeners from starting in `directory`: of two that find the same stale file, only one may replace it.

    The lock leaves nothing behind. Where it cannot be had, the start goes on without: it only closes a narrow race.
    """
    descriptor = await _lock(directory)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _lock(directory: str) -> int | None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        with anyio.move_on_after(LOCK_TIMEOUT):
            # A lock tells nobody when it is free.
            while not _try_lock(descriptor):  # noqa: ASYNC110
                await anyio.sleep(POLL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _remove_stale(path: str) -> None:
    """Make room for a new socket file.

    Raises:
        ListenFailed: what is there is in use, or is not ours to remove.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenFailed(f"cannot serve {path}: it exists and is not a socket; it was left alone")
    if _answers(path):
        raise ListenFailed(f"{path} is already served")
    if found.st_uid != os.geteuid():
        raise ListenFailed(f"cannot serve {path}: the socket there belongs to another user")
    with suppress(FileNotFoundError):
        os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # somebody listens, and is busy
        return True


def _bind_unix(path: str, mode: int, backlog: int) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket, and which file it is.

    No other user can connect too early: until `listen` every connect is refused, and by then the mode is set. On
    Linux the file is even made with it, less the umask, as that is taken from the unbound socket: unix(7) and bind(2).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with suppress(OSError):
            os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        made = os.lstat(path)
        identity = made.st_dev, made.st_ino
        if stat.S_IMODE(made.st_mode) != mode:
            _change_mode(path, mode)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock, identity


def _change_mode(path: str, mode: int) -> None:
    """Change a file's mode, but never that of what a symbolic link points to: somebody may have put one there."""
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(path, mode, follow_symlinks=False)
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


def _remove_if(path: str, identity: tuple[int, int]) -> None:
    """Remove a socket file if it is still the one. (While the socket is open, no other file gets its inode number.)"""
    with suppress(OSError):
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == identity:
            os.unlink(path)
