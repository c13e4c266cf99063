"""Stores against a small model of one: any sequence of operations, crashes among them, gives what the model says."""

import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.from_thread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mcpc.store import Store
from mcpc.store_uri import open_store
from mcpc.stored import Appended, Claim, Ended, Entry, Fenced, NewTask, Receipt, StoreLimits, channel_id

LIMITS = StoreLimits(max_messages=8, max_bytes=1000)
CHANNEL = channel_id("model")

T = TypeVar("T")


class Model:
    """What a store with one channel and a few tasks does, in a few lines."""

    def __init__(self) -> None:
        self.log: dict[int, bytes] = {}
        self.head = 0
        self.terminal: set[int] = set()
        self.status: dict[str, str] = {}
        self.token: dict[str, int] = {}
        self.may_run_again: dict[str, bool] = {}
        self.interruptions: dict[str, int] = {}

    def append(self, messages: list[bytes], known: int, task: str | None, token: int, end: bool) -> Receipt | int:
        if task is not None:
            if self.status[task] == "ended":
                return Ended()
            if self.status[task] != "running" or self.token[task] != token:
                return Fenced()
        self.head = max(self.head, known)
        first = self.head + 1
        for message in messages:
            self.head += 1
            self.log[self.head] = message
        if end and task is not None:
            self.status[task] = "ended"
            if messages:
                self.terminal.add(self.head)
        return first

    def orphan(self, task: str) -> None:
        """Its runner is gone."""
        self.token[task] += 1
        self.interruptions[task] += 1
        if self.may_run_again[task] and self.interruptions[task] < 3:
            self.status[task] = "queued"
            return
        self.status[task] = "ended"
        self.head += 1
        self.log[self.head] = b"interrupted"
        self.terminal.add(self.head)

    def readable(self) -> dict[int, bytes]:
        bottom = self.head - LIMITS.max_messages
        return {n: message for n, message in self.log.items() if n > bottom or n in self.terminal}


class StoreMachine(RuleBasedStateMachine):
    """One file, two handles of which either may die without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.folder = Path(tempfile.mkdtemp())
        self.portal_context = anyio.from_thread.start_blocking_portal()
        self.portal = self.portal_context.__enter__()
        self.stacks: list[AsyncExitStack] = []
        self.stores: list[Store] = []
        self.claims: dict[str, Claim] = {}
        self.holders: dict[str, int] = {}
        self.writers = [("a", 0), ("b", 0)]
        self.last: tuple[Entry, Receipt] | None = None

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def run() -> T:
            with anyio.fail_after(60):
                return await work

        return self.portal.call(run)

    @initialize()
    def open_two(self) -> None:
        for _ in range(2):
            stack = AsyncExitStack()
            self.stacks.append(stack)
            self.stores.append(self.do(stack.enter_async_context(self.handle())))
        self.do(self.stores[0].open(CHANNEL, principal=None))

    def handle(self) -> Any:
        return open_store(f"sqlite:{self.folder}/tasks.db", limits=LIMITS)

    @rule(
        which=st.integers(0, 1),
        messages=st.lists(st.binary(min_size=1, max_size=5).map(bytes.hex).map(str.encode), max_size=4),
        jump=st.sampled_from([0, 0, 0, 3]),
        data=st.data(),
        end=st.booleans(),
    )
    def append(self, which: int, messages: list[bytes], jump: int, data: st.DataObject, end: bool) -> None:
        task = data.draw(st.sampled_from([None, *sorted(self.claims)]))
        claim = None if task is None else self.claims[task]
        name, seq = self.writers[which]
        known = self.model.head + jump if jump else 0
        kind = "complete" if end and claim is not None else None
        entry = Entry(CHANNEL, name, seq + 1, messages, known=known, claim=claim, end=kind)
        (receipt,) = self.do(self.stores[which].append([entry]))
        expected = self.model.append(messages, known, task, claim.token if claim else 0, end)
        if isinstance(expected, int):
            assert isinstance(receipt, Appended), receipt
            assert receipt.first == expected
            self.writers[which] = name, seq + 1
            self.last = entry, receipt
        else:
            assert receipt == expected

    @rule(which=st.integers(0, 1))
    def retry(self, which: int) -> None:
        if self.last is None or dict(self.writers)[self.last[0].writer] != self.last[0].seq:
            return
        (receipt,) = self.do(self.stores[which].append([self.last[0]]))
        assert isinstance(receipt, Appended)
        assert isinstance(self.last[1], Appended)
        assert receipt.first == self.last[1].first

    @rule(which=st.integers(0, 1), again=st.booleans())
    def enter(self, which: int, again: bool) -> None:
        task_id = f"t{len(self.model.status)}"
        new = NewTask(
            task_id, CHANNEL, "tool", "s", b"", on_interrupt="restart" if again else "fail", interrupted=b"interrupted"
        )
        entered = self.do(self.stores[which].enter(new, runner=f"runner{which}"))
        assert entered.claim is not None
        self.claims[task_id], self.holders[task_id] = entered.claim, which
        self.model.status[task_id], self.model.token[task_id] = "running", entered.claim.token
        self.model.may_run_again[task_id], self.model.interruptions[task_id] = again, 0

    @rule(which=st.integers(0, 1))
    def claim(self, which: int) -> None:
        claimed = self.do(self.stores[which].claim(f"runner{which}", ["tool"]))
        queued = [task for task, status in self.model.status.items() if status == "queued"]
        assert (claimed is None) == (not queued)
        if claimed is None:
            return
        claim, task = claimed
        assert task.task_id in queued
        assert claim.token > self.model.token[task.task_id]
        self.model.status[task.task_id], self.model.token[task.task_id] = "running", claim.token
        self.claims[task.task_id], self.holders[task.task_id] = claim, which

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if not self.claims:
            return
        task = data.draw(st.sampled_from(sorted(self.claims)))
        claim = self.claims[task]
        self.do(self.stores[0].release(claim))
        if self.model.status[task] == "running" and self.model.token[task] == claim.token:
            self.model.status[task] = "queued"
            self.model.token[task] += 1

    @rule(which=st.integers(0, 1))
    def crash_and_reopen(self, which: int) -> None:
        """A handle goes in mid-work: its tasks are orphans. (Death without a word is tried with real processes.)"""
        self.do(self.stacks[which].aclose())
        orphans = {t for t, s in self.model.status.items() if s == "running" and self.holders[t] == which}
        stack = AsyncExitStack()
        self.stacks[which] = stack
        self.stores[which] = self.do(stack.enter_async_context(self.handle()))
        ended = {task.task_id for task in self.do(self.stores[1 - which].reap())}
        for task in sorted(orphans, key=lambda task: int(task[1:])):
            self.model.orphan(task)
        assert ended == {task for task in orphans if self.model.status[task] == "ended"}

    @invariant()
    def everything_is_read_as_the_model_says(self) -> None:
        if not self.stores:
            return
        for store in self.stores:
            assert self.do(_log(store)) == self.model.readable()
            for task_id, status in self.model.status.items():
                task = self.do(store.task(task_id))
                assert task is not None
                assert ("ended" if task.ended else task.status) == status

    def teardown(self) -> None:
        for stack in self.stacks:
            self.do(stack.aclose())
        self.portal_context.__exit__(None, None, None)
        shutil.rmtree(self.folder)


async def _log(store: Store) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    after = 0
    while (page := await store.read(CHANNEL, after, max_messages=3, max_bytes=1000)) is not None:
        found.update(enumerate(page.messages, page.first))
        after = page.last
    return found


class MemoryStoreMachine(StoreMachine):
    """The same over two handles of a store in memory."""

    def handle(self) -> Any:
        return open_store(f"memory:{self.folder.name}", limits=LIMITS)


TestStoreMachine = StoreMachine.TestCase
TestMemoryStoreMachine = MemoryStoreMachine.TestCase
for machine in (TestStoreMachine, TestMemoryStoreMachine):
    machine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
