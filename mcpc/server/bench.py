"""Where the execution of a stored task is made: of a new one, or of one that was taken over from another process.

Knows nothing of who may take a task (`recovery`), nor of what its worker does.
"""

from collections.abc import Awaitable, Callable, Hashable

from mcpc.messages import MCPCMessage
from mcpc.server.attendance import Attendance
from mcpc.server.endings import Endings
from mcpc.server.execution import Execution
from mcpc.server.followed import Following
from mcpc.server.holders import holders_of
from mcpc.server.line import Line, Pool
from mcpc.server.shelf import Shelf
from mcpc.server.signals import Signals
from mcpc.server.stored_execution import StoredExecution, StoredOutlet
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import STATE_ONLY, encode_state, principal_of, state_of
from mcpc.server.workshop import Workshop
from mcpc.stored import Claim, StoredTask, channel_id
from mcpc.tasks import Status, TaskState
from mcpc.wire.callbacks import encode_message

__all__ = ["Bench"]

RESTARTED = "restarted"
"""The server event that tells of a task that runs again."""

OnEnd = Callable[[tuple[Hashable, ...], Execution], None]


class Bench:
    """The bench of one process.

    Args:
        workshop: Where the tasks are done.
        note: Tells the log that a line has something to take.
        shelf: The journals.
        signals: What is said to tasks.
        following: Who follows the state of tasks.
        endings: Told of those that ended, or that the store lets nothing more of through.
        on_end: Called once for each, with whom it was counted for.
        let_go: Gives one back.
    """

    def __init__(
        self,
        workshop: Workshop,
        note: Callable[[Line], None],
        shelf: Shelf,
        signals: Signals,
        following: Following,
        endings: Endings,
        on_end: OnEnd,
        let_go: Callable[..., Awaitable[None]],
    ) -> None:
        self._workshop = workshop
        self._note = note
        self._shelf = shelf
        self._signals = signals
        self._following = following
        self._endings = endings
        self._on_end = on_end
        self._let_go = let_go

    def make(
        self,
        state: TaskState,
        journal: StoredJournal | None,
        holders: tuple[Hashable, ...],
        resumed: bytes | None = None,
    ) -> StoredExecution:
        """What runs a task that the registry knows.

        Args:
            state: The task.
            journal: Its client's; None for a task that is followed by its state alone.
            holders: Whom it is counted for.
            resumed: Its last checkpoint, if its worker goes on from one.
        """
        workshop = self._workshop
        if journal is None:
            line = Line(channel_id(state.owner), Pool(), self._note, _nothing_landed, lambda: 0)
            attendance = Attendance(workshop.clock.steady, line.probe, lambda: False)  # who follows is seen (`visits`)
            line.on_receipt = attendance.told
        else:
            line = Line(journal.key, journal.pool, self._note, journal.landed, journal.head)
            line.on_receipt, attendance = journal.told, journal.attendance
        line.follow(lambda: encode_state(state), lambda: self._following.changed(state.task_id))
        running = StoredExecution(
            state,
            workshop.registry,
            StoredOutlet(line, journal),
            workshop.limits,
            lambda ended: self._ended(ended, holders),
            line,
            attendance,
            resumed,
        )
        running.stops = lambda: workshop.stop(state)
        line.on_lost = lambda: self._endings.lost(running)
        running.let_go = lambda: self._let_go(running, handed=True)
        return workshop.enter_execution(running, holders)

    def _ended(self, execution: Execution, holders: tuple[Hashable, ...]) -> None:
        if isinstance(execution, StoredExecution):
            self._endings.note(execution)
        self._on_end(holders, execution)

    async def take_up(self, claim: Claim, stored: StoredTask, *, is_restart: bool = True) -> StoredExecution:
        """What runs a task that was claimed: one that waited for this, or that another process has begun before.

        Args:
            claim: The right to run it.
            stored: The task, as it was claimed.
            is_restart: Whether its worker begins anew; its client is told so, where one has begun before.

        Raises:
            MCPCError, StoreError: there are too many channels here; the store cannot tell.
        """
        older = self._workshop.running_by_id(stored.task_id)
        if isinstance(older, StoredExecution):
            older.lose()  # its claim is an old one: it was taken for dead, and what it says is fenced
        state = state_of(stored)
        state.status = Status.RUNNING
        state.prompts = {name: p for name, p in state.prompts.items() if name.startswith(f"{state.task_id}/")}
        principal, journal = principal_of(stored.principal), None
        if not state.owner.startswith(STATE_ONLY):
            journal = await self._shelf.open(stored.channel, principal, "")
        self._workshop.registry.adopt(state)
        holders = holders_of(principal, None if journal is None else journal.key)
        running = self.make(state, journal, holders, stored.checkpoint if stored.on_interrupt == "resume" else None)
        running.line.claim = claim
        running.may_run_again = stored.on_interrupt != "fail"
        running.outlet.shown = set(state.prompts)
        if journal is None or stored.attempt == 1 or not is_restart:
            running.line.change()
        else:
            running.line.put(_restarted(state, stored.attempt))
        await self._signals.listen(running)  # answers first: what was asked with a key is not asked again
        return running


def _restarted(state: TaskState, attempt: int) -> bytes:
    told = {"task_id": state.task_id, "attempt": attempt}
    event = MCPCMessage(type="server_event", event=RESTARTED, session_id=state.session_id, result=told)
    return encode_message(event)


def _nothing_landed(first: int, messages: list[bytes], is_end: bool) -> None:
    """A task that is followed by its state has no messages."""
