"""What arrives for one channel: numbered, each once, in order, and held back until its call is answered.

The inbox is fed from below (callbacks as they come, answers to tool calls as they
pass) and hands messages on. It keeps the highest number seen, ignores lower ones,
and reports what is missing as a `gap`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import anyio
from mcp_types import RequestId

from mcpc.client.backlog import Backlog
from mcpc.client.counters import count_gap
from mcpc.client.open_calls import OpenCalls
from mcpc.client.under_way import Row, UnderWay
from mcpc.flow import Flow
from mcpc.logs import logger_of
from mcpc.messages import MCPCMessage
from mcpc.wire.callbacks import decode_messages, known_messages, known_runs, messages_of
from mcpc.wire.jsontext import json_size
from mcpc.wire.message import META, METHOD, PARAMS, RESULT
from mcpc.wire.names import LISTENING_METHOD, MESSAGES_METHOD, SUBSCRIPTION_META
from mcpc.wire.originals import decode_direct
from mcpc.wire.requests import TASK_ID

__all__ = ["EVERY_SESSION", "GAP_EVENT", "Inbox"]

logger: logging.Logger = logger_of(__name__)

GAP_EVENT = "gap"
EVERY_SESSION = "*"

Deliver = Callable[[Sequence[MCPCMessage], int], int]
"""Takes messages, in order, and the bytes of each; says how many it took.

The next one, where there is one, had no room, and the flow was told so."""


def _nothing(_: object) -> None:
    """Nobody wants to know."""


def _nowhere() -> None:
    """Nobody wants to know that either."""


class Inbox:
    """The receiving end of one channel.

    Args:
        deliver: Takes the messages, in order, as many as there is room for.
        flow: What comes while it is stopped waits here, and goes on when there is room.
    """

    def __init__(self, deliver: Deliver, flow: Flow) -> None:
        self.last: int = 0
        """The highest number delivered."""
        self.epoch: str | None = None
        self.bad_messages: int = 0
        """What came in a callback and was not an MCPC message."""
        self.gaps: int = 0
        self.caught_up: anyio.Event = anyio.Event()
        """Set once we have what the server had when it first let us listen."""
        self._head = 0
        """Up to where that is; 0 where nothing is waited for."""
        self.listening: anyio.Event = anyio.Event()
        """Set when the server has confirmed that we listen."""
        self.on_lost_tasks: Callable[[set[str]], None] = _nothing
        """Called when the server's log was lost, with the ids of the tasks that it still knows."""
        self.on_gap: Callable[[bool], None] = _nothing
        """Called when messages were missed; True where the server's log was lost."""
        self.on_overrun: Callable[[], None] = _nowhere
        """Called when so much waits here that no more is taken: what follows comes again when we listen again."""
        self._deliver = deliver
        self._flow = flow
        flow.on_room = self._go_on
        self._goes_on = False
        self.kept: UnderWay = UnderWay()
        """What came when there was no more room. Empty while there is."""
        self._listen_id: RequestId | None = None
        self._reported = 0
        """Up to where missing numbers have been reported."""
        self._calls = OpenCalls()
        self.backlog: Backlog = Backlog()

    def take(self, message: dict[str, Any], size: int = 0) -> None:
        """A callback, as a decoded JSON-RPC message, and its bytes. Never raises for what the peer sent."""
        method = message.get(METHOD)
        if method is None:
            self._direct(message[RESULT], size)
            return
        params: dict[str, Any] | None = message.get(PARAMS)
        if type(params) is not dict:
            self.bad_messages += 1
        elif self._is_stale(params):
            return
        elif method == MESSAGES_METHOD:
            self._messages(params, size)
            if self._head:
                self._look_whether_caught_up()
        elif method == LISTENING_METHOD:
            announcement = Row(0, (), announcement=params)  # it concerns what comes after it
            (self._keep if self.kept else self._hand_over)(announcement)

    def _is_stale(self, params: dict[str, Any]) -> bool:
        """Whether it belongs to a listen request that has ended: the present one brings it again."""
        meta: dict[str, Any] | None = params.get(META)
        known = meta.get(SUBSCRIPTION_META) if type(meta) is dict else None
        if known is None:
            self.bad_messages += 1
        return known is None or known != self._listen_id

    def _direct(self, result: dict[str, Any], size: int) -> None:
        found = decode_direct(result)
        if not found:
            self.bad_messages += 1
        for message in found:
            call = self._calls.of(message)
            if call is None:
                self._pass_on(message, size // len(found))
            else:
                self.backlog.dropped += call.held.add(message, size // len(found))

    # --- numbers ---

    def _messages(self, params: dict[str, Any], size: int) -> None:
        first: Any = params.get("first")
        holds_back = self._calls.by_task or self.backlog.items
        made = None if holds_back or "runs" not in params else known_runs(params)
        values = messages_of(params) if made is None else made
        if type(first) is not int or first < 1 or values is None:
            self.bad_messages += 1
            return
        each = size // max(1, len(values))
        if self._flow.stopped or self.kept.rows:
            self._keep(Row(first, decode_messages(values) if made is None else made, each))
            return
        news = values[max(0, self.last + 1 - first) :]
        number = max(first, self.last + 1)
        if not news:
            return
        self._report_missing(first)
        messages = news if made is not None else None if holds_back else known_messages(news)
        if messages is None:
            self._one_by_one(number, decode_messages(news), each)
            return
        taken = self._deliver(messages, each)
        self.last = number + taken - 1
        if taken < len(messages):
            self._put_back(number + taken, messages[taken:], each)

    def _report_missing(self, first: int) -> None:
        if first > self.last + 1 and first - 1 > self._reported:
            self._gap(self.last + 1, first - 1, None)

    def _one_by_one(self, number: int, messages: Sequence[MCPCMessage | None], each: int) -> None:
        """Messages from `number` on, some of which may be bad, or have to wait."""
        for place, message in enumerate(messages):
            if message is None:
                self.bad_messages += 1
                logger.warning("message %d of the channel was not an MCPC message", number)
            elif not self._hand_on(message, each):
                self._put_back(number, messages[place:], each)
                return
            self.last = number
            number += 1

    # --- what comes when there is no room ---

    @property
    def under_way(self) -> int:
        """How many messages wait here that came when there was no more room."""
        return len(self.kept)

    def _keep(self, row: Row) -> None:
        """There is no room, or something waits that came before. Beyond the bound the stream is not taken any further.

        There may be room before it has ended. To take what follows then would leave a hole.
        """
        if not self.kept.put(row):
            self._listen_id = None
            self.on_overrun()

    def _put_back(self, number: int, messages: Sequence[MCPCMessage | None], each: int) -> None:
        """There was no room for these messages of a row."""
        self.kept.put_back(Row(number, messages, each))
        self._go_on()  # where there is some again by now

    def _go_on(self) -> None:
        """There may be room again for what waits here."""
        if self._goes_on:  # a listener changed something that leads here again
            return
        self._goes_on = True
        try:
            while not self._flow.stopped and (self.backlog or self.kept):
                self.backlog.deliver(self._deliver)
                if self.kept and not self._flow.stopped:
                    self._hand_over(self.kept.take())
        finally:
            self._goes_on = False
        if self._head:
            self._look_whether_caught_up()

    def _hand_over(self, row: Row) -> None:
        if row.announcement is not None:
            self._listening(row.announcement)
            return
        self._report_missing(row.first)
        news = row.messages[max(0, self.last + 1 - row.first) :]
        self._one_by_one(max(row.first, self.last + 1), news, row.each)

    def _listening(self, params: dict[str, Any]) -> None:
        epoch, oldest = params.get("epoch"), params.get("oldest")
        tasks: Any = params.get("tasks")
        if not isinstance(epoch, str) or type(oldest) is not int:
            self.bad_messages += 1
            return
        known, self.epoch = self.epoch, epoch
        if known is not None and known != epoch:
            missed_from, self.last, self._reported = self.last + 1, 0, 0
            self._gap(missed_from, None, tasks)
            self.on_lost_tasks(_ids(tasks))
            self.on_gap(True)
        elif oldest - 1 > max(self.last, self._reported):
            self._gap(self.last + 1, oldest - 1, tasks)
            self.on_gap(False)
        if not self.caught_up.is_set():
            head: Any = params.get("head")
            self._head = head if type(head) is int else 0
            self._look_whether_caught_up()
        self.listening.set()

    def _look_whether_caught_up(self) -> None:
        if max(self.last, self._reported) >= self._head:
            self._head = 0
            self.caught_up.set()

    @property
    def holds_back(self) -> bool:
        """Whether messages wait here for room, or for the answer to their call."""
        return bool(self._calls.by_task or self.backlog.items)

    def _gap(self, first: int, last: int | None, tasks: Any) -> None:
        """Tell the listeners what they have missed. `last` is None where the server's log was lost."""
        self.gaps += 1
        count_gap()
        self._calls.missed()
        self._reported = max(self._reported, last or 0)
        result = {"first": first, "last": last, "epoch": self.epoch, "tasks": _listed(tasks)}
        self._pass_on(_gap_message(result), json_size(result))

    def _hand_on(self, message: MCPCMessage, size: int) -> bool:
        """Deliver or hold a message that can come again; False where there is no room."""
        call = self._calls.of(message)
        if call is None:
            return not self.backlog and self._deliver((message,), size) == 1
        if not call.held.has_room(size):
            self._flow.full(call)
            return False
        call.held.add(message, size)
        return True

    def _pass_on(self, message: MCPCMessage, size: int) -> None:
        """Deliver a message that cannot come again: where there is no room it waits, ahead of all that follows."""
        if self.backlog or not self._deliver((message,), size):
            self.backlog.add(message, size)

    def listen_sent(self, request_id: RequestId) -> None:
        """A listen request is on its way: from now on only what belongs to it counts."""
        self._listen_id = request_id

    def stopped_listening(self) -> None:
        """The listen request has ended: what still comes of it is not taken."""
        self._listen_id = None
        if self.listening.is_set():
            self.listening = anyio.Event()

    # --- calls ---

    def call_sent(self, request_id: RequestId, task_id: str | None) -> None:
        """A tool call is on its way; messages of its task wait for the answer, so that `created` is the first."""
        self._calls.sent(request_id, task_id)

    def call_answered(self, request_id: RequestId, result: Mapping[str, Any] | None) -> None:
        """The answer is in: hand on the messages in it, then those that waited. None where the call failed."""
        if (call := self._calls.close(request_id)) is not None:
            for message, size in call.answered(result):
                self._pass_on(message, size)
            self._flow.drained(call)
            if call.has_missed:
                self.on_gap(False)

    def abandon_calls(self) -> None:
        """The connection is gone: no answer will come."""
        for request_id in self._calls.requests:
            self.call_answered(request_id, None)


def _ids(tasks: Any) -> set[str]:
    """The ids in a list of task states."""
    found = cast("list[Any]", tasks) if isinstance(tasks, list) else []
    ids = [cast("dict[str, Any]", task).get(TASK_ID) for task in found if isinstance(task, dict)]
    return {task_id for task_id in ids if isinstance(task_id, str)}


def _listed(tasks: Any) -> Any:
    return cast("list[Any]", tasks) if isinstance(tasks, list) else None


def _gap_message(result: dict[str, Any]) -> MCPCMessage:
    return MCPCMessage(type="server_event", event=GAP_EVENT, session_id=EVERY_SESSION, result=result)
