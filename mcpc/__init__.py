"""Background tools for MCP: a tool answers at once, works on, and calls back, over any transport, picked by URI.

Server: `MCPCHelper`, `Task`, `SyncTask`; `run`, `serve`, `listen`, `asgi_app`.
Client: `Client`, `SyncClient`, `TaskHandle`, `connect`. Between: `bridge`, `Gateway`, `agents`. Errors: `MCPCError`.

    >>> import mcpc; from mcp.server import MCPServer
    >>> callbacks = mcpc.MCPCHelper(server := MCPServer("stock"))
    >>> @callbacks.tool()
    ... async def count(shelves: int, task: mcpc.Task) -> int:
    ...     await task.update("counting")
    ...     return 12 * shelves
    >>> with mcpc.SyncClient(server) as client:  # or a URI: ws://…, http://…, stdio:python server.py
    ...     task = client.start_task("count", {"shelves": 2})
    ...     print([message.event for message in task], task.result())
    ['created', 'update', 'complete'] 24
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mcpc.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEnded,
    ChannelFileRefused,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    DuplicateTask,
    FrameError,
    FrameTooLarge,
    InputRefused,
    KeyRefused,
    LimitReached,
    ListenFailed,
    MCPCError,
    MessageError,
    MissingExtra,
    PromptError,
    ServerStopping,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreSchema,
    StoreUnavailable,
    TaskEnded,
    TaskError,
    TaskFailed,
    TaskHeld,
    TaskInterrupted,
    TaskStopped,
    TimedOut,
    TooManyTasks,
    TransportError,
    UnknownOption,
    UnknownScheme,
    UnknownTask,
    URIError,
)

if TYPE_CHECKING:
    __version__: str
    from mcpc import agents
    from mcpc.bridge import bridge, bridging
    from mcpc.client import (
        Backoff,
        Client,
        ClientOptions,
        ClientStats,
        ConnectionState,
        MCPCHandler,
        SyncClient,
        SyncOptions,
        SyncTaskHandle,
        TaskHandle,
        connect,
    )
    from mcpc.config import NamedServer, named_server, named_servers
    from mcpc.ending import ProcessEnd
    from mcpc.gateway import Gateway, ServerStatus
    from mcpc.messages import MCPCInformation, MCPCMessage, MCPCToolParameters, Prompt, TaskInfo
    from mcpc.options import ConnectOptions, ListenOptions, MountOptions
    from mcpc.server import (
        LimitOptions,
        Limits,
        MCPCHelper,
        Served,
        ServerStats,
        SyncTask,
        Task,
        ToolOptions,
        WebApp,
        asgi_app,
        is_server,
        listen,
        run,
        serve,
    )
    from mcpc.server.attaching import AttachedTask, attach
    from mcpc.server.working import Working, work
    from mcpc.store_uri import inspect_store, open_store, register_store
    from mcpc.stored import StoreReport
    from mcpc.uri import register_transport

__all__ = [
    # server
    "MCPCHelper",
    "Task",
    "SyncTask",
    "Limits",
    "serve",
    "listen",
    "run",
    "work",
    "Working",
    "attach",
    "AttachedTask",
    "Served",
    "ServerStats",
    "asgi_app",
    "WebApp",
    "is_server",
    "ProcessEnd",
    # bridge
    "bridge",
    "bridging",
    "Gateway",
    "ServerStatus",
    # client
    "Client",
    "ClientStats",
    "TaskHandle",
    "Backoff",
    "SyncClient",
    "SyncTaskHandle",
    "connect",
    "MCPCHandler",
    # servers by name
    "NamedServer",
    "named_server",
    "named_servers",
    # agents
    "agents",
    # messages
    "MCPCMessage",
    "MCPCInformation",
    "MCPCToolParameters",
    "Prompt",
    "TaskInfo",
    # transports
    "register_transport",
    # options
    "ClientOptions",
    "SyncOptions",
    "ConnectOptions",
    "ListenOptions",
    "MountOptions",
    "LimitOptions",
    "ToolOptions",
    "ConnectionState",
    # stores
    "open_store",
    "inspect_store",
    "StoreReport",
    "register_store",
    # errors
    "MCPCError",
    "URIError",
    "UnknownScheme",
    "UnknownOption",
    "ConfigError",
    "MissingExtra",
    "TransportError",
    "ConnectFailed",
    "ConnectRefused",
    "ListenFailed",
    "ChannelClosed",
    "ChannelEnded",
    "ChannelFileRefused",
    "ChannelBroken",
    "ConnectionLost",
    "FrameError",
    "FrameTooLarge",
    "MessageError",
    "TimedOut",
    "StoreError",
    "StoreUnavailable",
    "StoreFull",
    "StoreSchema",
    "StoreRefused",
    "TaskError",
    "TaskFailed",
    "TaskStopped",
    "TaskInterrupted",
    "TaskEnded",
    "TaskHeld",
    "UnknownTask",
    "DuplicateTask",
    "TooManyTasks",
    "InputRefused",
    "KeyRefused",
    "LimitReached",
    "PromptError",
    "ServerStopping",
]

_ROOMS = {
    "mcpc.bridge": ("bridge", "bridging"),
    "mcpc.client": (
        "Backoff",
        "Client",
        "ClientOptions",
        "ClientStats",
        "ConnectionState",
        "MCPCHandler",
        "SyncClient",
        "SyncOptions",
        "SyncTaskHandle",
        "TaskHandle",
        "connect",
    ),
    "mcpc.config": ("NamedServer", "named_server", "named_servers"),
    "mcpc.ending": ("ProcessEnd",),
    "mcpc.gateway": ("Gateway", "ServerStatus"),
    "mcpc.messages": ("MCPCInformation", "MCPCMessage", "MCPCToolParameters", "Prompt", "TaskInfo"),
    "mcpc.options": ("ConnectOptions", "ListenOptions", "MountOptions"),
    "mcpc.server": (
        "LimitOptions",
        "Limits",
        "MCPCHelper",
        "Served",
        "ServerStats",
        "SyncTask",
        "Task",
        "ToolOptions",
        "WebApp",
        "asgi_app",
        "is_server",
        "listen",
        "run",
        "serve",
    ),
    "mcpc.server.attaching": ("AttachedTask", "attach"),
    "mcpc.server.working": ("Working", "work"),
    "mcpc.store_uri": ("inspect_store", "open_store", "register_store"),
    "mcpc.stored": ("StoreReport",),
    "mcpc.uri": ("register_transport",),
}
"""Where a name is at home. A room is entered when something of it is first asked for: with the SDK that takes half a
second, and a shell that asks for completions at each Tab needs none of it."""

_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # of the package that is installed; the wire's is `MCPCInformation.mcpc_version`
        return import_module("importlib.metadata").version(__name__)
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    room = f"{__name__}.{name}"
    try:
        return import_module(room)  # `import mcpc`, and then `mcpc.uri`
    except ModuleNotFoundError as exc:
        if exc.name != room:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _FrontDoor(ModuleType):
    """`mcpc.bridge` is the function, also after the room of that name was entered, which the import system would put
    into its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
