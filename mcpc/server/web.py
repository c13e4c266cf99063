"""`asgi_app`: a server as part of a web application. Knows ASGI and no web framework."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import signature
from typing import Any, Unpack

import anyio

from mcpc.detached import spawn_detached
from mcpc.errors import URIError
from mcpc.keywords import refuse_unknown
from mcpc.mount import ASGIApp, Mount, Mountable
from mcpc.options import MountOptions, merged
from mcpc.server.binding import bind
from mcpc.server.serving import ServerEndpoint
from mcpc.transport import traits_of
from mcpc.uri import resolve, schemes

__all__ = ["WebApp", "asgi_app"]


class WebApp:
    """An ASGI application that serves one server; made by `asgi_app`.

    Args:
        endpoint: What the mounts serve.
        mounts: What serves it.
        needs_lifespan: Whether the server's lifespan is entered here, since a transport does not do it.
    """

    def __init__(self, endpoint: ServerEndpoint, mounts: Collection[Mount], needs_lifespan: bool) -> None:
        self._endpoint = endpoint
        self._mounts = mounts
        self._needs_lifespan = needs_lifespan
        self._started: anyio.Event | None = None
        self._failure: BaseException | None = None
        self._routes: dict[tuple[str, str], ASGIApp] = {
            (mount.kind, path.rstrip("/")): app for mount in mounts for path, app in mount.apps.items()
        }
        self._others: dict[str, ASGIApp] = {mount.kind: next(iter(mount.apps.values())) for mount in mounts}

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncGenerator[None]:
        """While it is entered the server is served: for the lifespan of the application that this one is mounted in.

        Without it, serving begins with the first request, and ends with the process: tasks that run then are cut off.
        """
        workshop = self._endpoint.workshop
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(workshop.hold())
            if self._needs_lifespan:
                await stack.enter_async_context(self._endpoint.lifespan())
            for mount in self._mounts:
                await stack.enter_async_context(mount.running)
            workshop.listeners += 1
            self._started = self._started or anyio.Event()
            self._started.set()
            try:
                yield
            finally:
                workshop.listeners -= 1
                if workshop.listeners == 0:
                    with anyio.CancelScope(shield=True):
                        await workshop.wind_down()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        if self._started is None:
            self._started = anyio.Event()
            spawn_detached(self._until_the_end)
        await self._started.wait()
        if self._failure is not None:
            raise RuntimeError("the server could not be started") from self._failure
        path = _own_path(scope)
        app = self._routes.get((scope["type"], path.rstrip("/"))) or self._others.get(scope["type"], _refuse)
        await app({**scope, "path": path}, receive, send)

    async def _until_the_end(self) -> None:
        try:
            async with self.lifespan():
                await anyio.sleep_forever()
        except Exception as exc:
            self._failure = exc
            assert self._started is not None
            self._started.set()

    async def _serve_lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _own_path(scope: Mapping[str, Any]) -> str:
    """The path below where we are mounted.

    Web servers differ in whether `path` has their own `root_path` in front (uvicorn) or not (Hypercorn), and a mount
    adds its prefix to `root_path` alone: what that was before is `app_root_path` (Starlette).
    """
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    for prefix in (root, root.removeprefix(scope.get("app_root_path", "").rstrip("/"))):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :]
    return path


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket where none is served."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


def asgi_app(
    server: Any,
    *,
    transports: Collection[str] | None = None,
    path: str = "/mcp",
    transport_options: Mapping[str, Any] | None = None,
    **options: Unpack[MountOptions],
) -> WebApp:
    """A server as an ASGI application, to be mounted in a web application, or served by a web server as it is.

    The server's own routes (`custom_route`) are served too, beside `path`. Mounted in an application, give that one
    `app.lifespan`, so that tasks end in good order; see `docs/web-apps.md`.

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        transports: Which of the transports that can be mounted (`http`, `sse`, `ws`); all, where none is given.
        path: Where they are served; the older HTTP+SSE beside it, at `sse`.
        transport_options: More of them, for transports whose options are not among `MountOptions`.
        options: The transports' options for this: `token_verifier`, `allowed_origins`, `allowed_hosts`,
            `max_message_size`, … Each goes to the transports that have it.

    Raises:
        URIError: the path, or a transport's name, cannot be used.
        UnknownOption: none of the transports has such an option.
        MCPCError: it is not a server.
    """
    if not path.startswith("/"):
        raise URIError(f"the path must begin with a slash, unlike {path!r}")
    binding = bind(server)
    endpoint = ServerEndpoint(binding)
    chosen = _chosen(transports)
    taken = {name: _options_of(transport) for name, transport in chosen.items()}
    given = merged(options, transport_options)
    known = {name for each in taken.values() for name in each}
    refuse_unknown("asgi_app", sorted(known), given, others=("transports", "path"))
    mounts = [
        transport.mount(endpoint, path, **{each: value for each, value in given.items() if each in taken[name]})
        for name, transport in chosen.items()
    ]
    return WebApp(endpoint, mounts, not all(traits_of(transport).drives_server for transport in chosen.values()))


def _options_of(transport: Mountable) -> set[str]:
    return {p.name for p in signature(transport.mount).parameters.values() if p.kind is p.KEYWORD_ONLY}


def _chosen(names: Collection[str] | None) -> dict[str, Mountable]:
    """The transports of these names, or all that can be mounted."""
    found: dict[str, Any] = {}
    for scheme in schemes():
        transport = resolve(scheme)
        if traits_of(transport).mounted_as:
            found.setdefault(traits_of(transport).mounted_as, transport)
    wanted = list(found) if names is None else [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown or not wanted:
        raise URIError(f"transports are some of {', '.join(found)}; not {', '.join(map(repr, unknown)) or 'none'}")
    return {name: found[name] for name in wanted}
