"""What arrives for one channel: numbered, each once, in order, and held back until its call is answered.

The inbox is fed from below (callbacks as they come, answers to tool calls as they
pass) and hands messages on. It keeps the highest number seen, ignores lower ones,
and reports what is missing as a `gap`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from mcp_types import RequestId

from mcpc.codec import LISTENING_METHOD, MESSAGES_METHOD, decode_direct, decode_messages, messages_in_content
from mcpc.dispatcher import DEFAULT_CAPACITY
from mcpc.messages import MCPCMessage

__all__ = ["GAP_EVENT", "Inbox"]

logger = logging.getLogger("mcpc")

GAP_EVENT = "gap"
EVERY_SESSION = "*"

Deliver = Callable[[MCPCMessage], bool]
"""Takes a message; False says that there is no room for it now."""


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose answer is not in yet."""

    task_id: str
    held: list[MCPCMessage] = field(default_factory=list[MCPCMessage])


class Inbox:
    """The receiving end of one channel.

    Args:
        deliver: Takes each message, in order.
        on_pause: Called when `deliver` had no room: what follows is not taken until `resume`.
    """

    def __init__(self, deliver: Deliver, on_pause: Callable[[], None]) -> None:
        self.last = 0
        """The highest number delivered."""
        self.epoch: str | None = None
        self.bad_messages = 0
        """What came in a callback and was not an MCPC message."""
        self.gaps = 0
        self.paused = False
        self.listening = anyio.Event()
        """Set when the server has confirmed that we listen."""
        self.on_lost_tasks: Callable[[set[str]], None] | None = None
        """Called when the server's log was lost, with the ids of the tasks that it still knows."""
        self._deliver = deliver
        self._on_pause = on_pause
        self._reported = 0
        """Up to where missing numbers have been reported."""
        self._calls: dict[RequestId, _OpenCall] = {}
        self._holds: dict[str, _OpenCall] = {}

    def take(self, message: dict[str, Any]) -> None:
        """A callback, as a decoded JSON-RPC message. Never raises for what the peer sent."""
        method = message.get("method")
        if method is None:
            for found in decode_direct(message["result"]):
                self._hand_on(found)
            return
        params: Any = message.get("params")
        if not isinstance(params, dict):
            self.bad_messages += 1
        elif method == MESSAGES_METHOD:
            self._messages(cast("dict[str, Any]", params))
        elif method == LISTENING_METHOD:
            self._listening(cast("dict[str, Any]", params))

    # --- numbers ---

    def _messages(self, params: dict[str, Any]) -> None:
        first: Any = params.get("first")
        values: Any = params.get("messages")
        if type(first) is not int or first < 1 or not isinstance(values, list):
            self.bad_messages += 1
            return
        if self.paused:
            return  # not taken: it comes again when we listen again
        news = cast("list[Any]", values)[max(0, self.last + 1 - first) :]
        number = max(first, self.last + 1)
        if news and first > self.last + 1 and first - 1 > self._reported:
            self._gap(self.last + 1, first - 1, None)
        for message in decode_messages(news):
            if message is None:
                self.bad_messages += 1
                logger.warning("message %d of the channel was not an MCPC message", number)
            elif not self._hand_on(message):
                self.paused = True
                self._on_pause()
                return
            self.last = number
            number += 1

    def _listening(self, params: dict[str, Any]) -> None:
        epoch, oldest = params.get("epoch"), params.get("oldest")
        tasks: Any = params.get("tasks")
        if not isinstance(epoch, str) or type(oldest) is not int:
            self.bad_messages += 1
            return
        known = self.epoch
        self.epoch = epoch
        if known is not None and known != epoch:
            missed_from, self.last, self._reported = self.last + 1, 0, 0
            self._gap(missed_from, None, tasks)
            if self.on_lost_tasks is not None:
                self.on_lost_tasks(_ids(tasks))
        elif oldest - 1 > max(self.last, self._reported):
            self._reported = oldest - 1
            self._gap(self.last + 1, oldest - 1, tasks)
        self.listening.set()

    def _gap(self, first: int, last: int | None, tasks: Any) -> None:
        """Tell the listeners what they have missed. `last` is None where the server's log was lost."""
        self.gaps += 1
        result: dict[str, Any] = {"first": first, "last": last, "epoch": self.epoch, "tasks": None}
        if isinstance(tasks, list):
            result["tasks"] = cast("list[Any]", tasks)
        self._deliver(MCPCMessage(type="server_event", event=GAP_EVENT, session_id=EVERY_SESSION, result=result))

    def resume(self) -> None:
        """There is room again. The caller listens again after `last`."""
        self.paused = False

    def stopped_listening(self) -> None:
        """The listen request has ended; the next one is confirmed anew."""
        self.listening = anyio.Event()

    # --- calls ---

    def call_sent(self, request_id: RequestId, task_id: str | None) -> None:
        """A tool call is on its way; messages of its task wait for the answer, so that `created` is the first."""
        if task_id is not None:
            self._calls[request_id] = self._holds[task_id] = _OpenCall(task_id)

    def call_answered(self, request_id: RequestId, result: Mapping[str, Any] | None) -> None:
        """The answer is in: hand on the messages in it, then those that waited. None where the call failed."""
        call = self._calls.pop(request_id, None)
        if call is None:
            return
        self._holds.pop(call.task_id, None)
        for message in messages_in_content(None if result is None else result.get("content")):
            self._deliver(message)
        for message in call.held:
            self._deliver(message)

    def abandon_calls(self) -> None:
        """The connection is gone: no answer will come."""
        for request_id in list(self._calls):
            self.call_answered(request_id, None)

    def _hand_on(self, message: MCPCMessage) -> bool:
        call = self._holds.get(message.task_id) if self._holds and message.task_id is not None else None
        if call is None:
            return self._deliver(message)
        if len(call.held) >= DEFAULT_CAPACITY:
            return False
        call.held.append(message)
        return True


def _ids(tasks: Any) -> set[str]:
    """The ids in a list of task states."""
    found = cast("list[Any]", tasks) if isinstance(tasks, list) else []
    ids = [cast("dict[str, Any]", task).get("taskId") for task in found if isinstance(task, dict)]
    return {task_id for task_id in ids if isinstance(task_id, str)}
