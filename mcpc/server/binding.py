"""What makes an MCP server an MCPC server: the rooms of this house, put together and installed on it.

One binding a server, found again by `bind`. It adds a middleware, the `mcpc/*`
methods, both extensions in the server's capabilities, and a hold on the workshop
for as long as the server is served, whoever serves it.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp.server import Server

from mcpc.errors import MCPCError
from mcpc.later import later
from mcpc.messages import MCPCMessage
from mcpc.server.calls import CallReader
from mcpc.server.desk import Desk
from mcpc.server.direct import DirectForm
from mcpc.server.handed import HandedTasks
from mcpc.server.keeper import Source
from mcpc.server.kinds import lowlevel_of
from mcpc.server.limits import Limits
from mcpc.server.meters import show
from mcpc.server.methods import add_methods
from mcpc.server.reception import Reception
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.server.store_option import address_of, source_of
from mcpc.server.told_limit import information
from mcpc.server.workshop import Workshop
from mcpc.wire.names import CALLBACKS_EXTENSION

if TYPE_CHECKING:
    from mcpc.server import stored_desk, stored_reception, stored_workshop
    from mcpc.server.events import Events
else:  # most servers have no store
    stored_desk = later("mcpc.server.stored_desk")
    stored_reception = later("mcpc.server.stored_reception")
    stored_workshop = later("mcpc.server.stored_workshop")

__all__ = ["Binding", "bind"]

_ATTRIBUTE = "mcpc_binding"


def bind(server: Any, limits: Limits | None = None, source: Source | None = None) -> "Binding":
    """The binding of `server`, made at the first call.

    Args:
        server: The server.
        limits: The bounds of its tasks and channels.
        source: Opens its store; by default the one that the environment names, if it does.

    Raises:
        MCPCError: it is not a server, or it is bound already with other limits, or another store.
    """
    lowlevel = lowlevel_of(server)
    binding: Binding | None = vars(lowlevel).get(_ATTRIBUTE)
    if binding is None:
        limits = limits or Limits()
        binding = Binding(server, lowlevel, limits, source or source_of(None, limits))
        setattr(lowlevel, _ATTRIBUTE, binding)  # on the server itself, so that the two live and die together
        binding.install()
    elif limits is not None and limits != binding.workshop.limits:
        raise MCPCError("this server has a helper already, with other limits; make one helper and share it")
    elif source is not None and source != binding.source:
        raise MCPCError("this server has a helper already, with another store or none; make one helper and share it")
    return binding


class Binding:
    """The MCPC side of one server."""

    def __init__(self, server: Any, lowlevel: Server[Any], limits: Limits, source: Source | None) -> None:
        self.server = server
        self.lowlevel = lowlevel
        self.background_tools: set[str] = set()
        """The names of the tools made with `@callbacks.tool()`."""
        self.task_required_tools: set[str] = set()
        """Those of them that refuse a caller who can follow no task."""
        self.hands_out = False
        """Whether plain callers of any of them get a handle after some seconds."""
        self.source: Source | None = source
        front = _front(limits, source)
        self.desk: Desk = front[0]
        self.reception: Reception = front[1]
        self.workshop: Workshop = self.desk.workshop
        self.handed: HandedTasks = HandedTasks(limits.task_ttl, self.workshop.presence, self.workshop.stop)
        """The tasks whose plain callers have a handle."""
        self.sep2663: TasksExtension = TasksExtension(self.desk, lowlevel)
        """The same tasks, for clients that know the tasks extension."""
        self.events: Events | None = None
        """The server events that MCP Events clients may ask for, where that is served."""
        self._direct = DirectForm(self.workshop)

    @property
    def name(self) -> str:
        """The server's name: the provider, in the handshake."""
        return self.lowlevel.name

    @property
    def store(self) -> str | None:
        """The address of its store; None where it has none, or one without an address."""
        return address_of(self.source)

    async def announce(self, message: MCPCMessage) -> int:
        """Send a server event to the channels of its session, how many there were; and to who asks for events.

        Raises:
            StoreError: there is a store, and it cannot tell which channels there are.
        """
        count = await self.workshop.announce(message)
        if self.events is not None:
            self.events.take(message)
        return count

    def install(self) -> None:
        """Add what MCPC needs to the server. Done once."""
        calls = CallReader(
            self.server,
            self.lowlevel,
            self.desk,
            self.reception,
            self._direct,
            self.sep2663,
            self.background_tools,
            self.task_required_tools,
            self.handed,
        )
        self.lowlevel.middleware.append(calls)
        # With what `mcpc/info` would answer: so a client need not ask.
        self.lowlevel.extensions[CALLBACKS_EXTENSION] = information(self.lowlevel.name)
        add_methods(self.lowlevel, self.desk, self.reception, self._direct)
        self.sep2663.install()
        inner = self.lowlevel.lifespan

        def lifespan(server: Server[Any]) -> AbstractAsyncContextManager[Any]:
            return self._lifespan(inner(server))

        self.lowlevel.lifespan = lifespan

    @asynccontextmanager
    async def _lifespan(self, inner: AbstractAsyncContextManager[Any]) -> AsyncGenerator[Any]:
        async with self.workshop.hold(), inner as state:
            yield state


def _front(limits: Limits, source: Source | None) -> tuple[Desk, Reception]:
    """Where the clients of a new workshop ask: for tasks, and for journals."""
    if source is None:
        show(workshop := Workshop(limits))
        return Desk(workshop), Reception(workshop)
    show(stored := stored_workshop.StoredWorkshop(limits, source))
    return stored_desk.StoredDesk(stored), stored_reception.StoredReception(stored)
