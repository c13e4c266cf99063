"""How a task comes into a store: claimed for the process that was called, or left for one that works.

Knows nothing of what runs it.
"""

import secrets
import uuid
from collections.abc import Callable, Hashable

import anyio
import anyio.lowlevel

from mcpc.errors import TooManyTasks
from mcpc.server.errand import Errand
from mcpc.server.start_key import StartKey
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import STATE_ONLY, encode_state, interrupted_message, principal_text
from mcpc.server.telemetry import trace_of_call
from mcpc.server.terms import Terms
from mcpc.server.workshop import Workshop
from mcpc.store import Store
from mcpc.stored import Entered, NewTask, StoredTask, channel_id
from mcpc.tasks import TaskState

__all__ = ["Intake"]


class Intake:
    """The intake of one process.

    Args:
        workshop: Where its tasks are done.
        store: Gives the store.
        runner: The process, as the store knows it.
        waits: Told of a task that was left for a worker, and of its channel.
    """

    def __init__(
        self, workshop: Workshop, store: Callable[[], Store], runner: str, waits: Callable[[str, str], None]
    ) -> None:
        self._workshop = workshop
        self._store = store
        self._runner = runner
        self._waits = waits

    async def enter(self, state: TaskState, principal: Hashable | None, terms: Terms, key: str | None) -> Entered:
        """Enter a task: claimed for this process, or waiting for one that works.

        Raises:
            TooManyTasks, DuplicateTask, StoreError: the store does not take it.
        """
        store = self._store()
        state.trace = trace_of_call()
        await anyio.lowlevel.checkpoint_if_cancelled()
        has_log = not state.owner.startswith(STATE_ONLY)
        channel = state.owner if has_log else channel_id(state.owner)
        if not has_log:
            await store.open(channel, principal=principal_text(principal))
        new = NewTask(
            state.task_id,
            channel,
            state.tool_name,
            state.session_id,
            encode_state(state),
            terms.on_interrupt,
            terms.max_attempts,
            interrupted=interrupted_message(state) if has_log else b"",
            key=key,
        )
        scope = anyio.CancelScope(shield=True)  # entered in the store and nowhere else, nobody would end it
        scope.__enter__()
        try:
            entered = await store.enter(new, runner=None if terms.is_elsewhere else self._runner)
            if entered.is_new and terms.is_elsewhere:
                self._waits(state.task_id, channel)
            return entered
        except TooManyTasks as exc:
            raise self._named(exc) from exc
        finally:
            scope.__exit__(None, None, None)

    def _named(self, refusal: TooManyTasks) -> TooManyTasks:
        """A refusal of the store's, in which the server's author knows the limit by name."""
        if refusal.limit is None:
            return refusal
        if refusal.limit == "max_queued":
            text = f"{refusal}; MCPCHelper(server, max_queued=…) sets it"
            return TooManyTasks(text, limit=refusal.limit, value=refusal.value)
        whose = "principal, on all its channels," if refusal.limit == "max_tasks_per_principal" else "client"
        name = "max_tasks" if self._workshop.limits.max_tasks_per_client is None else "max_tasks_per_client"
        return TooManyTasks(
            f"{refusal.value} tasks of this {whose} run or wait, at all servers of this store together, which is the "
            f"limit ({name}); MCPCHelper(server, {name}=…) sets it; try again when one has ended",
            limit=name,
            value=refusal.value,
        )

    async def send_away(
        self,
        tool_name: str,
        session_id: str,
        principal: Hashable | None,
        terms: Terms,
        journal: StoredJournal | None = None,
        task_id: str | None = None,
        key: StartKey | None = None,
    ) -> Errand | StoredTask:
        """Enter a task for a worker process; an older one, where the key of its start is known.

        Args:
            tool_name: The tool that was called.
            session_id: The conversation.
            principal: Who called.
            terms: Those of the tool.
            journal: Whose task it is; where there is none, it is followed by its state.
            task_id: As the client named it.
            key: Names the start.

        Raises:
            TooManyTasks, DuplicateTask, StoreError, MCPCError: see `enter` and `Workshop.check_room`.
        """
        workshop = self._workshop
        workshop.check_room(journal)
        now = workshop.clock.wall()
        owner = f"{STATE_ONLY}{secrets.token_hex(16)}" if journal is None else journal.key
        state = TaskState(task_id or str(uuid.uuid4()), tool_name, session_id, owner, now, now, principal)
        state.arguments, state.fingerprint = terms.arguments, None if key is None else key.fingerprint
        entered = await self.enter(state, principal, terms, None if key is None else key.name)
        if entered.is_new:
            return Errand(state, workshop.registry, workshop.limits)
        known = await self._store().task(entered.task_id)
        assert known is not None, "it was there a moment ago"
        return known
