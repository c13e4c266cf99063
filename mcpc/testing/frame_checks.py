"""The clauses about frames: whole, in order, within their limits, and never lost by a cancelled call."""

import json
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import ChannelBroken, FrameTooLarge, TransportError
from mcpc.framing import Connection
from mcpc.testing.loads import Load, make_frame, read_index
from mcpc.testing.peers import MAX_BUFFERED, Sender, collect, first_difference, send_in_batches
from mcpc.testing.subject import LIMIT, Clauses, NotApplicable, RemotePeer, Subject, expect, promptly
from mcpc.transport import FrameChannel, ImmediateChannel

__all__ = ["CLAUSES"]

CLAUSES: Clauses = Clauses()
_check = CLAUSES.check


async def _same(channel: FrameChannel, load: Load, **how: Any) -> None:
    difference = await first_difference(channel, load, **how)
    expect(difference is None, f"receiving: {difference}")


async def _verdict(channel: FrameChannel) -> None:
    difference = json.loads(await channel.receive())["difference"]
    expect(difference is None, f"the accepting end, receiving: {difference}")


# --- whole and in order ---


@_check()
async def frames_arrive_whole_and_in_order(subject: Subject) -> None:
    """Frames arrive as they were sent: in order, each whole."""
    load = Load(count=200, high=8192)
    async with subject.peer("take", load=load.describe()) as peer:
        await send_in_batches(peer.channel, load, 1)
        await _verdict(peer.channel)
        await peer.ask("give", load=load.describe())
        await _same(peer.channel, load)


@_check()
async def many_frames_go_in_one_send(subject: Subject) -> None:
    """One `send` takes any number of frames."""
    load = Load(count=1000, high=500, seed=1)
    async with subject.peer("take", load=load.describe()) as peer:
        await send_in_batches(peer.channel, load, 1000)
        await _verdict(peer.channel)
        await peer.ask("give", load=load.describe(), batch=1000)
        await _same(peer.channel, load)


@_check()
async def frames_of_every_size_pass(subject: Subject) -> None:
    """Frames of two bytes (`{}`) up to `max_message_size` pass, both ways at once."""
    there, back = Load(count=60, high=LIMIT, seed=2), Load(count=60, high=LIMIT, seed=3)
    limits, take, give = subject.limits, there.describe(), back.describe()
    async with subject.peer("give_and_take", limits=limits, take=take, give=give) as peer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_in_batches, peer.channel, there, 1)
            await _same(peer.channel, back)
        await _verdict(peer.channel)


@_check()
async def what_is_sent_without_waiting_keeps_its_place(subject: Subject) -> None:
    """`send_nowait`, where there is one, takes frames whole and in order, with `send` for what it could not take."""
    load = Load(count=100, high=LIMIT, seed=4)
    async with subject.peer("take", limits=subject.limits, load=load.describe()) as peer:
        channel = _immediate(peer.channel)
        for number, frame in enumerate(load):
            if number % 3 == 0:
                await channel.send(frame)
            elif not channel.send_nowait(frame):
                await channel.send()
        await _verdict(channel)


@_check()
async def a_tap_sees_what_comes_in_its_turn(subject: Subject) -> None:
    """What a `tap` takes, where there is one, and what is received of the rest come in the order they were sent in."""
    load, order = Load(count=202, low=100, seed=5), list[int | None]()

    def tap(frame: bytes) -> bool:
        index = read_index(frame)
        taken = index is not None and index % 3 != 0
        if taken:
            order.append(index)
        return taken

    async with subject.peer("give", load=load.describe()) as peer:
        _immediate(peer.channel).tap = tap
        with promptly("the last frame"):
            while len(order) < load.count:
                order.append(read_index(await peer.channel.receive()))
    expect(order == list(range(load.count)), f"the frames came in the order {order}")


def _immediate(channel: FrameChannel) -> ImmediateChannel:
    if not isinstance(channel, ImmediateChannel):
        raise NotApplicable("the transport's channels do nothing without waiting")
    return channel


@_check()
async def a_lockstep_exchange_works(subject: Subject) -> None:
    """Each frame can be an answer to the one before: nothing waits for more to be sent."""
    async with subject.peer("echo") as peer:
        for index in range(100):
            frame = make_frame(index, 100 + index)
            await peer.channel.send(frame)
            with promptly("an echo"):
                expect(await peer.channel.receive() == frame, f"frame {index} came back as another")


@_check()
async def connections_are_isolated(subject: Subject) -> None:
    """Many connections at once: what is sent on one arrives there, and nowhere else."""

    async def use(uri: str, seed: int) -> None:
        load = Load(count=40, high=2000, seed=seed)
        async with subject.peer("echo", uri=uri) as peer, anyio.create_task_group() as tasks:
            tasks.start_soon(send_in_batches, peer.channel, load, 4)
            await _same(peer.channel, load)

    async with subject.serving() as uri, anyio.create_task_group() as tasks:
        for seed in range(subject.connections):
            tasks.start_soon(use, uri, 100 + seed)


@_check()
async def concurrent_sends_through_a_connection_stay_whole(subject: Subject) -> None:
    """What many tasks send through one `mcpc.framing.Connection` arrives whole, each task's in order."""
    tasks_count, each = 10, 30
    async with subject.peer("collect") as peer:

        async def send(first: int) -> None:
            for index in range(first, first + each):
                await connection.send(make_frame(index, 100 + 37 * index))

        opened = Connection(peer.channel, side="client").open()
        async with opened as connection, anyio.create_task_group() as tasks:
            for number in range(tasks_count):
                tasks.start_soon(send, number * 1000)
        with promptly("the accepting end's report"):
            report = await peer.report()
    expect(report["torn"] == 0, f"{report['torn']} frames arrived torn")
    for number in range(tasks_count):
        got = [index % 1000 for index in report["indexes"] if index // 1000 == number]
        expect(got == list(range(each)), f"task {number}'s frames arrived as {got}")


# --- too large ---


@_check()
async def a_frame_over_the_limit_is_refused_by_the_listener(subject: Subject) -> None:
    """A frame of `max_message_size` is accepted, and one that is a byte over never: it is skipped with
    `FrameTooLarge`, or ends the connection; the next connection works.
    """
    limits = _limits(subject)
    async with subject.serving(limits) as uri:
        async with subject.peer("note", uri=uri, limits=limits) as peer:
            await peer.channel.send(make_frame(0, LIMIT))
            noted = json.loads(await peer.channel.receive())
            expect(noted == {"size": LIMIT}, f"a frame of exactly {LIMIT} bytes: {noted}")
            await _send_too_large(peer.channel)
        with promptly("a connection after the refusal", 60):
            await subject.exchange(uri)


async def _send_too_large(channel: FrameChannel) -> None:
    try:
        await channel.send(make_frame(1, LIMIT + 1))
        await channel.send(make_frame(2, 100))
        noted = json.loads(await channel.receive())
    except TransportError:
        return  # the connection ended: refused
    expect(noted == {"refused": "FrameTooLarge"}, f"a frame of {LIMIT + 1} bytes: {noted}")
    noted = json.loads(await channel.receive())
    expect(noted == {"size": 100}, f"the frame after the one refused: {noted}")


@_check()
async def a_frame_over_the_limit_is_refused_by_the_dialler(subject: Subject) -> None:
    """A frame over `max_message_size` is not received: `receive` raises `FrameTooLarge`, and then gives the next,
    or the connection ends.
    """
    limits = _limits(subject)
    async with subject.peer("oversize", size=LIMIT, limits=limits) as peer:
        expect(len(await peer.channel.receive()) == LIMIT, f"a frame of exactly {LIMIT} bytes came otherwise")
        expect(read_index(await peer.channel.receive()) == 1, "the next one came otherwise")
    async with subject.peer("oversize", size=LIMIT + 1, limits=limits) as peer:
        try:
            got = await peer.channel.receive()
        except FrameTooLarge:
            got = await peer.channel.receive()
        except TransportError:
            return
        expect(read_index(got) == 1, f"what came was a frame of {len(got)} bytes")


def _limits(subject: Subject) -> dict[str, Any]:
    if not subject.limits:
        raise NotApplicable("the transport has no option max_message_size")
    return subject.limits


# --- back-pressure ---


@_check()
async def a_send_waits_while_the_peer_does_not_read(subject: Subject) -> None:
    """`send` to a peer that does not read waits, after a bounded number of bytes, until the peer reads."""
    async with subject.peer("collect", wait=True) as peer:
        sender = Sender(peer.channel)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender.run)
            expect(await sender.blocked(), _unbounded(sender))
            sender.stopping = True
            peer.release()
            with promptly("the waiting send, once the peer reads", 60):
                await sender.done.wait()
        expect(sender.failure is None, f"the waiting send raised {sender.failure!r}")
        await peer.channel.aclose()
        report = await peer.report()
    _in_order(report, sender.sent)


def _unbounded(sender: Sender) -> str:
    if sender.failure is not None:
        return f"a send raised {sender.failure!r}"
    return f"{sender.sent * sender.size} bytes were taken with no reader (at most {MAX_BUFFERED} may be)"


def _in_order(report: dict[str, Any], count: int) -> None:
    expect(report["torn"] == 0, f"{report['torn']} frames arrived torn")
    got = report["indexes"]
    expect(
        got == list(range(count)),
        f"of frames 0 to {count - 1} there arrived {len(got)}, from {got[:1]} to {got[-1:]}",
    )


@_check()
async def an_accepted_send_waits_while_the_dialler_does_not_read(subject: Subject) -> None:
    """`send` of the accepting end waits too, while the dialling end does not read."""
    async with subject.peer("flood", size=LIMIT) as peer:
        with promptly("filling the connection", 60):
            flooded = await peer.report()
        expect(flooded["blocked"], f"{flooded['sent']} frames of {LIMIT} bytes were taken with no reader")
        with promptly("reading what was sent", 60):
            report = await collect(peer.channel)
    expect(
        len(report["indexes"]) >= flooded["sent"],
        f"of {flooded['sent']} frames {len(report['indexes'])} came",
    )
    _in_order(report, len(report["indexes"]))


# --- cancellation ---


@_check()
async def a_cancelled_receive_loses_nothing(subject: Subject) -> None:
    """A cancelled `receive` loses no frame and no order, at whatever step it was cancelled."""
    small, large = Load(count=200, high=200, seed=4), Load(count=12, low=LIMIT, high=4 * LIMIT, seed=5)
    for load in (small, large):
        async with subject.peer("give", load=load.describe(), batch=3) as peer:
            await _same(peer.channel, load, impatiently=True)


@_check()
async def a_cancelled_receive_of_an_accepted_channel_loses_nothing(subject: Subject) -> None:
    """The same at the accepting end."""
    load = Load(count=200, high=2000, seed=6)
    async with subject.peer("take", load=load.describe(), impatiently=True) as peer:
        await send_in_batches(peer.channel, load, 3)
        await _verdict(peer.channel)


@_check()
async def a_send_cancelled_in_the_middle_tears_nothing(subject: Subject) -> None:
    """A cancelled `send` leaves whole frames, or a channel that refuses to send: no torn frame arrives."""
    async with subject.peer("collect", wait=True) as peer:
        sender = Sender(peer.channel, size=2 * 1024 * 1024)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender.run)
            expect(await sender.blocked(), _unbounded(sender))
            tasks.cancel_scope.cancel()
        await _judge_cancelled_sends(peer, set(range(sender.sent)))


@_check()
async def a_send_cancelled_at_any_step_tears_nothing(subject: Subject) -> None:
    """The same, wherever the send is cancelled: after 0, 1, 2, … scheduling steps."""
    kept: set[int] = set()
    async with subject.peer("collect") as peer:
        for steps in range(16):
            try:
                await _send_and_cancel(peer.channel, make_frame(2 * steps, 256 * 1024), steps)
                await peer.channel.send(make_frame(2 * steps + 1, 256 * 1024))
            except ChannelBroken:
                break
            kept.add(2 * steps + 1)
        await _judge_cancelled_sends(peer, kept)


async def _send_and_cancel(channel: FrameChannel, frame: bytes, steps: int) -> None:
    failures: list[Exception] = []

    async def send() -> None:
        try:
            await channel.send(frame)
        except TransportError as exc:
            failures.append(exc)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        for _ in range(steps):
            await checkpoint()
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _judge_cancelled_sends(peer: RemotePeer, kept: set[int]) -> None:
    """Send once more, close, and look at what arrived: all of `kept`, unless the channel refused."""
    peer.release()
    last = 1_000_000
    try:
        await peer.channel.send(make_frame(last, 100))
        kept = {*kept, last}
    except ChannelBroken:
        kept = set()
    await peer.channel.aclose()
    with promptly("the accepting end's report", 60):
        report = await peer.report()
    indexes = report["indexes"]
    expect(report["torn"] == 0, f"{report['torn']} torn frames were received")
    expect(indexes == sorted(set(indexes)), f"frames came in the order {indexes}")
    expect(
        kept <= set(indexes),
        f"frames {sorted(kept - set(indexes))} were sent with success, and did not arrive",
    )
