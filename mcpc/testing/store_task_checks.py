"""The clauses of the store contract on tasks: claims, ends, signals, and what becomes of orphans."""

from collections.abc import Callable
from dataclasses import replace

import anyio

from mcpc.errors import DuplicateTask, InputRefused, PromptError, StoreRefused, TaskEnded, TooManyTasks, UnknownTask
from mcpc.store import Store
from mcpc.stored import Appended, Claim, Ended, Fenced, Signal, StoredTask, channel_id
from mcpc.testing.store_subject import StoreClauses, StoreSubject
from mcpc.testing.subject import expect, expecting, promptly

__all__ = ["CLAUSES"]

CLAUSES: StoreClauses = StoreClauses()
_check = CLAUSES.check

POLL = 0.05
"""Seconds between two looks for something that time alone brings about."""


async def _stored(store: Store, task_id: str) -> StoredTask:
    task = await store.task(task_id)
    expect(task is not None, "a task is not known")
    assert task is not None
    return task


async def _orphaned(store: Store, task_id: str, until: Callable[[StoredTask], bool]) -> StoredTask:
    """Reap until a task is as it should be."""
    with promptly("an orphan is looked after"):
        while not until(task := await _stored(store, task_id)):
            await store.reap()
            await anyio.sleep(POLL)
    return task


@_check(2)
async def a_task_is_kept_as_it_was_entered(subject: StoreSubject) -> None:
    """Every handle sees a new task; it is found by its id, among its channel's, and on no other channel."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store, principal='["ann"]')
        new = subject.task(channel, arguments=b'{"n": 1}', on_interrupt="resume")
        entered = await store.enter(new, runner="r")
        task = await _stored(other, new.task_id)
        expect(entered.claim == Claim(new.task_id, channel, task.token), f"the claim {entered.claim} is not {task}'s")
        told = (task.channel, task.tool_name, task.session_id, task.state, task.arguments, task.on_interrupt)
        given = (channel, new.tool_name, new.session_id, new.state, new.arguments, new.on_interrupt)
        expect(told == given, f"entered as {given}, it is {told}")
        expect((task.status, task.attempt, task.ended) == ("running", 1, False), f"a new task is {task}")
        expect(task.principal == '["ann"]', f"its channel's principal is {task.principal}")
        second = await other.enter(subject.task(channel), runner=None)
        ids = [found.task_id for found in await store.tasks(channel)]
        expect(ids == [new.task_id, second.task_id], f"the tasks of the channel are {ids}")
        expect(len(await store.tasks(channel, limit=1)) == 1, "a limit of one task gives more")
        expect(await store.tasks(await subject.channel(store)) == [], "a new channel has tasks")
        expect(await store.task("no such task") is None, "an unknown id gives a task")
        with expecting(DuplicateTask, what="an id in use"):
            await other.enter(replace(new, channel=await subject.channel(other)), runner="r")
        with expecting(StoreRefused, what="a channel that nobody opened"):
            await other.enter(subject.task(channel_id("nobody's")), runner="r")


@_check(3)
async def a_start_key_is_one_task(subject: StoreSubject) -> None:
    """The same key on the same channel is the same task, running or ended; on another channel it is another."""
    async with subject.handles() as (store, other):
        channel, elsewhere = await subject.channel(store), await subject.channel(store)
        claim = await subject.claimed(store, channel, key="k")
        for _ in range(2):
            again = await other.enter(subject.task(channel, key="k"), runner="r")
            expect((again.task_id, again.claim, again.is_new) == (claim.task_id, None, False), f"again: {again}")
            found = await other.keyed(channel, "k")
            expect(found is not None and found.task_id == claim.task_id, f"the key finds {found}")
            await subject.writer(store, channel).write(b"end", claim=claim, end="complete")
        expect(await store.keyed(elsewhere, "k") is None, "another channel knows the key")
        expect((await store.enter(subject.task(elsewhere, key="k"), runner="r")).is_new, "another channel's is not new")

        async def start(results: list[str]) -> None:
            results.append((await store.enter(subject.task(channel, key="both"), runner="r")).task_id)

        results: list[str] = []
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(start, results)
        expect(len(set(results)) == 1, f"five starts with one key made {len(set(results))} tasks")


@_check(4)
async def an_old_token_is_fenced(subject: StoreSubject) -> None:
    """Who holds an older claim than the newest appends nothing, hears no signal, and is told so by `beat`."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        old = await subject.claimed(store, channel, "old", on_interrupt="restart")
        tool = (await _stored(store, old.task_id)).tool_name
        expect(await store.beat("old", 30, [old]) == {old.task_id}, "the newest claim is not held")
        await store.release(old)
        expect(await store.beat("old", 30, [old]) == set(), "a claim that was given back is held")
        claimed = await other.claim("new", [tool])
        assert claimed is not None, "a task that was given back cannot be claimed"
        new, task = claimed
        expect(new.task_id == old.task_id and new.token > old.token, f"after {old} the claim is {new}")
        expect((task.status, task.attempt) == ("running", 2), f"claimed again it is {task}")
        await store.signal(new.task_id, Signal("input", b"1"))
        receipt = await subject.writer(store, channel).write(b"old", claim=old, state=b"old", end="failed")
        expect(receipt == Fenced(), f"an old token gave {receipt}")
        expect(await store.signals({old: 0}) == {}, "an old token hears signals")
        expect(len((await other.signals({new: 0, old: 0}))[new]) == 1, "the newest claim hears nothing")
        await store.release(old)
        expect(await other.beat("new", 30, [new]) == {new.task_id}, "an old token gave away the newest claim")
        await subject.writer(other, channel).must_write(b"new", claim=new)
        expect(list((await subject.log(store, channel)).values()) == [b"new"], "an old token wrote")


@_check(4)
async def one_of_many_gets_a_queued_task(subject: StoreSubject) -> None:
    """Of twenty that claim at once one gets the task; who cannot serve its tool gets nothing; the oldest goes first."""
    async with subject.handles() as stores:
        channel = await subject.channel(stores[0])
        new = subject.task(channel)
        await stores[0].enter(new, runner=None)
        expect(await stores[1].claim("r", ["another tool"]) is None, "a task of another tool was claimed")
        winners: list[Claim] = []

        async def claim(store: Store, runner: str) -> None:
            claimed = await store.claim(runner, [new.tool_name])
            if claimed is not None:
                winners.append(claimed[0])

        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(claim, stores[n % 2], f"r{n}")
        expect([won.task_id for won in winners] == [new.task_id], f"twenty claims made {winners}")
        entered = [(await stores[0].enter(subject.task(channel), runner=None)).task_id for _ in range(3)]
        order: list[str] = []
        while (claimed := await stores[1].claim("r", [new.tool_name])) is not None:
            order.append(claimed[0].task_id)
        expect(order == entered, "queued tasks are not claimed in the order in which they came")


@_check(4)
async def a_task_handed_off_goes_to_who_knows_its_id(subject: StoreSubject) -> None:
    """A task that was handed off is claimed by nobody, and taken by its id, once; so is a queued one."""
    async with subject.handles() as stores:
        channel = await subject.channel(stores[0])
        claim = await subject.claimed(stores[0], channel)
        tool = (await _stored(stores[0], claim.task_id)).tool_name
        expect(await stores[1].take("r", claim.task_id) is None, "a running task was taken")
        await stores[0].release(claim, handed=True)
        expect((await _stored(stores[1], claim.task_id)).status == "handed", "a task handed off is not `handed`")
        expect(await stores[1].claim("r", [tool]) is None, "a task handed off was claimed by its tool")
        queued = (await stores[0].enter(subject.task(channel), runner=None)).task_id
        for task_id in (claim.task_id, queued):
            taken: list[Claim] = []

            async def take(store: Store, runner: str, wanted: str, won: list[Claim]) -> None:
                found = await store.take(runner, wanted)
                if found is not None:
                    won.append(found[0])

            async with anyio.create_task_group() as group:
                for n in range(10):
                    group.start_soon(take, stores[n % 2], f"r{n}", task_id, taken)
            expect([won.task_id for won in taken] == [task_id], f"ten that took a task got {taken}")
            await subject.writer(stores[0], channel).must_write(b"mine", claim=taken[0])
        expect(await stores[0].claim("r", [tool]) is None, "a task that was taken is claimed")
        expect(await stores[0].take("r", "no such task") is None, "an unknown task was taken")


@_check(5)
async def a_task_ends_once(subject: StoreSubject) -> None:
    """Of two ends at once one lands. After it appends are `Ended`, signals refused; `stop` does nothing."""
    async with subject.handles() as stores:
        channel = await subject.channel(stores[0])
        claim = await subject.claimed(stores[0], channel)
        receipts: list[object] = []

        async def end(store: Store) -> None:
            receipts.append(await subject.writer(store, channel).write(b"end", claim=claim, state=b"x", end="complete"))

        async with anyio.create_task_group() as group:
            for store in (*stores, *stores):
                group.start_soon(end, store)
        landed = [receipt for receipt in receipts if isinstance(receipt, Appended)]
        expect(len(landed) == 1 and receipts.count(Ended()) == 3, f"four ends gave {receipts}")
        task = await _stored(stores[1], claim.task_id)
        expect((task.status, task.state, task.end_number) == ("complete", b"x", 1), f"it ended as {task}")
        expect(task.expires_at is not None, "an ended task never expires")
        expect(await stores[0].beat("r", 30, [claim]) == set(), "an ended task is held")
        for signal in (Signal("input", b"1"), Signal("answer", b"1", "p"), Signal("refusal", b"decline", "p")):
            with expecting(TaskEnded, what=f"a signal ({signal.kind}) after the end"):
                await stores[1].signal(claim.task_id, signal)
        await stores[1].signal(claim.task_id, Signal("stop"))
        await stores[1].release(claim)
        expect((await _stored(stores[0], claim.task_id)).status == "complete", "something undid the end")
        expect(list((await subject.log(stores[1], channel)).values()) == [b"end"], "there are several ends")


@_check(7)
async def a_terminal_message_outlives_its_neighbours(subject: StoreSubject) -> None:
    """A terminal message that the log has let go of is read, alone, until its task's time to live ends; then not."""
    async with subject.handles(max_messages=5, task_ttl=1.0) as (store, other):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel)
        writer = subject.writer(store, channel)
        await writer.must_write(b"1", b"end", claim=claim, end="failed")
        await writer.must_write(*[b"%d" % n for n in range(3, 13)])
        page = await other.read(channel, 0, max_messages=100, max_bytes=1000)
        expect(page is not None and (page.first, page.messages) == (2, [b"end"]), f"first comes {page}")
        expect(list(await subject.log(other, channel, 2)) == [8, 9, 10, 11, 12], "then does not come the log")
        with promptly("an ended task is forgotten"):
            while await other.task(claim.task_id) is not None:
                await other.sweep()
                await anyio.sleep(POLL)
        expect(list(await subject.log(other, channel)) == [8, 9, 10, 11, 12], "a message is there after its time")


@_check(10)
async def tasks_of_a_channel_are_bounded(subject: StoreSubject) -> None:
    """With `max_tasks_per_channel` open, or `max_kept` terminal messages unread, no task is entered."""
    async with subject.handles(max_tasks_per_channel=2, max_messages=2, max_kept=2) as (store, other):
        channel = await subject.channel(store)
        claims = [await subject.claimed(store, channel) for _ in range(2)]
        with expecting(TooManyTasks, what="one task more than may run"):
            await other.enter(subject.task(channel), runner="r")
        writer = subject.writer(store, channel)
        for claim in claims:
            await writer.must_write(b"end", claim=claim, end="complete")
        last = await subject.claimed(store, channel)
        await writer.must_write(b"3", b"4")
        with expecting(TooManyTasks, what="as many unread terminal messages as may be"):
            await other.enter(subject.task(channel), runner="r")
        await writer.must_write(b"end", claim=last, end="complete")
        await other.open(channel, principal=None, listener="p", after=2)
        expect((await other.enter(subject.task(channel), runner="r")).is_new, "read messages still count")


@_check(10)
async def tasks_of_a_principal_are_bounded(subject: StoreSubject) -> None:
    """With `max_tasks_per_principal` open on its channels together, no task is entered; others' are not counted."""
    async with subject.handles(max_tasks_per_principal=2) as (store, other):
        name = f'["{await subject.channel(store)}"]'
        one, two = [await subject.channel(store, principal=name) for _ in range(2)]
        nobodys = await subject.channel(store)
        claims = [await subject.claimed(store, one), await subject.claimed(other, two)]
        for channel in (one, two):
            with expecting(TooManyTasks, what="one task more of a principal"):
                await other.enter(subject.task(channel), runner=None)
        for _ in range(3):
            await subject.claimed(other, nobodys)
        await subject.writer(other, two).must_write(b"end", claim=claims[1], end="complete")
        expect((await store.enter(subject.task(one), runner=None)).is_new, "an ended task still counts")
        with expecting(TooManyTasks, what="a waiting task does not count, and one more"):
            await other.enter(subject.task(one), runner="r")


@_check(10)
async def signals_keep_their_order_and_bound(subject: StoreSubject) -> None:
    """Signals are numbered in order; over `max_inputs` that the worker has not taken an input is refused."""
    async with subject.handles(max_inputs=3) as (store, other):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel)
        for n in range(3):
            await (store, other)[n % 2].signal(claim.task_id, Signal("input", b"%d" % n))
        with expecting(InputRefused, what="one input more than may wait"):
            await other.signal(claim.task_id, Signal("input", b"3"))
        await other.signal(claim.task_id, Signal("stop"))
        await store.signal(claim.task_id, Signal("stop"))
        quiet = await subject.claimed(store, channel)
        heard = await store.signals({quiet: 0, claim: 0})
        expect([*heard] == [claim], f"of two tasks, one of which was told something, these were: {[*heard]}")
        signals = heard[claim]
        expect([s.kind for s in signals] == ["input"] * 3 + ["stop"], f"the signals are {signals}")
        expect([s.value for s in signals[:3]] == [b"0", b"1", b"2"], f"the inputs are {signals}")
        numbers = [s.number for s in signals]
        expect(numbers == sorted(set(numbers)) and numbers[0] >= 1, f"their numbers are {numbers}")
        expect(
            await store.signals({claim: numbers[1]}) == {claim: signals[2:]},
            "after a number come others than those after it",
        )
        await subject.writer(store, channel).must_write(claim=claim, taken=numbers[0])
        await other.signal(claim.task_id, Signal("input", b"3"))
        with expecting(UnknownTask, what="a signal to an unknown task"):
            await store.signal("no such task", Signal("stop"))


@_check(5)
async def a_question_takes_one_answer(subject: StoreSubject) -> None:
    """The first answer or refusal of a question counts, whichever handle it comes through; another is refused."""
    async with subject.handles() as stores:
        channel = await subject.channel(stores[0])
        claim = await subject.claimed(stores[0], channel)
        taken: list[Signal] = []
        refused: list[Signal] = []

        async def answer(store: Store, signal: Signal) -> None:
            try:
                await store.signal(claim.task_id, signal)
                taken.append(signal)
            except PromptError as exc:
                expect(exc.closed, "a second answer is refused as if another one would be taken")
                refused.append(signal)

        async with anyio.create_task_group() as group:
            for n in range(6):
                kind = "answer" if n % 3 else "refusal"
                group.start_soon(answer, stores[n % 2], Signal(kind, b"%d" % n, "prompt"))
        expect((len(taken), len(refused)) == (1, 5), f"six answers at once: {len(taken)} were taken")
        heard = [replace(signal, number=0) for signal in (await stores[1].signals({claim: 0}))[claim]]
        expect(heard == taken, f"{taken} was taken, and {heard} is heard")


@_check(2)
async def a_checkpoint_covers_what_was_taken(subject: StoreSubject) -> None:
    """The next claim finds the checkpoint; inputs taken before it do not come again, later ones and answers do."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel, on_interrupt="resume")
        tool = (await _stored(store, claim.task_id)).tool_name
        for n in range(3):
            await store.signal(claim.task_id, Signal("input", b"%d" % n))
        await store.signal(claim.task_id, Signal("answer", b"yes", "p"))
        writer = subject.writer(store, channel)
        numbers = [signal.number for signal in (await store.signals({claim: 0}))[claim]]
        await writer.must_write(claim=claim, checkpoint=b"first", taken=numbers[1])
        await writer.must_write(claim=claim, taken=numbers[2])
        await store.release(claim)
        claimed = await other.claim("new", [tool])
        assert claimed is not None, "a task that was given back cannot be claimed"
        again, task = claimed
        expect((task.checkpoint, task.taken) == (b"first", numbers[1]), f"after the checkpoint it is {task}")
        values = [signal.value for signal in (await other.signals({again: 0}))[again]]
        expect(values == [b"2", b"yes"], f"after the checkpoint come {values}")


@_check(5)
async def an_orphan_ends_once_or_runs_again(subject: StoreSubject) -> None:
    """When a handle is gone its tasks are looked after at once: `fail` ends, the others are queued, so often."""
    async with subject.handles(1) as (store,):
        channel = await subject.channel(store)
        async with subject.handles(1) as (gone,):
            fails = await subject.claimed(gone, channel, "gone")
            again = await subject.claimed(gone, channel, "gone", on_interrupt="restart", max_attempts=2)
            silent = await subject.claimed(gone, channel, "gone", interrupted=b"")
            await subject.writer(gone, channel).must_write(b"1", claim=fails, state=b"said")
        tool = (await _stored(store, again.task_id)).tool_name
        task = await _orphaned(store, fails.task_id, lambda task: task.ended)
        ended = (task.status, task.was_interrupted, task.end_number, task.state)
        expect(ended == ("failed", True, 2, b"said"), f"an orphan that may not run again is {task}")
        expect((await _orphaned(store, silent.task_id, lambda t: t.ended)).end_number == 0, "an empty message was sent")
        await _orphaned(store, again.task_id, lambda task: task.status == "queued")
        async with subject.handles(1) as (second,):
            claimed = await second.claim("second", [tool])
            assert claimed is not None, "an orphan that may run again cannot be claimed"
        task = await _orphaned(store, again.task_id, lambda task: task.ended)
        expect(task.was_interrupted, f"begun as often as it may be, it is {task}")
        expect(await store.reap() == [], "reaped again, there are more")
        log = list((await subject.log(store, channel)).values())
        expect(log == [b"1", b"interrupted", b"interrupted"], f"the log is {log}")
        receipt = await subject.writer(store, channel).write(b"late", claim=fails)
        expect(receipt == Ended(), f"who comes late gets {receipt}")


@_check(11)
async def a_lease_that_ends_frees_the_task(subject: StoreSubject) -> None:
    """A runner that beats keeps its tasks; one that does not for its lease loses them, though its handle lives."""
    async with subject.handles() as (store, other):
        channel = await subject.channel(store)
        await store.beat("kept", 30, [])
        await store.beat("short", 0.3, [])
        kept = await subject.claimed(store, channel, "kept")
        short = await subject.claimed(store, channel, "short")
        task = await _orphaned(other, short.task_id, lambda task: task.ended)
        expect(task.was_interrupted, f"after its runner's lease a task is {task}")
        receipt = await subject.writer(store, channel).write(b"late", claim=short)
        expect(receipt == Ended(), f"a runner whose lease has ended gets {receipt}")
        expect(await store.beat("kept", 30, [kept]) == {kept.task_id}, "a runner that beats lost its task")


@_check(5)
async def given_back_is_no_interruption(subject: StoreSubject) -> None:
    """A task that is given back, however often, is not ended for having been begun too often."""
    async with subject.handles(1) as (store,):
        channel = await subject.channel(store)
        claim = await subject.claimed(store, channel, on_interrupt="restart", max_attempts=2)
        tool = (await _stored(store, claim.task_id)).tool_name
        for _ in range(4):
            await store.release(claim)
            claimed = await store.claim("r", [tool])
            assert claimed is not None, "a task that was given back cannot be claimed"
            claim = claimed[0]
        task = await _stored(store, claim.task_id)
        expect((task.status, task.attempt) == ("running", 5), f"given back four times it is {task}")
