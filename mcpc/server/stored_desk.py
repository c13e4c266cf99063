"""The desk of a server with a store: what is asked is asked of the store, so that any process answers for any task.

Tasks that live on one request or one connection (progress, the originals' direct form) are not stored.
"""

from collections.abc import Hashable, Iterable
from typing import Any

from mcpc.errors import UnknownTask
from mcpc.server.desk import Desk, Observed
from mcpc.server.errand import Errand
from mcpc.server.execution import Execution
from mcpc.server.journal import Journal
from mcpc.server.outlets import NullOutlet
from mcpc.server.start_key import StartKey
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import principal_text, state_of
from mcpc.server.stored_workshop import StoredWorkshop
from mcpc.server.terms import Terms
from mcpc.stored import StoredTask, channel_id
from mcpc.tasks import TaskState

__all__ = ["StoredDesk"]


class StoredDesk(Desk):
    """The desk of a workshop with a store.

    Args:
        workshop: The workshop.
    """

    is_shared = True
    workshop: StoredWorkshop

    def __init__(self, workshop: StoredWorkshop) -> None:
        super().__init__(workshop)

    async def find(self, key: str, principal: Hashable | None, task_id: str) -> TaskState:
        """See `Desk.find`."""
        channel = channel_id(key)
        stored = await self.workshop.store().task(task_id)
        if stored is None:
            journal = self.workshop.journals.find(channel, principal)
            if journal is None:
                raise UnknownTask("unknown task")
            return self.workshop.registry.get(channel, task_id)
        if stored.channel != channel or stored.principal != principal_text(principal):
            raise UnknownTask("unknown task")
        self.workshop.presence.seen(task_id)
        return state_of(stored)

    async def look_up(self, task_id: str) -> TaskState | None:
        """See `Desk.look_up`."""
        stored = await self.workshop.store().task(task_id)
        return await super().look_up(task_id) if stored is None else state_of(stored)

    def owns(self, key: str, state: TaskState) -> bool:
        """See `Desk.owns`."""
        return state.owner == channel_id(key)

    def running_of(self, states: Iterable[TaskState]) -> list[Observed]:
        """What tells of these tasks: the store's are told of as they are stored."""
        local = {state.task_id: self.workshop.running_by_id(state.task_id) for state in states if not state.ended}
        return [
            running
            if running is not None and not isinstance(running, StoredExecution)
            else self.workshop.following.follow(name)
            for name, running in local.items()
        ]

    async def enter(
        self,
        *,
        terms: Terms,
        key: StartKey | None = None,
        **start: Any,
    ) -> Execution | TaskState:
        """See `Desk.enter`."""
        journal: Journal | None = start.get("journal")
        if not isinstance(journal, StoredJournal) and not isinstance(start.get("outlet"), NullOutlet):
            return await super().enter(terms=terms, key=key, **start)
        store = self.workshop.store()
        if key is not None and journal is not None and (known := await store.keyed(journal.key, key.name)):
            return _same(key, known)
        if terms.is_elsewhere and (journal is None or isinstance(journal, StoredJournal)):
            return await self._send_away(terms, key, journal, start)
        running = self.workshop.make(start, terms)
        running.state.fingerprint = None if key is None else key.fingerprint
        try:
            entered = await self.workshop.intake.enter(
                running.state, start.get("principal"), terms, None if key is None else key.name
            )
        except BaseException:
            running.lose()  # the store did not take it
            raise
        if entered.claim is None:
            running.lose()  # the store did not take it
            found = await store.task(entered.task_id)
            assert key is not None, "without one every task is new"
            assert found is not None, "it was there a moment ago"
            return _same(key, found)
        running.line.claim = entered.claim
        running.may_run_again = terms.on_interrupt != "fail"
        return running

    async def _send_away(
        self, terms: Terms, key: StartKey | None, journal: StoredJournal | None, start: dict[str, Any]
    ) -> Errand | TaskState:
        sent = await self.workshop.intake.send_away(
            start["tool_name"],
            start["session_id"],
            start.get("principal"),
            terms,
            journal,
            start.get("task_id"),
            key,
        )
        if isinstance(sent, Errand):
            return sent
        assert key is not None, "without one every task is new"
        return _same(key, sent)

    async def send_input(self, state: TaskState, value: Any, key: str | None = None) -> None:
        """See `Desk.send_input`."""
        if self._is_local(state):
            await super().send_input(state, value, key)
        elif not state.has_heard(key):
            await self.workshop.signals.send_input(state, value, key)

    async def answer(self, state: TaskState, prompt_id: str, answer: Any) -> None:
        """See `Desk.answer`."""
        local = self._is_local(state)
        say = super().answer if local else self.workshop.signals.answer
        await say(state, prompt_id, answer)

    async def refuse(self, state: TaskState, prompt_id: str, action: str) -> None:
        """See `Desk.refuse`."""
        say = super().refuse if self._is_local(state) else self.workshop.signals.refuse
        await say(state, prompt_id, action)

    async def request_stop(self, state: TaskState) -> None:
        """See `Desk.request_stop`."""
        say = super().request_stop if self._is_local(state) else self.workshop.stop_stored
        await say(state)

    def _is_local(self, state: TaskState) -> bool:
        """Whether a task is not the store's, but lives and dies here."""
        running = self.workshop.running_by_id(state.task_id)
        return running is not None and not isinstance(running, StoredExecution)


def _same(key: StartKey, known: StoredTask) -> TaskState:
    """The task that was begun with this key before.

    Raises:
        KeyRefused: with another tool or other arguments.
    """
    state = state_of(known)
    key.check(state)
    return state
