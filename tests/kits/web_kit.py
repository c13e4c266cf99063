"""Real web servers for an ASGI application, and a real reverse proxy in front of them that strips a prefix."""

import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import hypercorn.asyncio
import hypercorn.config
import uvicorn

from relay import Relay

__all__ = ["WEB_SERVERS", "PrefixProxy", "in_hypercorn", "in_uvicorn", "prefix_proxy"]

HYPERCORN: Any = hypercorn.asyncio.serve  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

Serving = Callable[..., AbstractAsyncContextManager[str]]


class _Uvicorn(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The test's process keeps its own."""


@asynccontextmanager
async def in_uvicorn(app: Any, root_path: str = "", **options: Any) -> AsyncGenerator[str]:
    """An application in uvicorn; gives `host:port`."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="critical",
        ws="websockets-sansio",
        root_path=root_path,
        **options,
    )
    server = _Uvicorn(config)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve)
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it by an attribute
                await anyio.sleep(0.01)
            try:
                yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            finally:
                server.should_exit = True


@asynccontextmanager
async def in_hypercorn(app: Any, root_path: str = "") -> AsyncGenerator[str]:
    """An application in Hypercorn; gives `host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.root_path = root_path
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 1
    over = anyio.Event()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                await HYPERCORN(app, config, shutdown_trigger=over.wait)

            group.start_soon(serve)
            try:
                yield f"127.0.0.1:{listener.getsockname()[1]}"  # who dials too early waits in the backlog
            finally:
                over.set()
    listener.detach()


WEB_SERVERS: dict[str, Serving] = {"uvicorn": in_uvicorn, "hypercorn": in_hypercorn}


class PrefixProxy(Relay):
    """Passes requests for paths below its prefix on without it, one a connection, and answers all others 404."""

    def __init__(self, at: str, prefix: str) -> None:
        self._prefix = prefix.encode()
        host, _, port = at.rpartition(":")
        listener = socket.create_server(("127.0.0.1", 0))
        self.at = f"127.0.0.1:{listener.getsockname()[1]}"
        super().__init__(f"http://{self.at}{prefix}", listener, lambda: socket.create_connection((host, int(port))), [])

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (data := source.recv(65536)):
                head += data
            target.sendall(self._stripped(head))
        super()._pass(source, target)

    def _stripped(self, head: bytes) -> bytes:
        line, _, rest = head.partition(b"\r\n")
        method, path, version = line.split(b" ")
        path = path.removeprefix(self._prefix) if path.startswith(self._prefix + b"/") else b"/not/here"
        fields, _, body = rest.partition(b"\r\n\r\n")
        kept = fields.split(b"\r\n")
        if not any(field.lower().startswith(b"upgrade:") for field in kept):
            kept = [field for field in kept if not field.lower().startswith(b"connection:")]
            kept.append(b"connection: close")
        return b" ".join((method, path, version)) + b"\r\n" + b"\r\n".join(kept) + b"\r\n\r\n" + body


@contextmanager
def prefix_proxy(at: str, prefix: str) -> Generator[PrefixProxy]:
    """A reverse proxy in front of `at`; `proxy.at` is `host:port`."""
    proxy = PrefixProxy(at, prefix)
    try:
        yield proxy
    finally:
        proxy.close()
