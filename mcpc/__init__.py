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
    TaskEnded,
    TaskError,
    TaskFailed,
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
    "TaskError",
    "TaskFailed",
    "TaskStopped",
    "TaskEnded",
    "UnknownTask",
    "DuplicateTask",
    "TooManyTasks",
    "InputRefused",
    "PromptError",
]
