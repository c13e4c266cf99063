"""The clauses about addresses and cleaning up: for transports of both kinds."""

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import ChannelBroken, ChannelEnded, ConnectFailed, ListenFailed, UnknownOption
from mcpc.testing.peers import PeerEndpoint
from mcpc.testing.subject import Clauses, Subject, expect, expecting, no_tasks_left, promptly
from mcpc.uri import listen_at, parse_uri

__all__ = ["CLAUSES"]

CLAUSES: Clauses = Clauses()
_check = CLAUSES.check

BOTH = ("frames", "streams")


@_check(BOTH)
async def the_listeners_address_can_be_dialled(subject: Subject) -> None:
    """The address that a listener gives is of its scheme, has the real port, and can be dialled."""
    async with subject.serving() as uri:
        parsed = parse_uri(uri)
        expect(parsed.scheme == subject.uri.scheme, f"the listener's address is {parsed}")
        expect(parsed.port != 0, f"the listener's address has port 0: {parsed}")
        await subject.exchange(uri)


@_check(BOTH, places=("here",), alone=True)
async def an_address_can_be_served_again_at_once(subject: Subject) -> None:
    """Once a listener has ended, its address can be served again, at once, though it had connections."""
    async with subject.serving() as uri:
        await subject.exchange(uri)
        async with subject.connect(uri):
            pass
    for _ in range(2):
        async with listen_at(uri, PeerEndpoint(), **subject.listen_options) as listener:
            expect(listener.uri == uri, f"served again, {parse_uri(uri)} became {parse_uri(listener.uri)}")
            await subject.exchange(uri)


@_check(BOTH, places=("here",))
async def an_address_in_use_is_refused(subject: Subject) -> None:
    """Serving an address that is being served raises `ListenFailed`, and does the first listener no harm."""
    async with subject.serving() as uri:
        with expecting(ListenFailed, what="listen at an address in use"):
            async with listen_at(uri, PeerEndpoint(), **subject.listen_options):
                pass
        await subject.exchange(uri)


@_check(BOTH, alone=True)
async def nobody_listens_is_connect_failed(subject: Subject) -> None:
    """Dialling an address that nobody serves raises `ConnectFailed`; streams may raise something else at the
    first request instead.
    """
    nowhere = subject.nowhere
    if nowhere is None:
        async with subject.serving() as nowhere:
            pass
    try:
        with promptly("the refusal", 60):
            async with subject.connect(nowhere) as made:
                expect(isinstance(made, tuple), "dialling an address that nobody serves succeeded")
    except ConnectFailed:
        return
    with promptly("the refusal", 60):
        try:
            await subject.exchange(nowhere)
        except AssertionError:
            raise
        except Exception:
            return
    raise AssertionError("a request to an address that nobody serves succeeded")


@_check(BOTH)
async def unknown_options_are_refused(subject: Subject) -> None:
    """`connect` and `listen` refuse an unknown option with `UnknownOption`, before anything is opened."""
    with expecting(UnknownOption, what="connect with an unknown option"):
        subject.connect(str(subject.uri), {"no_such_option": 1})
    with expecting(UnknownOption, what="listen with an unknown option"):
        listen_at(subject.uri, PeerEndpoint(), no_such_option=1)


@_check(BOTH, alone=True)
async def nothing_is_left_running(subject: Subject) -> None:
    """When the connections and the listener have ended, no task of theirs is left."""
    await _warm_up(subject)
    async with no_tasks_left("the transport"), subject.serving() as uri, no_tasks_left("a connection"):
        for _ in range(min(subject.connections, 3)):
            await subject.exchange(uri)


async def _warm_up(subject: Subject) -> None:
    """Let the libraries underneath start what they start once for an event loop, and keep."""
    async with subject.serving() as uri:
        await subject.exchange(uri)


@_check(BOTH, places=("here",))
async def many_connections_come_and_go(subject: Subject) -> None:
    """Many connections at once, opened and closed, leave a listener that still serves."""
    async with subject.serving() as uri:
        async with anyio.create_task_group() as tasks:
            for _ in range(subject.connections):
                tasks.start_soon(subject.exchange, uri)
        await subject.exchange(uri)


@_check(places=("here",))
async def the_listeners_end_ends_its_connections(subject: Subject) -> None:
    """When a listener ends, its connections end: `receive` raises `ChannelEnded` or `ChannelBroken`."""
    async with anyio.create_task_group() as tasks:
        ready, leave = anyio.Event(), anyio.Event()
        uris: list[str] = []

        async def serve() -> None:
            async with subject.serving() as uri:
                uris.append(uri)
                ready.set()
                await leave.wait()

        tasks.start_soon(serve)
        await ready.wait()
        async with subject.peer("rest", uri=uris[0]) as peer:
            leave.set()
            with (
                expecting(ChannelEnded, ChannelBroken, what="receive, after the listener's end,"),
                promptly("the end", 60),
            ):
                await peer.channel.receive()


@_check(BOTH, places=("here",), alone=True)
async def a_cancelled_dial_leaves_nothing(subject: Subject) -> None:
    """A dial that is cancelled, at whatever step, leaves no task, and the listener serves the next one."""
    await _warm_up(subject)
    async with subject.serving() as uri:
        async with no_tasks_left("cancelled dials"):
            for steps in range(24):
                await _dial_and_cancel(subject, uri, steps)
        await subject.exchange(uri)


async def _dial_and_cancel(subject: Subject, uri: str, steps: int) -> None:
    async def dial() -> None:
        async with subject.connect(uri):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dial)
        for _ in range(steps):
            await checkpoint()
        tasks.cancel_scope.cancel()
