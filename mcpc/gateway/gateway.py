"""`Gateway`: many servers behind one, kept up for as long as it is entered."""

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Self, Unpack, cast

import anyio
import anyio.abc
from mcp.server import MCPServer
from mcp.server.auth.provider import TokenVerifier

from mcpc.config import NamedServer, named_servers
from mcpc.errors import ConfigError
from mcpc.gateway.child import Child
from mcpc.gateway.front import Front
from mcpc.gateway.naming import prefixes_of
from mcpc.gateway.status import ServerStatus, StatusRoute
from mcpc.gateway.telling import Telling
from mcpc.logs import logger_of
from mcpc.messages import MCPCMessage
from mcpc.sdk import server_without_logging
from mcpc.server import LimitOptions, MCPCHelper

__all__ = ["Gateway"]

logger: logging.Logger = logger_of(__name__)

STATUS_PATH = "/status"
"""Where the state of all is told over HTTP."""


class Gateway:
    """Many servers as one: `server` has the tools and prompts of all, as `NAME__TOOL`, and their resources.

    While it is entered each of them is connected to, or its command run; what ends is started again, after waits that
    grow from 0.2 to 30 seconds and begin anew once it has stood for a while. What one does harms no other: calls of its
    tools end with an error that says what became of it. Serve `server` inside, at any address, and at any number.

    Args:
        servers: A configuration (`mcpServers`), a file or what it holds, or servers of one. One that is `disabled`
            there is left out.
        name: The name of `server`.
        status_verifier: Who may read `/status` over HTTP; None for anybody who reaches the address.
        limits: The bounds of `server`, by the names in `Limits`.

    Raises:
        ConfigError: the configuration cannot be read, it names no servers, or two could not be told apart.
    """

    def __init__(
        self,
        servers: "str | PathLike[str] | Mapping[str, Any] | Sequence[NamedServer]",
        *,
        name: str = "mcpc-gateway",
        status_verifier: TokenVerifier | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        found = _enabled(servers)
        self._telling = Telling()
        self.server: MCPServer[Any] = server_without_logging(name, self._telling.bus)
        """Serve it with `mcpc.listen` and its like."""
        self._callbacks = MCPCHelper(self.server, **limits)
        prefixes = prefixes_of(server.name for server in found)
        self._children = {
            prefixes[server.name]: Child(server, prefixes[server.name], self._announce, self._telling.tell)
            for server in found
        }
        self._group: anyio.abc.TaskGroup | None = None
        Front(self._callbacks.binding, self._children).install()
        self._telling.install(self._callbacks.binding.lowlevel)
        route: Any = StatusRoute(self.status, status_verifier)
        self.server.custom_route(STATUS_PATH, methods=["GET"])(route)

    def status(self) -> list[ServerStatus]:
        """How each server stands, in the order of the configuration."""
        return [child.status for child in self._children.values()]

    async def __aenter__(self) -> Self:
        """Begin to start all of them; waits for none."""
        self._group = self._telling.tasks = await anyio.create_task_group().__aenter__()
        for child in self._children.values():
            self._group.start_soon(child.run)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """End all of them, in the task that entered."""
        group, self._group, self._telling.tasks = self._group, None, None
        if group is None:
            return None
        group.cancel_scope.cancel()
        is_error = exc_val is None or isinstance(exc_val, Exception)
        # An ordinary exception is not shown to the group, which would wrap it, and does not swallow it either.
        ended = await group.__aexit__(*((None, None, None) if is_error else (exc_type, exc_val, exc_tb)))
        return None if is_error else ended

    async def _announce(self, message: MCPCMessage) -> None:
        """A server event of one of them, to those of our clients that know its session."""
        await self._callbacks.emit(message.event, message.result, session_id=message.session_id)


def _enabled(servers: "str | PathLike[str] | Mapping[str, Any] | Sequence[NamedServer]") -> list[NamedServer]:
    if isinstance(servers, str | PathLike | Mapping):
        found = named_servers(servers)
        where = "the configuration" if isinstance(servers, Mapping) else str(servers)
    else:
        found, where = list(servers), "the configuration"
    enabled = [server for server in found if not _is_disabled(server)]
    if not enabled:
        raise ConfigError(f"{where} names no servers{' that are not disabled' if found else ''}")
    return enabled


def _is_disabled(server: NamedServer) -> bool:
    entry = cast("object", server.entry)
    return isinstance(entry, Mapping) and cast("Mapping[str, Any]", entry).get("disabled") is True
