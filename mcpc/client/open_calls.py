"""`OpenCalls`: tool calls whose answers are not in yet, and the messages of their tasks, which wait for them.

So `created` is the first that is heard of a task. Knows nothing of connections, and of where messages go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_types import RequestId

from mcpc.client.held import Held
from mcpc.messages import MCPCMessage
from mcpc.wire.callbacks import messages_in_content
from mcpc.wire.jsontext import json_size

__all__ = ["OpenCall", "OpenCalls"]


@dataclass(slots=True, eq=False, weakref_slot=True)
class OpenCall:
    """A tool call whose answer is not in yet."""

    task_id: str
    held: Held = field(default_factory=Held)
    has_missed: bool = False
    """Whether messages were missed meanwhile: what is heard with its answer tells nothing of those."""

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return True

    def answered(self, result: Mapping[str, Any] | None) -> Iterator[tuple[MCPCMessage, int]]:
        """The messages in the answer, then those that waited for it, with their bytes. None where the call failed."""
        for message in messages_in_content(None if result is None else result.get("content")):
            if message.event != "created" or message.task_id == self.task_id:  # else it was told of when it was begun
                yield message, json_size(message.result)
        yield from self.held


class OpenCalls:
    """Those of one connection."""

    def __init__(self) -> None:
        self._by_request: dict[RequestId, OpenCall] = {}
        self.by_task: dict[str, OpenCall] = {}
        """Those that hold something back, by task."""

    def __len__(self) -> int:
        return len(self.by_task)

    def sent(self, request_id: RequestId, task_id: str | None) -> None:
        """A tool call is on its way; one with a task that waits already holds nothing."""
        if task_id is not None and task_id not in self.by_task:
            self._by_request[request_id] = self.by_task[task_id] = OpenCall(task_id)

    def close(self, request_id: RequestId) -> OpenCall | None:
        """The call whose answer is in, if it held anything: it is open no more."""
        call = self._by_request.pop(request_id, None)
        if call is not None:
            del self.by_task[call.task_id]
        return call

    def missed(self) -> None:
        """Messages were missed, perhaps of tasks whose calls are open."""
        for call in self.by_task.values():
            call.has_missed = True

    @property
    def requests(self) -> list[RequestId]:
        """The requests that wait for their answers."""
        return list(self._by_request)

    def of(self, message: MCPCMessage) -> OpenCall | None:
        """The call that a message has to wait for."""
        return self.by_task.get(message.task_id) if self.by_task and message.task_id is not None else None
