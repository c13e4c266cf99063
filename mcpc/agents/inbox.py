"""`Inbox`: between a client's callbacks and a model's turns. Knows no agent framework.

A model reads when it has time, in texts of a size that it can bear. So callbacks wait here, coalesced, until something
comes that is worth a turn; then everything that waits is one text. A turn that fails or is cancelled loses no question
and no end: they are told again.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import anyio

from mcpc.agents.board import Board
from mcpc.agents.digest import MIN_BUDGET, digest
from mcpc.agents.items import Item, clipped, short_id, word
from mcpc.agents.news import News
from mcpc.agents.pending import Pending
from mcpc.agents.tools import Toolbox
from mcpc.agents.waking import WakeRule, Wakes
from mcpc.client import Client
from mcpc.messages import MCPCMessage, Prompt, prompt_of

__all__ = ["Inbox"]

RUNNING_ROOM = 200
"""Characters of the line about what still runs."""
EVERY_SESSION = "*"


class Inbox:
    """News of a client's tasks, for a model: `async for news in inbox`. It ends when no task is open and all is told.

    An async iteration that was left by an exception or a cancellation may be begun again: questions, ends and events
    of the news that it was left with, and of those that a tool has read in that turn, come again, marked as told
    before. `News` that came before it count as read.

    Args:
        client: The client whose tasks and events these are. It is listened to from now until `close`.
        session_id: Only what belongs to this conversation; everything where none is given.
        wake: What is worth a turn; the rest waits until something is. See `Wakes`.
        budget: Characters of one text at the most, at least 600.
        settle: Seconds to wait, once there is something worth a turn, for what comes with it.
        max_updates: The newest updates of a task that are shown.
        max_events: Server events that wait at the most; the oldest go, counted.
        stay: Go on when no task is open, for a model that waits for server events.

    Raises:
        ValueError: a bound is too small.
    """

    def __init__(
        self,
        client: Client,
        *,
        session_id: str | None = None,
        wake: WakeRule | None = None,
        budget: int = 4000,
        settle: float = 0.1,
        max_updates: int = 3,
        max_events: int = 100,
        stay: bool = False,
    ) -> None:
        _check(budget >= MIN_BUDGET, f"the budget must be at least {MIN_BUDGET} characters")
        _check(max_updates >= 1 and max_events >= 1, "max_updates and max_events must be at least 1")
        _check(settle >= 0, "settle must not be negative")
        self.client = client
        self.session_id = session_id
        self.budget = budget
        self.settle = settle
        self.stay = stay
        self.board: Board = Board()
        """The open tasks and questions."""
        self._wake = wake or Wakes()
        self._pending = Pending(max_updates, max_events, budget)
        self._unread: tuple[Item, ...] = ()
        """What the last news of the iteration held, and what a tool has read in its turn: told again if that turn does
        not come to its end."""
        self._in_turn = False
        self._awake = False
        self._came: anyio.Event | None = None
        self._closed = False
        self._toolbox = Toolbox(
            client,
            self.board,
            session_id=session_id or "default",
            wait=self._wait_in_turn,
            answered=self._answered,
            limit=budget,
        )
        self._registration = client.add_event_listener(self._take)
        for handle in client.tasks.values():
            if not handle.ended and session_id in (None, handle.session_id):
                self.board.enter(handle.task_id, handle.tool_name, handle.session_id)
                self._toolbox.hold(handle.task_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more; an iteration tells what waits, and ends."""
        self._closed = True
        self._registration.remove()
        self._ring()

    # --- what comes ---

    def _take(self, message: MCPCMessage) -> None:
        if self.session_id is not None and message.session_id not in (self.session_id, EVERY_SESSION):
            return
        # A handler of the client's answers the user's way; the model is told that somebody is asked, no more.
        is_prompt = prompt_of(message) is not None
        asks_model = is_prompt and not self.client.prompt_handlers
        if message.type == "task":
            self.board.follow(message, asks_model=asks_model)
            if message.event == "created":
                self._toolbox.hold(message.task_id or "")
            elif message.terminal:
                self._toolbox.let_go(message.task_id or "")
        else:
            for end in self.board.missed(message):
                self._toolbox.let_go(end.task_id or "")
                self._pending.add(end, is_question=False)
                self._ring()
        if message.type != "task" or message.event != "created":  # that it runs is on the board
            self._pending.add(message, is_question=asks_model)
        if self._is_over or ((asks_model or not is_prompt) and self._wake(message)):
            self._ring()

    def _ring(self) -> None:
        self._awake = True
        came, self._came = self._came, None
        if came is not None:
            came.set()

    def _answered(self, prompt: Prompt) -> None:
        """A question was answered, or turned out to be closed: it is not told again."""
        self.board.answered(prompt)
        self._pending.answered(prompt.task_id or "", prompt.id)
        self._unread = tuple(item for item in self._unread if item.prompt is None or item.prompt.id != prompt.id)

    # --- what is told ---

    def __aiter__(self) -> Self:
        for item in self._unread:
            item.again = True
        self._pending.put_back(self._unread)
        if self._unread:
            self._ring()
        self._unread = ()
        self._in_turn = False
        return self

    async def __anext__(self) -> News:
        """The next news, once there is something worth a turn."""
        self._unread = ()
        self._in_turn = False
        while (news := self.take() if self._awake or self._is_over else None) is None:
            if self._is_over:
                raise StopAsyncIteration
            await self._until_awake()
        self._unread = _worth_keeping(news)
        self._in_turn = True
        return news

    async def wait(self, seconds: float) -> News | None:
        """The next news, or None where nothing worth a turn came in time (what came all the same waits on)."""
        with anyio.move_on_after(seconds):
            while not self._awake and not self._is_over:
                await self._until_awake()
        return self.take() if self._awake or self._is_over else None

    async def _wait_in_turn(self, seconds: float) -> News | None:
        """The same for a tool: a turn of the iteration that reads news and fails then has lost none of them."""
        news = await self.wait(seconds)
        if news is not None and self._in_turn:
            self._unread += _worth_keeping(news)
        return news

    def take(self) -> News | None:
        """Everything that waits, now, worth a turn or not; None where nothing does. For a turn that begins anyway."""
        self._awake = False
        items = self._pending.take()
        if not items:
            return None
        made = digest(items, self._running(), self.budget, left_out=self._pending.events_left_out)
        self._pending.events_left_out = 0
        self._pending.put_back(made.rest)
        if made.rest:
            self._awake = True
        return News.of(made)

    @property
    def _is_over(self) -> bool:
        return self._closed or not (self.stay or self.board.open)

    async def _until_awake(self) -> None:
        came = self._came = self._came or anyio.Event()
        await came.wait()
        if not self._closed:
            await anyio.sleep(self.settle)

    def _running(self) -> str:
        tasks = self.board.open.values()
        if not tasks:
            return "No task is running."
        names = [f"{short_id(task.task_id)} {word(task.tool_name)} ({task.status})" for task in tasks]
        return clipped(f"{len(names)} running: {', '.join(names)}", RUNNING_ROOM)

    # --- what a model can do ---

    def tools(self) -> list[Callable[..., Awaitable[str]]]:
        """Plain async functions for a model: start, send, answer, stop, wait and list.

        Each takes and gives texts, and has a docstring and annotations, from which agent frameworks make a schema. A
        mistake of the model's is told in the answer; none raises for it.
        """
        return self._toolbox.functions()


def _worth_keeping(news: News) -> tuple[Item, ...]:
    return tuple(item for item in news.items if item.kind != "update")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
