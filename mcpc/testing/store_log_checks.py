"""The clauses of the store contract on channels and logs."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import anyio

from mcpc.store import Store
from mcpc.stored import Appended, Change, Entry, Fenced, Place, Refused, Signal
from mcpc.testing.store_subject import WHOLE, StoreClauses, StoreSubject
from mcpc.testing.subject import expect, promptly

__all__ = ["CLAUSES"]

CLAUSES: StoreClauses = StoreClauses()
_check = CLAUSES.check

A_DAY = 24 * 3600.0
ROUND = 0.5
"""Seconds to wait for a bell before ringing again."""


@_check(1)
async def numbers_rise_by_one_whoever_appends(subject: StoreSubject) -> None:
    """Eight writers over two handles: the numbers of all entries cover 1 to the last without a hole or a repetition."""
    async with subject.handles() as stores:
        channel = await subject.channel(stores[0])
        landed: dict[int, bytes] = {}

        async def write(store: Store, name: int) -> None:
            writer = subject.writer(store, channel)
            for n in range(10):
                messages = [b"%d-%d-%d" % (name, n, i) for i in range(1 + (name + n) % 4)]
                first = await writer.must_write(*messages)
                for number, message in enumerate(messages, first):
                    expect(number not in landed, f"number {number} was given twice")
                    landed[number] = message

        async with anyio.create_task_group() as group:
            for name in range(8):
                group.start_soon(write, stores[name % 2], name)
        expect(sorted(landed) == list(range(1, len(landed) + 1)), "the numbers are not 1, 2, 3, …")
        expect(await subject.log(stores[1], channel) == landed, "what is read is not what the receipts say")


@_check(1)
async def numbers_go_on_after_a_restart(subject: StoreSubject) -> None:
    """A store that is closed and opened again goes on with the next number, in the same epoch."""
    async with subject.handles(1) as (store,):
        channel = await subject.channel(store)
        before = await store.open(channel, principal=None)
        await subject.writer(store, channel).must_write(b"1", b"2")
    async with subject.handles(1) as (store,):
        after = await store.open(channel, principal=None)
        assert before is not None
        assert after is not None
        expect((after.epoch, after.head) == (before.epoch, 2), f"reopened, the channel is {after}")
        expect(await subject.writer(store, channel).must_write(b"3") == 3, "the next number is not the next")
        expect(list((await subject.log(store, channel)).values()) == [b"1", b"2", b"3"], "messages are missing")


@_check(2)
async def an_entry_lands_whole_or_not_at_all(subject: StoreSubject) -> None:
    """Messages, state, checkpoint and end of an entry land together; of one that is fenced nothing does."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel, on_interrupt="resume")
        writer = subject.writer(store, channel)
        await writer.must_write(b"1", b"2", claim=claim, state=b"one", checkpoint=b"here")
        task = await other.task(claim.task_id)
        assert task is not None
        expect((task.state, task.checkpoint) == (b"one", b"here"), f"state and checkpoint did not land: {task}")
        await store.release(claim)
        receipt = await writer.write(b"lost", claim=claim, state=b"lost", checkpoint=b"lost", end="complete")
        expect(receipt == Fenced(), f"a claim that was given back gave {receipt}")
        task = await other.task(claim.task_id)
        assert task is not None
        expect((task.state, task.checkpoint, task.ended) == (b"one", b"here", False), f"a fenced entry left {task}")
        expect(list((await subject.log(other, channel)).values()) == [b"1", b"2"], "a fenced entry left messages")


@_check(2)
async def a_batch_keeps_its_order(subject: StoreSubject) -> None:
    """The entries of a batch land in its order, each with a receipt in its place."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        writers = [subject.writer(store, channel) for _ in range(5)]
        batch = [writer.entry(b"%d" % n, b"%d again" % n) for n, writer in enumerate(writers)]
        receipts = await store.append(batch)
        firsts = [receipt.first for receipt in receipts if isinstance(receipt, Appended)]
        expect(firsts == [1, 3, 5, 7, 9], f"the receipts of a batch are {receipts}")
        read = list((await subject.log(other, channel)).values())
        expect(read == [message for entry in batch for message in entry.messages], f"the log is {read}")


@_check(3)
async def a_retry_changes_nothing(subject: StoreSubject) -> None:
    """The last entry sent again, through another handle and after the end too, gives its first receipt again."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel)
        writer = subject.writer(store, channel)
        entry = writer.entry(b"1", b"2", claim=claim)
        end = writer.entry(b"3", claim=claim, end="complete")
        noise = subject.writer(other, channel)
        for sent, first in ((entry, 1), (end, 4)):
            for again in (store, store, other):
                (receipt,) = await again.append([sent])
                expect(isinstance(receipt, Appended) and receipt.first == first, f"sent again, it gave {receipt}")
            await noise.must_write(b"between")
        log = list((await subject.log(other, channel)).values())
        expect(log == [b"1", b"2", b"between", b"3", b"between"], f"after retries the log is {log}")


@_check(3)
async def an_entry_that_is_not_the_next_is_refused(subject: StoreSubject) -> None:
    """An entry older than a writer's last, or one with a hole before it, is refused, and nothing of it lands."""
    async with subject.handles(1) as (store,):
        channel = await subject.channel(store)
        for seq, lands in ((1, True), (2, True), (1, False), (4, False), (3, True)):
            (receipt,) = await store.append([Entry(channel, "w", seq, [b"%d" % seq])])
            kind = Appended if lands else Refused
            expect(isinstance(receipt, kind), f"entry {seq} gave {receipt}")
        log = list((await subject.log(store, channel)).values())
        expect(log == [b"1", b"2", b"3"], f"the log is {log}")


@_check(6)
async def what_is_acknowledged_is_read_by_all(subject: StoreSubject) -> None:
    """What one handle was told has landed every handle reads, after any number and in pages of any size."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        writer, sent = subject.writer(store, channel), list[bytes]()
        for n in range(8):
            messages = [b"%d.%d" % (n, i) for i in range(n)]
            await writer.must_write(*messages)
            sent += messages
            expect(list((await subject.log(other, channel)).values()) == sent, "an acknowledged message is not read")
        for after in range(len(sent)):
            page = await other.read(channel, after, max_messages=3, max_bytes=WHOLE)
            expect(page is not None and page.first == after + 1, f"after {after} comes {page}")
            assert page is not None
            expect(page.messages == sent[after : after + 3], f"three after {after} are {page.messages}")
            page = await other.read(channel, after, max_messages=WHOLE, max_bytes=1)
            expect(page is not None and len(page.messages) == 1, f"one byte after {after} is {page}")
        page = await other.read(channel, len(sent), max_messages=1, max_bytes=1)
        expect(page is None, f"after the last comes {page}")


@_check(8)
async def a_bell_is_heard_by_the_others(subject: StoreSubject) -> None:
    """After an append, a signal and a change of a task another handle's `changes` says so, or `look`."""
    async with subject.handles() as (store, other), anyio.create_task_group() as group:
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel)
        writer = subject.writer(store, channel)
        heard: list[Change] = []

        async def hear() -> None:
            async for change in other.changes():
                heard.append(change)  # noqa: PERF401 - there is no end

        async def until(kind: str, name: str, do: Callable[[], Awaitable[object]]) -> None:
            """Do something again and again, as bells may be lost, until one is heard."""
            with promptly(f"the bell of a {kind}"):
                while not any(c.kind in ("look", kind) and c.subject in ("", name) for c in heard):
                    await do()
                    with anyio.move_on_after(ROUND):
                        while not heard:  # noqa: ASYNC110 - whoever rings does not know of us
                            await anyio.sleep(ROUND / 20)
            heard.clear()

        group.start_soon(hear)
        await until("channel", channel, lambda: writer.must_write(b"1"))  # many say `look` at first
        await until("channel", channel, lambda: writer.must_write(b"2"))
        await until("signal", claim.task_id, lambda: store.signal(claim.task_id, Signal("input", b"1")))
        await until("task", claim.task_id, lambda: writer.must_write(claim=claim, state=b"changed"))
        group.cancel_scope.cancel()


@_check(8)
async def what_a_bell_brings_is_what_is_read(subject: StoreSubject) -> None:
    """The messages of a bell are those of the log up to its `last`."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        await other.beat("p", 30, [])
        await other.open(channel, principal=None, listener="p")
        writer, heard = subject.writer(store, channel), list[Change]()

        async def hear() -> None:
            async for change in other.changes():
                heard.append(change)

        async with anyio.create_task_group() as group:
            group.start_soon(hear)
            with promptly("the bell of a channel"):
                while not any(change.kind == "channel" for change in heard):
                    await writer.must_write(b"a", b"b")
                    await anyio.sleep(ROUND / 20)
            group.cancel_scope.cancel()
        log = await subject.log(other, channel)
        for change in heard:
            brought = dict(enumerate(change.messages, change.last - len(change.messages) + 1))
            expect(brought.items() <= log.items(), f"the bell brings {brought}, and what is read is {log}")


@_check(6)
async def listeners_are_named_again_all_at_once(subject: StoreSubject) -> None:
    """`listen` says for each channel what `open` would have said, and makes one that is not there."""
    async with subject.handles() as (store, other):
        channel, foreign = await subject.channel(store), await subject.channel(store, principal='["ann"]')
        writer = subject.writer(store, channel)
        await writer.must_write(b"1", b"2", b"3")
        state = await store.open(channel, principal=None)
        assert state is not None
        await other.beat("p", 30, [])
        new = f"{channel}-new"
        places = {
            channel: Place(None, 2, state.epoch),
            foreign: Place(None, 0, "another"),
            new: Place(None, 0, "another"),
        }
        states = await other.listen("p", places)
        expect(states.get(channel) == replace(state, cursor=2), f"of {state}, sent up to 2, is said {states}")
        expect(states.get(foreign, state) is None, "ann's channel is said to be another's")
        expect(states.get(new) is not None, "a channel that is not there is not made")
        receipt = await writer.write(b"4")
        expect(receipt == Appended(4, 2, True), f"with a listener that was sent 2 the receipt is {receipt}")
        expect(await other.listen("p", {}) == {}, "of no channel something is said")


@_check(9)
async def a_lost_tail_is_a_gap(subject: StoreSubject) -> None:
    """If a listener or a writer knows a higher number, the head jumps there: no number comes to mean two things."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        writer = subject.writer(store, channel)
        await writer.must_write(b"1", b"2", b"3")
        state = await store.open(channel, principal=None, after=10, epoch="another log's")
        assert state is not None
        expect(state.head == 3, f"the number of another epoch was taken: {state}")
        state = await store.open(channel, principal=None, after=10, epoch=state.epoch)
        assert state is not None
        expect((state.head, state.oldest) == (10, 11), f"a listener knew number 10, and the channel is {state}")
        expect(await writer.must_write(b"11") == 11, "the next number after the jump is not 11")
        expect(await writer.must_write(b"21", known=20) == 21, "a writer knew number 20, and 21 was not next")
        page = await other.read(channel, 3, max_messages=WHOLE, max_bytes=WHOLE)
        expect(page is not None and (page.first, page.messages) == (11, [b"11"]), f"after the hole comes {page}")
        expect((await subject.log(other, channel, 11)) == {21: b"21"}, "after the second hole comes something else")


@_check(10)
async def the_oldest_messages_make_room(subject: StoreSubject) -> None:
    """A log holds `max_messages` and `max_bytes` and no more; one message that is larger than all is held alone."""
    async with subject.handles(max_messages=10, max_bytes=100) as (store, other):
        channel = await subject.channel(store)
        writer = subject.writer(store, channel)
        for n in range(1, 26):
            await writer.must_write(b"%02d" % n)
            if n in (10, 11):
                state = await other.open(channel, principal=None)
                expect(state is not None and (state.oldest, state.head) == (n - 9, n), f"after {n}: {state}")
        expect(list(await subject.log(other, channel)) == list(range(16, 26)), "the newest ten are not what is left")
        await writer.must_write(*[b"%02d" % n for n in range(26, 60)])
        expect(list(await subject.log(other, channel)) == list(range(50, 60)), "of a long entry ten are not left")
        await writer.must_write(b"x" * 50, b"y" * 50)
        expect(list(await subject.log(other, channel)) == [60, 61], "a hundred bytes do not fill the log")
        await writer.must_write(b"z" * 200)
        expect(await subject.log(other, channel) == {62: b"z" * 200}, "a larger message is not held alone")


@_check(10)
async def sessions_are_found_and_bounded(subject: StoreSubject) -> None:
    """A label finds the channels that were opened under it, `*` all; beyond `max_sessions` the oldest is forgotten."""
    async with subject.handles(max_sessions=2) as (store, other):
        one, two = await subject.channel(store), await subject.channel(store)
        labels = [f"{one}-{n}" for n in range(3)]
        for label in labels:
            await store.open(one, principal=None, session=label)
        await other.open(two, principal=None, session=labels[2])
        everywhere = await other.channels("*")
        expect({one, two} <= set(everywhere), f"of two channels all that is found is {everywhere}")
        found = [await other.channels(label) for label in labels]
        expect(sorted(found[2]) == sorted([one, two]), f"a label of two channels finds {found[2]}")
        expect(found[:2] == [[], [one]], f"of three labels of a channel two are remembered, and they find {found}")


@_check(4)
async def a_foreign_principal_gets_nothing(subject: StoreSubject) -> None:
    """A channel of one principal is not opened for another, nor for nobody."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store, principal='["ann"]')
        for stranger in ('["bob"]', None):
            expect(await other.open(channel, principal=stranger) is None, f"{stranger} opened ann's channel")
        expect(await other.open(channel, principal='["ann"]') is not None, "ann cannot open her channel")


@_check(6)
async def cursors_and_listeners_are_known_to_writers(subject: StoreSubject) -> None:
    """A receipt says how far the channel's listener was sent, and whether there is one, wherever it listens."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        writer = subject.writer(store, channel)
        await writer.must_write(b"1", b"2")
        receipt = await writer.write(b"3")
        expect(receipt == Appended(3, 0, False), f"with no listener the receipt is {receipt}")
        await other.beat("p", 30, [])
        await other.open(channel, principal=None, listener="p", after=1)
        await other.sent("p", {channel: 3})
        await other.sent("somebody else", {channel: 100})
        receipt = await writer.write(b"4")
        expect(receipt == Appended(4, 3, True), f"with a listener that was sent 3 the receipt is {receipt}")
        await other.leave(channel, "somebody else")
        await other.leave(channel, "p")
        receipt = await writer.write(b"5")
        expect(receipt == Appended(5, 3, False), f"after it left the receipt is {receipt}")


@_check(11)
async def a_jump_of_a_process_s_clock_forgets_nothing(subject: StoreSubject) -> None:
    """With `time.time` a day ahead no lease ends, no task ends, and nothing is swept."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        running = await subject.claimed(store, channel, "runner")
        await store.beat("runner", 30, [running])
        ended = await subject.claimed(store, channel, "runner")
        await subject.writer(store, channel).must_write(b"end", claim=ended, end="complete")
        ahead = time.time() + A_DAY
        with patch("time.time", lambda: ahead):
            reaped = [task.task_id for task in await other.reap()]
            await other.sweep()
            expect(running.task_id not in reaped, "a process's clock ended a lease")
            held = await store.beat("runner", 30, [running])
            expect(held == {running.task_id}, f"of the one task of the runner it holds {held}")
        expect(await other.task(ended.task_id) is not None, "a process's clock ended a time to live")
        expect(await subject.log(other, channel) == {1: b"end"}, "a process's clock took a message")


@_check(12)
async def a_cancelled_append_is_settled_by_a_retry(subject: StoreSubject) -> None:
    """Cancelled at whatever point, an append has landed or not; sent again it has, once, and the store goes on."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        writer, sent = subject.writer(store, channel), list[bytes]()
        for n in range(20):
            entry = writer.entry(b"%d" % n)
            sent += entry.messages
            with anyio.CancelScope(deadline=anyio.current_time() + n * 0.0003):
                await store.append([entry])
            (receipt,) = await store.append([entry])
            expect(isinstance(receipt, Appended), f"a cancelled entry sent again gave {receipt}")
        log = list((await subject.log(other, channel)).values())
        expect(log == sent, f"after {len(sent)} cancelled entries the log is {log}")


@_check(12)
async def any_call_may_be_cancelled(subject: StoreSubject) -> None:
    """A cancelled call of any method leaves the store usable, and raises nothing."""
    async with subject.handles(1) as (store,):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel)
        calls = [
            partial(store.open, channel, principal=None),
            partial(store.read, channel, 0, max_messages=1, max_bytes=1),
            partial(store.sent, "p", {channel: 1}),
            partial(store.leave, channel, "p"),
            partial(store.channels, "s"),
            partial(store.task, claim.task_id),
            partial(store.tasks, channel),
            partial(store.signals, {claim: 0}),
            partial(store.beat, "runner", 30, [claim]),
            partial(store.claim, "runner", ["no such tool"]),
            partial(store.reap),
            partial(store.sweep),
        ]
        for call in calls:
            for wait in (0.0, 0.0005):
                with anyio.CancelScope(deadline=anyio.current_time() + wait):
                    await call()
        expect(await subject.writer(store, channel).must_write(b"1", claim=claim) == 1, "the store is of no use")
