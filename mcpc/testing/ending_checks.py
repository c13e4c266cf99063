"""The clauses about endings: closed by us, ended by the peer, broken by the world; and what each wakes."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded
from mcpc.testing.loads import Load, make_frame
from mcpc.testing.peers import MAX_BUFFERED, Sender, collect, settle
from mcpc.testing.subject import PROMPTLY, Clauses, Subject, expect, expecting, promptly
from mcpc.transport import FrameChannel

__all__ = ["CLAUSES"]

CLAUSES: Clauses = Clauses()
_check = CLAUSES.check


async def _sends_break(channel: FrameChannel) -> None:
    """Sends end in `ChannelBroken`: not at once, perhaps, as the news takes its time."""
    with expecting(ChannelBroken, what="send, once the peer is gone,"), promptly("ChannelBroken from send"):
        for index in range(MAX_BUFFERED // 65536):
            await channel.send(make_frame(index, 65536))
            await anyio.sleep(0.001)


@_check()
async def the_peers_close_is_channel_ended(subject: Subject) -> None:
    """When the peer closes, `receive` gives every frame sent before, and then raises `ChannelEnded`, as often
    as it is called; `send` raises `ChannelBroken` before long.
    """
    load = Load(count=50, low=100, high=5000, seed=7)
    async with subject.peer("give", load=load.describe(), batch=7, close=True) as peer:
        for index, frame in enumerate(load):
            expect(await peer.channel.receive() == frame, f"frame {index} came otherwise")
        for _ in range(2):
            with expecting(ChannelEnded, what="receive, after the peer's last frame,"), promptly("the end"):
                await peer.channel.receive()
        await _sends_break(peer.channel)
        with expecting(ChannelEnded, what="receive, after the end and a broken send,"), promptly("receive"):
            await peer.channel.receive()


@_check()
async def a_waiting_receive_sees_the_peers_close(subject: Subject) -> None:
    """A `receive` that waits when the peer closes raises `ChannelEnded`."""
    async with subject.peer("close") as peer:
        with expecting(ChannelEnded, what="the waiting receive"), promptly("the end"):
            await peer.channel.receive()


@_check()
async def our_close_is_channel_closed(subject: Subject) -> None:
    """After `aclose`, `send` and `receive` raise `ChannelClosed` at once, whatever is still unread; `aclose`
    again does nothing.
    """
    load = Load(count=20, high=1000)
    async with subject.peer("give", load=load.describe(), batch=20) as peer:
        await peer.channel.receive()
        for _ in range(2):
            with promptly("aclose"):
                await peer.channel.aclose()
            with expecting(ChannelClosed, what="receive after aclose"), promptly("receive after aclose"):
                await peer.channel.receive()
            with expecting(ChannelClosed, what="send after aclose"), promptly("send after aclose"):
                await peer.channel.send(make_frame(0, 10))


@_check()
async def an_accepted_channel_closes_alike(subject: Subject) -> None:
    """At the accepting end too `aclose` wakes `receive`, may be repeated, and leaves `ChannelClosed`."""
    async with subject.peer("close") as peer:
        with promptly("the accepting end's report"):
            outcomes = await peer.report()
        with expecting(ChannelEnded, what="the dialling end's receive"), promptly("the end"):
            await peer.channel.receive()
    for name, outcome in outcomes.items():
        expected = "returned" if "aclose" in name else "ChannelClosed"
        expect(outcome == expected, f"{name}: {outcome}, not {expected}")


@_check()
async def what_was_sent_before_closing_arrives(subject: Subject) -> None:
    """What was sent before `aclose` reaches a peer that reads; then its `receive` raises `ChannelEnded`."""
    count = 100
    async with subject.peer("collect") as peer:
        await peer.channel.send(*[make_frame(index, 3000) for index in range(count)])
        await peer.channel.aclose()
        with promptly("the accepting end's report"):
            report = await peer.report()
    expect(report["indexes"] == list(range(count)), f"of {count} frames there arrived {len(report['indexes'])}")
    expect(report["ending"] == "ChannelEnded", f"the accepting end's receive raised {report['ending']}")


@_check()
async def closing_with_unread_frames_loses_nothing_sent(subject: Subject) -> None:
    """The same when we close with frames unread: what we did not read takes nothing from what we sent."""
    give = Load(count=30, low=900, high=1000)
    count = 30
    async with subject.peer("give", load=give.describe(), batch=30) as peer:
        await peer.channel.receive()
        await peer.ask("collect")
        await peer.channel.send(*[make_frame(index, 3000) for index in range(count)])
        await peer.channel.aclose()
        with promptly("the accepting end's report"):
            report = await peer.report()
    expect(report["indexes"] == list(range(count)), f"of {count} frames there arrived {len(report['indexes'])}")


@_check()
async def aclose_wakes_a_waiting_receive(subject: Subject) -> None:
    """`aclose` from another task wakes a waiting `receive` with `ChannelClosed`."""

    async def wait() -> None:
        with expecting(ChannelClosed, what="the waiting receive"):
            await peer.channel.receive()

    async with subject.peer("rest") as peer:
        await _while_waiting(wait, peer.channel.aclose)


async def _while_waiting(wait: Callable[[], Coroutine[Any, Any, None]], act: Callable[[], Awaitable[None]]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await settle()
        with promptly("aclose, while a receive waits"):
            await act()
        tasks.cancel_scope.deadline = anyio.current_time() + PROMPTLY
    expect(not tasks.cancel_scope.cancelled_caught, "the waiting receive was not woken")


@_check()
async def aclose_wakes_a_waiting_send(subject: Subject) -> None:
    """`aclose` from another task wakes a waiting `send` with `ChannelClosed`, and returns soon, even if the
    peer does not read.
    """
    async with subject.peer("rest") as peer, anyio.create_task_group() as tasks:
        sender = Sender(peer.channel)
        tasks.start_soon(sender.run)
        expect(await sender.blocked(), f"no send waited, with {sender.sent} frames unread: {sender.failure!r}")
        with promptly("aclose, while a send waits", 60):
            await peer.channel.aclose()
        with promptly("waking the send"):
            await sender.done.wait()
        expect(isinstance(sender.failure, ChannelClosed), f"the waiting send raised {sender.failure!r}")


@_check(places=("here",))
async def an_accepted_send_breaks_when_the_dialler_closes(subject: Subject) -> None:
    """`send` of the accepting end raises `ChannelBroken` when the dialling end closes without reading. (A server that
    was spawned is drained instead, so that it can leave in good order.)
    """
    async with subject.peer("babble", size=2000) as peer:
        for _ in range(3):
            await peer.channel.receive()
        with promptly("aclose, while the peer sends", 60):
            await peer.channel.aclose()
        with promptly("the accepting end's report"):
            report = await peer.report()
    expect(report["ending"] == "ChannelBroken", f"the accepting end's send raised {report['ending']}")


@_check(places=("process",))
async def a_peer_that_vanishes_is_noticed(subject: Subject) -> None:
    """When the peer's process dies, a waiting `receive` raises `ChannelEnded` or `ChannelBroken`, and `send`
    `ChannelBroken`.
    """
    async with subject.peer("vanish") as peer:
        endings: list[dict[str, object]] = []

        async def wait() -> None:
            endings.append(await collect(peer.channel))

        async with anyio.create_task_group() as receiving:
            receiving.start_soon(wait)
            await settle()
            peer.release()
            receiving.cancel_scope.deadline = anyio.current_time() + PROMPTLY
        expect(endings, "the waiting receive was not woken")
        ending = endings[0]["ending"]
        expect(ending in ("ChannelEnded", "ChannelBroken"), f"the waiting receive raised {ending}")
        await _sends_break(peer.channel)
