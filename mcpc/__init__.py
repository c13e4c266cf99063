"""Background tools for MCP: a tool answers at once, works on, and calls back, over any transport, picked by URI."""

from mcpc import agents
from mcpc.bridge import bridge, bridging
from mcpc.client import Backoff, Client, MCPCHandler, TaskHandle, connect
from mcpc.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEnded,
    ConnectFailed,
    ConnectionLost,
    DuplicateTask,
    FrameError,
    FrameTooLarge,
    InputRefused,
    ListenFailed,
    MCPCError,
    MessageError,
    MissingExtra,
    PromptError,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreSchema,
    StoreUnavailable,
    TaskEnded,
    TaskError,
    TaskFailed,
    TaskInterrupted,
    TaskStopped,
    TooManyTasks,
    TransportError,
    UnknownOption,
    UnknownScheme,
    UnknownTask,
    URIError,
)
from mcpc.messages import MCPCInformation, MCPCMessage, MCPCToolParameters, Prompt
from mcpc.server import Limits, MCPCHelper, SyncTask, Task, listen, run, serve
from mcpc.store_uri import open_store, register_store
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
    # bridge
    "bridge",
    "bridging",
    # client
    "Client",
    "TaskHandle",
    "Backoff",
    "connect",
    "MCPCHandler",
    # agents
    "agents",
    # messages
    "MCPCMessage",
    "MCPCInformation",
    "MCPCToolParameters",
    "Prompt",
    # transports
    "register_transport",
    # stores
    "open_store",
    "register_store",
    # errors
    "MCPCError",
    "URIError",
    "UnknownScheme",
    "UnknownOption",
    "MissingExtra",
    "TransportError",
    "ConnectFailed",
    "ListenFailed",
    "ChannelClosed",
    "ChannelEnded",
    "ChannelBroken",
    "ConnectionLost",
    "FrameError",
    "FrameTooLarge",
    "MessageError",
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
    "UnknownTask",
    "DuplicateTask",
    "TooManyTasks",
    "InputRefused",
    "PromptError",
]
