"""Every error this library raises, and nothing else.

::

    MCPCError
    ├── URIError                 the address is wrong; nothing was opened
    │   ├── UnknownScheme            no installed transport serves it
    │   ├── UnknownOption            there is no such option  (also TypeError)
    │   └── MissingExtra             the transport needs a package that is not installed
    ├── TransportError           a connection could not be made or kept
    │   ├── ConnectFailed            nobody answered, or the peer refused us
    │   │   └── ConnectRefused           … for good: dialling again would change nothing
    │   ├── ListenFailed             the address cannot be served
    │   ├── ChannelClosed            closed by us        (also anyio.ClosedResourceError)
    │   ├── ChannelEnded             ended by the peer   (also anyio.EndOfStream)
    │   ├── ChannelBroken            broken by the world (also anyio.BrokenResourceError)
    │   └── ConnectionLost           the connection went away under a pending call or task
    │       └── ServerStopping       it is about to: the server began nothing more
    ├── FrameError               one frame was bad; the connection goes on
    │   └── FrameTooLarge            it was over `max_message_size`
    ├── MessageError             a value cannot be an MCPC message (also ValueError)
    ├── LimitReached             a limit of the server is reached; nothing was done
    ├── TimedOut                 a call or a task took too long  (also TimeoutError)
    ├── StoreError               the store of tasks and logs did not do what was asked
    │   ├── StoreUnavailable         it cannot be reached now; the same again may work
    │   ├── StoreFull                it has no room; nothing was forgotten for it
    │   ├── StoreSchema              what is there was made by a newer mcpc, or is not ours
    │   └── StoreRefused             it may not be used so: permissions, settings, a foreign channel
    ├── ChannelFileRefused       a client's channel file cannot be used: its permissions, or another client has it
    └── TaskError                something about one task
        ├── TaskFailed               it ended as `failed`
        │   ├── TaskStopped              … because somebody stopped it
        │   ├── TaskInterrupted          … because the process that ran it died
        │   └── TooManyTasks             … before it began: a limit on tasks is reached (also LimitReached)
        ├── TaskEnded                it has ended already; nothing can be sent to it
        ├── UnknownTask              no such task on this channel
        ├── TaskHeld                 another process has it, and has not handed it off
        ├── DuplicateTask            the id of a new task is in use
        ├── KeyRefused               the key of a start is another start's, or the server knows no keys
        ├── InputRefused             no more inputs may wait (also LimitReached)
        └── PromptError              no such open prompt, or the answer does not fit it

Three endings of a channel are told apart (as in anyio's streams), so that a
caller can treat "I closed it" and "the cable was cut" differently.
"""

from typing import Any, Literal

import anyio

__all__ = [
    "ChannelBroken",
    "ChannelClosed",
    "ChannelEnded",
    "ChannelFileRefused",
    "ConfigError",
    "ConnectFailed",
    "ConnectRefused",
    "ConnectionLost",
    "DuplicateTask",
    "FINAL_STATUSES",
    "FrameError",
    "FrameKind",
    "FrameTooLarge",
    "InputRefused",
    "KeyRefused",
    "LimitReached",
    "ListenFailed",
    "MCPCError",
    "MessageError",
    "MissingExtra",
    "PromptError",
    "ServerStopping",
    "StoreError",
    "StoreFull",
    "StoreRefused",
    "StoreSchema",
    "StoreUnavailable",
    "TaskEnded",
    "TaskError",
    "TaskFailed",
    "TaskHeld",
    "TaskInterrupted",
    "TaskStopped",
    "TimedOut",
    "TooManyTasks",
    "TransportError",
    "URIError",
    "UnknownOption",
    "UnknownScheme",
    "UnknownTask",
]


FrameKind = Literal["request", "notification", "answer", "noise"]
"""What a frame was: one of JSON-RPC's three kinds, or no message at all."""


class MCPCError(Exception):
    """The root of every error here."""


class URIError(MCPCError, ValueError):
    """An address cannot be used; nothing was opened."""


class UnknownScheme(URIError):
    """No installed transport serves this scheme."""


class UnknownOption(URIError, TypeError):
    """There is no such option; the message says which there are, and which was likely meant."""


class MissingExtra(URIError):
    """The transport needs a package that is not installed."""


class ConfigError(MCPCError, ValueError):
    """A configuration of servers by name cannot be used; nothing was opened. The message says where the mistake is."""


class TransportError(MCPCError):
    """A connection could not be made or kept."""


class ConnectFailed(TransportError, ConnectionError):
    """Nobody answered at the address, or the peer refused us."""


FINAL_STATUSES = frozenset((401, 403, 404))
"""What an HTTP server answers that will answer the same the next time: other credentials, or another address."""


class ConnectRefused(ConnectFailed):
    """The peer answered, and does not want us: dialling again would change nothing."""


class ListenFailed(TransportError, OSError):
    """The address cannot be served."""


class ChannelClosed(TransportError, anyio.ClosedResourceError):
    """Used after we closed it."""


class ChannelEnded(TransportError, anyio.EndOfStream):
    """The peer ended it in good order."""


class ChannelBroken(TransportError, anyio.BrokenResourceError):
    """It was cut, or can no longer be trusted."""


class ConnectionLost(TransportError, ConnectionError):
    """The connection went away while something waited on it."""


class ServerStopping(ConnectionLost):
    """The server is shutting down: it began nothing, and its connections are about to go. Another may do it."""


class FrameError(MCPCError, ValueError):
    """One frame was bad; the next one may be good.

    Attributes:
        code: The JSON-RPC error code to answer with.
        request_id: The id of the message, or None where it had none that can be used.
        kind: What the message was, as far as that can be seen; None where it cannot.
        data: What else the answer says; None for nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = -32600,
        request_id: str | int | None = None,
        kind: FrameKind | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.kind: FrameKind | None = kind
        self.data: dict[str, Any] | None = None


class FrameTooLarge(FrameError):
    """A frame was over the limit.

    Attributes:
        limit: The limit that was passed, in bytes.
    """

    def __init__(self, limit: int, *, request_id: str | int | None = None, kind: FrameKind | None = None) -> None:
        super().__init__(f"message is over the limit of {limit} bytes", request_id=request_id, kind=kind)
        self.limit = limit


class MessageError(MCPCError, ValueError):
    """A value cannot be an MCPC message."""


class LimitReached(MCPCError):
    """A limit of the server is reached; nothing was done. The text says what the limit is and how to change it.

    Attributes:
        limit: The limit's name, as the server's author gives it; None where it was not told.
        value: What it is set to.
    """

    def __init__(self, message: str, *, limit: str | None = None, value: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value


class TimedOut(MCPCError, TimeoutError):
    """A call or a task was silent for too long, or took too long, and was ended here and at the server.

    Attributes:
        limit: Which bound it was: `timeout` (silence) or `max_timeout` (in all).
        seconds: The bound.
    """

    def __init__(self, message: str, limit: Literal["timeout", "max_timeout"], seconds: float) -> None:
        super().__init__(message)
        self.limit: Literal["timeout", "max_timeout"] = limit
        self.seconds = seconds


class StoreError(MCPCError):
    """The store of tasks and logs did not do what was asked."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store cannot be reached, or is locked, for now. The same call again may work, and does no harm."""


class StoreFull(StoreError):
    """The store has no room. Nothing that must be kept was forgotten to make some."""


class StoreSchema(StoreError):
    """What the store holds was made by a newer mcpc, or by another program; it was left as it is."""


class StoreRefused(StoreError, ValueError):
    """The store may not be used so: its permissions or its settings forbid it, or it was asked for nonsense."""


class ChannelFileRefused(MCPCError):
    """A client's channel file cannot be used: others may read it, another client has it open, or it is no such file."""


class TaskError(MCPCError):
    """Something about one task."""


class TaskFailed(TaskError):
    """The task ended as `failed`.

    Attributes:
        task_id: Which task.
        result: What the terminal message carried, as it came.
    """

    def __init__(self, message: str, *, task_id: str | None = None, result: Any = None) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.result = result


class TaskStopped(TaskFailed):
    """The task ended because somebody stopped it."""


class TaskInterrupted(TaskFailed):
    """The task ended because the process that ran it died, or lost its lease, and it may not run again."""


class TooManyTasks(TaskFailed, LimitReached):
    """A limit on tasks is reached; nothing was started."""

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        value: float | None = None,
        task_id: str | None = None,
        result: Any = None,
    ) -> None:
        LimitReached.__init__(self, message, limit=limit, value=value)
        self.task_id = task_id
        self.result = result


class TaskEnded(TaskError):
    """The task has ended; nothing can be sent to it."""


class UnknownTask(TaskError, LookupError):
    """No such task on this channel. Another channel's task looks just the same."""


class TaskHeld(TaskError):
    """Another process has the task, and did not hand it off in time."""


class DuplicateTask(TaskError):
    """The id of a new task is in use; nothing was started."""


class KeyRefused(TaskError):
    """The key of a start was used for another tool or other arguments, or the server knows no keys. Nothing started."""


class InputRefused(TaskError, LimitReached):
    """No more inputs may wait for the task; nothing was queued."""


class PromptError(TaskError, ValueError):
    """There is no such open prompt, the answer does not fit it, or nobody can or will answer.

    Attributes:
        action: What the user chose who will not answer: `decline` or `cancel`.
        closed: Whether the prompt takes no answer any more, whatever it is: it has had one, or was given up.
    """

    def __init__(self, message: str, *, action: str | None = None, closed: bool = False) -> None:
        super().__init__(message)
        self.action = action
        self.closed = closed
