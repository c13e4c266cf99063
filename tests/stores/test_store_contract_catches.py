"""The contract catches a store that breaks it: one broken store for each clause."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import anyio
import pytest

from mcpc.store import Store
from mcpc.store_uri import open_store, register_store
from mcpc.stored import Appended, Change, Claim, Entry, Page, Receipt, Signal, StoredTask, StoreLimits
from mcpc.testing import ContractViolation, StoreSubject, store_checks
from mcpc.transport import URI
from mcpc_stores.memory import MemoryStores

pytestmark = pytest.mark.anyio


class Wrapped:
    """A handle that does all that the one inside does; the broken ones do one thing otherwise."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class BrokenStores:
    """Opens handles of a kind over a memory store."""

    def __init__(self, kind: Callable[[Any], Any], **limits: Any) -> None:
        self.kind = kind
        self._limits = limits
        self._inner = MemoryStores()

    def open(self, uri: URI, /, *, limits: StoreLimits) -> AbstractAsyncContextManager[Store]:
        return self._open(uri, replace(limits, **self._limits))

    @asynccontextmanager
    async def _open(self, uri: URI, limits: StoreLimits) -> AsyncGenerator[Store]:
        async with self._inner.open(self.place(uri), limits=limits) as inner:
            yield self.kind(inner)

    def place(self, uri: URI) -> URI:
        return uri


class ForgetfulStores(BrokenStores):
    """Every handle after the first two has a store of its own: what was written before a restart is gone."""

    def place(self, uri: URI) -> URI:
        return replace(uri, rest="")


class SkipsNumbers(Wrapped):
    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        receipts = await self.inner.append(batch)
        return [replace(r, first=r.first + 1) if isinstance(r, Appended) else r for r in receipts]


class LandsByHalves(Wrapped):
    """Messages first, then what they say of their task."""

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        loose = [replace(e, claim=None, writer=e.writer + "'", end=None) for e in batch]
        receipts = await self.inner.append(loose)
        rest = await self.inner.append([replace(e, messages=()) for e in batch])
        return [r if isinstance(s, Appended) else s for r, s in zip(receipts, rest, strict=True)]


class ReversesBatches(Wrapped):
    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return (await self.inner.append(batch[::-1]))[::-1]


class ForgetsWriters(Wrapped):
    count = 0

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        ForgetsWriters.count += 1
        return await self.inner.append([replace(e, writer=f"{e.writer}-{self.count}") for e in batch])


class ReadsOld(Wrapped):
    """What was appended last is not read yet."""

    async def read(self, channel: str, after: int, **bounds: Any) -> Page | None:
        page = await self.inner.read(channel, after, **bounds)
        if page is None or page.last < page.head:
            return page
        return replace(page, messages=page.messages[:-1]) if len(page.messages) > 1 else None


class RingsNoBell(Wrapped):
    async def changes(self) -> AsyncIterator[Change]:
        yield Change("look")
        await anyio.sleep_forever()


class BringsSomethingElse(Wrapped):
    async def changes(self) -> AsyncIterator[Change]:
        async for change in self.inner.changes():
            yield replace(change, last=1, messages=[b"else"])


class ListensToTheFirst(Wrapped):
    async def listen(self, listener: str, places: Any) -> Any:
        return await self.inner.listen(listener, dict([*places.items()][1:]))


class KnowsNothing(Wrapped):
    """Nobody's higher number is heard of."""

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return await self.inner.append([replace(e, known=0) for e in batch])


class Labelless(Wrapped):
    async def open(self, channel: str, **rest: Any) -> Any:
        return await self.inner.open(channel, **{**rest, "session": None})


class TakesAnybody(Wrapped):
    async def open(self, channel: str, **rest: Any) -> Any:
        return await self.inner.open(channel, **{**rest, "principal": None})


class HearsNoCursor(Wrapped):
    async def sent(self, listener: str, cursors: Any) -> None:
        pass


class GoesByTheProcess(Wrapped):
    """Its leases are measured by the clock of whoever uses it."""

    def __init__(self, inner: Any) -> None:
        import time

        super().__init__(inner)
        inner._clock = lambda: time.time()


class Jams(Wrapped):
    """A cancelled call never gives its lock back."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._jammed = False

    async def _guarded(self, call: Callable[[], Any]) -> Any:
        if self._jammed:
            await anyio.sleep_forever()
        self._jammed = True
        result = await call()
        self._jammed = False
        return result

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return await self._guarded(lambda: self.inner.append(batch))

    async def sweep(self) -> Any:
        return await self._guarded(self.inner.sweep)


class ListsNoTasks(Wrapped):
    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        return []


class KnowsNoKeys(Wrapped):
    async def enter(self, task: Any, **rest: Any) -> Any:
        return await self.inner.enter(replace(task, key=None), **rest)


class TakesOldTokens(Wrapped):
    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return await self.inner.append([await self._renewed(entry) for entry in batch])

    async def _renewed(self, entry: Entry) -> Entry:
        task = None if entry.claim is None else await self.inner.task(entry.claim.task_id)
        if task is None or entry.claim is None:
            return entry
        return replace(entry, claim=replace(entry.claim, token=task.token))


class GivesToAll(Wrapped):
    """Who comes after the first gets the same task."""

    given: ClassVar[dict[str, Any]] = {}

    async def claim(self, runner: str, tools: list[str]) -> Any:
        claimed = await self.inner.claim(runner, tools) or self.given.get(tools[0])
        self.given[tools[0]] = claimed
        return claimed


class NeverEnds(Wrapped):
    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return await self.inner.append([replace(e, end=None) for e in batch])


class DropsTerminals(Wrapped):
    """What is below the log is not read any more."""

    async def read(self, channel: str, after: int, **bounds: Any) -> Page | None:
        while (page := await self.inner.read(channel, after, **bounds)) is not None and page.first < page.oldest:
            after = page.last
        return page


class ReversesSignals(Wrapped):
    async def signals(self, heard: Any) -> dict[Claim, list[Signal]]:
        return {claim: signals[::-1] for claim, signals in (await self.inner.signals(heard)).items()}


class HearsOne(Wrapped):
    """Of many tasks it looks at the first."""

    async def signals(self, heard: Any) -> Any:
        return await self.inner.signals(dict([*heard.items()][:1]))


class AsksNobody(Wrapped):
    """Any number of answers are taken."""

    async def signal(self, task_id: str, signal: Signal) -> int:
        return await self.inner.signal(task_id, replace(signal, prompt_id=None))


class RepeatsInputs(Wrapped):
    """A checkpoint covers no inputs."""

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        return await self.inner.append([replace(e, taken=0) for e in batch])


class ReapsNothing(Wrapped):
    async def reap(self) -> list[StoredTask]:
        return []


class LeasesForEver(Wrapped):
    async def beat(self, runner: str, ttl: float, claims: Any) -> set[str]:
        return await self.inner.beat(runner, ttl * 1000, claims)


class KeepsWhatIsGivenBack(Wrapped):
    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        pass


class HandsOffToAll(Wrapped):
    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        await self.inner.release(claim)


CASES = [
    ("numbers_rise_by_one_whoever_appends", BrokenStores(SkipsNumbers), "not 1, 2, 3"),
    ("numbers_go_on_after_a_restart", ForgetfulStores(Wrapped), "reopened"),
    ("an_entry_lands_whole_or_not_at_all", BrokenStores(LandsByHalves), "fenced entry left messages"),
    ("a_batch_keeps_its_order", BrokenStores(ReversesBatches), "the receipts of a batch"),
    ("a_retry_changes_nothing", BrokenStores(ForgetsWriters), "sent again"),
    ("an_entry_that_is_not_the_next_is_refused", BrokenStores(ForgetsWriters), "entry 1 gave"),
    ("what_is_acknowledged_is_read_by_all", BrokenStores(ReadsOld), "is not read"),
    ("a_bell_is_heard_by_the_others", BrokenStores(RingsNoBell), "the bell of a channel"),
    ("what_a_bell_brings_is_what_is_read", BrokenStores(BringsSomethingElse), "the bell brings"),
    ("listeners_are_named_again_all_at_once", BrokenStores(ListensToTheFirst), "sent up to 2"),
    ("a_lost_tail_is_a_gap", BrokenStores(KnowsNothing), "a writer knew number 20"),
    ("the_oldest_messages_make_room", BrokenStores(Wrapped, max_messages=11), "after 11"),
    ("the_oldest_messages_make_room", BrokenStores(Wrapped, max_bytes=99), "a hundred bytes"),
    ("sessions_are_found_and_bounded", BrokenStores(Labelless), "finds"),
    ("sessions_are_found_and_bounded", BrokenStores(Wrapped, max_sessions=3), "two are remembered"),
    ("a_foreign_principal_gets_nothing", BrokenStores(TakesAnybody), "opened ann's channel"),
    ("cursors_and_listeners_are_known_to_writers", BrokenStores(HearsNoCursor), "was sent 3"),
    ("a_jump_of_a_process_s_clock_forgets_nothing", BrokenStores(GoesByTheProcess), "clock"),
    ("a_cancelled_append_is_settled_by_a_retry", BrokenStores(Jams), "did not end"),
    ("any_call_may_be_cancelled", BrokenStores(Jams), "did not end|of no use"),
    ("a_task_is_kept_as_it_was_entered", BrokenStores(ListsNoTasks), "the tasks of the channel"),
    ("a_start_key_is_one_task", BrokenStores(KnowsNoKeys), "again"),
    ("an_old_token_is_fenced", BrokenStores(TakesOldTokens), "an old token gave"),
    ("one_of_many_gets_a_queued_task", BrokenStores(GivesToAll), "twenty claims"),
    ("a_task_handed_off_goes_to_who_knows_its_id", BrokenStores(HandsOffToAll), "not `handed`"),
    ("a_task_ends_once", BrokenStores(NeverEnds), "four ends"),
    ("a_terminal_message_outlives_its_neighbours", BrokenStores(DropsTerminals), "first comes"),
    ("tasks_of_a_channel_are_bounded", BrokenStores(Wrapped, max_tasks_per_channel=3), "one task more"),
    ("tasks_of_a_channel_are_bounded", BrokenStores(Wrapped, max_kept=3), "as many unread"),
    ("tasks_of_a_principal_are_bounded", BrokenStores(Wrapped, max_tasks_per_principal=3), "one task more of"),
    ("signals_keep_their_order_and_bound", BrokenStores(ReversesSignals), "the signals are"),
    ("signals_keep_their_order_and_bound", BrokenStores(HearsOne), "of two tasks"),
    ("signals_keep_their_order_and_bound", BrokenStores(Wrapped, max_inputs=4), "one input more"),
    ("a_question_takes_one_answer", BrokenStores(AsksNobody), "were taken"),
    ("a_checkpoint_covers_what_was_taken", BrokenStores(RepeatsInputs), "after the checkpoint"),
    ("an_orphan_ends_once_or_runs_again", BrokenStores(ReapsNothing), "an orphan is looked after"),
    ("a_lease_that_ends_frees_the_task", BrokenStores(LeasesForEver), "an orphan is looked after"),
    ("given_back_is_no_interruption", BrokenStores(KeepsWhatIsGivenBack), "cannot be claimed"),
]


@pytest.mark.parametrize(("clause", "kind", "words"), CASES, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_broken_store_is_caught(
    clause: str, kind: BrokenStores, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcpc.testing.subject.PROMPTLY", 5.0)  # what never comes is not waited for any longer
    register_store("broken", kind, replace=True)
    with pytest.raises(ContractViolation, match=words) as caught:
        await store_checks()[clause](StoreSubject("broken:here", deadline=1 if kind.kind is Jams else 60))
    assert caught.value.clause == clause


def test_every_clause_has_a_broken_store() -> None:
    assert {clause for clause, _, _ in CASES} == set(store_checks())


async def test_a_sound_wrapper_is_not_blamed() -> None:
    register_store("broken", BrokenStores(Wrapped), replace=True)
    async with open_store("broken:sound") as store:
        assert store.limits == StoreLimits()
    for check in store_checks().values():
        await check(StoreSubject("broken:sound"))
