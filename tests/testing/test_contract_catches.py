"""The contract suite finds what it is there to find: transports broken on purpose, each in one way."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, ConnectFailed
from mcpc.testing import ContractViolation, FaultyTransport, Subject, check_transport, contract_checks
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, URI, Endpoint, FrameChannel, Listener, Peer
from mcpc.uri import TRANSPORTS, register_transport
from mcpc_transports.memory import MemoryTransport

pytestmark = pytest.mark.anyio


class Wrapped:
    """A sound channel; the broken ones below change one thing."""

    def __init__(self, inner: FrameChannel) -> None:
        self.inner = inner

    async def send(self, *frames: bytes) -> None:
        await self.inner.send(*frames)

    async def receive(self) -> bytes:
        return await self.inner.receive()

    async def aclose(self) -> None:
        await self.inner.aclose()


class Reordering(Wrapped):
    """Hands out every frame but the first after the one behind it, where there is one."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.held: list[bytes] = []
        self.count = 0

    async def receive(self) -> bytes:
        if self.held:
            return self.held.pop()
        frame = await self.inner.receive()
        self.count += 1
        if self.count % 10 == 0:
            self.held.append(frame)
            return await self.inner.receive()
        return frame


class Tearing(Wrapped):
    """Hands out long frames in two parts."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.rest = b""

    async def receive(self) -> bytes:
        if self.rest:
            frame, self.rest = self.rest, b""
            return frame
        frame = await self.inner.receive()
        self.rest = frame[4000:]
        return frame[:4000]


class Forgetful(Wrapped):
    """Loses the frame that it has taken when the call is cancelled at the last moment."""

    async def receive(self) -> bytes:
        frame = await self.inner.receive()
        await checkpoint()
        return frame


class Immediate(Wrapped):
    """Sends nothing without waiting, and shows nothing to a tap: that is allowed."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.tap: Callable[[bytes], bool] | None = None
        self.owed: list[bytes] = []

    def send_nowait(self, *frames: bytes) -> bool:
        self.owed.extend(frames)
        return False

    async def send(self, *frames: bytes) -> None:
        owed, self.owed = self.owed, []
        await self.inner.send(*owed, *frames)


class ForgetsWhatItOwes(Immediate):
    """Says that all was taken, and sends it some time later."""

    def send_nowait(self, *frames: bytes) -> bool:
        return not super().send_nowait(*frames) and len(self.owed) < 3

    async def send(self, *frames: bytes) -> None:
        await self.inner.send(*frames)
        await super().send()


class TapsOutOfTurn(Immediate):
    """Shows the tap what is behind a frame that it has left."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.left: list[bytes] = []

    async def receive(self) -> bytes:
        while not self.left or (len(self.left) < 2 and self.tap is not None):
            frame = await self.inner.receive()
            if self.tap is None or not self.tap(frame):
                self.left.append(frame)
        return self.left.pop(0)


class LeavesTornFrames(Wrapped):
    """A send that is cancelled has written a part of its frame, and goes on with the next."""

    async def send(self, *frames: bytes) -> None:
        for frame in frames:
            try:
                await checkpoint()
                await self.inner.send(frame)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await self.inner.send(frame[: len(frame) // 2])
                raise


class EndsAsBroken(Wrapped):
    """Calls a good end a broken one."""

    async def receive(self) -> bytes:
        try:
            return await self.inner.receive()
        except ChannelEnded as exc:
            raise ChannelBroken("the peer closed the channel") from exc


class ClosesAsEnded(Wrapped):
    """Says that the peer ended what we closed."""

    async def receive(self) -> bytes:
        try:
            return await self.inner.receive()
        except ChannelClosed as exc:
            raise ChannelEnded("closed") from exc


class RaisesForeignErrors(Wrapped):
    """Lets another library's exceptions through."""

    async def send(self, *frames: bytes) -> None:
        try:
            await self.inner.send(*frames)
        except ChannelClosed as exc:
            raise ConnectionResetError from exc


class ClosesDeaf(Wrapped):
    """Closes without waking who waits."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.closed = False

    async def receive(self) -> bytes:
        if self.closed:
            raise ChannelClosed("closed")
        return await self.inner.receive()

    async def aclose(self) -> None:
        self.closed = True
        await checkpoint()


class ForgetsTheLast(Wrapped):
    """Closes before the frame that it was given last is written."""

    def __init__(self, inner: FrameChannel) -> None:
        super().__init__(inner)
        self.kept: tuple[bytes, ...] = ()

    async def send(self, *frames: bytes) -> None:
        await self.inner.send(*self.kept, *frames[:-1])
        self.kept = frames[-1:]

    async def receive(self) -> bytes:
        if self.kept:
            await self.inner.send(*self.kept)
            self.kept = ()
        return await self.inner.receive()


Wrap = Callable[[FrameChannel], FrameChannel]


class BrokenTransport:
    """The memory transport, with something wrong at the dialling end."""

    def __init__(self, wrap: Wrap, *, buffer: int = 256 * 1024, limited: bool = True) -> None:
        self.inner = FaultyTransport(MemoryTransport())  # with no faults: it lets the scheme be another
        self.wrap = wrap
        self.buffer = buffer
        self.limited = limited

    def _limit(self, wanted: int) -> int:
        return wanted if self.limited else DEFAULT_MAX_MESSAGE_SIZE

    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[FrameChannel]:
        size = self._limit(max_message_size)
        async with self.inner.connect(uri, max_message_size=size, buffer=self.buffer) as channel:
            yield self.wrap(channel)

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AbstractAsyncContextManager[Listener]:
        return self.inner.listen(uri, endpoint, max_message_size=self._limit(max_message_size))


class AcceptingTransport(BrokenTransport):
    """Has the same thing wrong at the accepting end instead."""

    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[FrameChannel]:
        async with self.inner.connect(uri, max_message_size=max_message_size) as channel:
            yield channel

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AbstractAsyncContextManager[Listener]:
        return self.inner.listen(uri, Wrapping(endpoint, self.wrap), max_message_size=max_message_size)


class Wrapping:
    """An endpoint that gets wrapped channels."""

    def __init__(self, inner: Endpoint, wrap: Wrap) -> None:
        self.inner = inner
        self.wrap = wrap
        self.server = inner.server

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        await self.inner.serve_channel(self.wrap(channel), peer)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        await self.inner.serve_streams(read, write, peer)


class OtherwiseTransport(BrokenTransport):
    """Says in words of its own that nobody listens."""

    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[FrameChannel]:
        try:
            async with super().connect(uri, max_message_size=max_message_size) as channel:
                yield channel
        except ConnectFailed as exc:
            raise TimeoutError("nobody answered") from exc


class LeakyTransport(BrokenTransport):
    """Leaves a task behind for every connection, until the listener ends."""

    @asynccontextmanager
    async def _serve(self, uri: URI, endpoint: Endpoint, limit: int) -> AsyncGenerator[Listener]:
        async with anyio.create_task_group() as tasks:
            self.tasks = tasks
            async with self.inner.listen(uri, endpoint, max_message_size=limit) as listener:
                yield listener
            tasks.cancel_scope.cancel()

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AbstractAsyncContextManager[Listener]:
        return self._serve(uri, endpoint, max_message_size)

    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[FrameChannel]:
        async with super().connect(uri, max_message_size=max_message_size) as channel:
            self.tasks.start_soon(anyio.sleep_forever)
            yield channel


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Generator[None]:
    with TRANSPORTS.restored():
        yield


@pytest.fixture
def nobody_waits_long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """That something does not happen is soon found out; all else has the time it takes on a slow machine."""
    if request.node.callspec.params.get("clause") in WAITS_FOR_NOTHING:
        monkeypatch.setattr("mcpc.testing.subject.PROMPTLY", 3.0)
        monkeypatch.setattr("mcpc.testing.ending_checks.PROMPTLY", 3.0)


WAITS_FOR_NOTHING = {
    "aclose_wakes_a_waiting_receive",
    "a_tap_sees_what_comes_in_its_turn",
    "nothing_is_left_running",
}


CASES: list[tuple[str, BrokenTransport, str]] = [
    (
        "frames_arrive_whole_and_in_order",
        BrokenTransport(Reordering),
        "as frame 8 of 200, 105 bytes long, there came frame 9",
    ),
    ("frames_arrive_whole_and_in_order", BrokenTransport(Tearing), "never sent, 4000 bytes"),
    ("frames_of_every_size_pass", BrokenTransport(Tearing), "never sent, 4000 bytes"),
    ("a_cancelled_receive_loses_nothing", BrokenTransport(Forgetful), "there came frame"),
    ("a_cancelled_receive_loses_nothing", BrokenTransport(Reordering), "frame"),
    ("a_send_cancelled_at_any_step_tears_nothing", BrokenTransport(LeavesTornFrames), "torn frames were received"),
    ("a_send_waits_while_the_peer_does_not_read", BrokenTransport(Wrapped, buffer=1 << 40), "taken with no reader"),
    ("the_peers_close_is_channel_ended", BrokenTransport(EndsAsBroken), "raised ChannelBroken"),
    ("our_close_is_channel_closed", BrokenTransport(ClosesAsEnded), "raised ChannelEnded"),
    ("our_close_is_channel_closed", BrokenTransport(RaisesForeignErrors), "raised ConnectionResetError"),
    ("aclose_wakes_a_waiting_receive", BrokenTransport(ClosesDeaf), "not woken"),
    ("what_was_sent_before_closing_arrives", BrokenTransport(ForgetsTheLast), "of 100 frames there arrived 99"),
    ("a_frame_over_the_limit_is_refused_by_the_listener", BrokenTransport(Wrapped, limited=False), "65537"),
    ("a_frame_over_the_limit_is_refused_by_the_dialler", BrokenTransport(Wrapped, limited=False), "65537 bytes"),
    ("frames_arrive_whole_and_in_order", AcceptingTransport(Reordering), "the accepting end, receiving: as frame 8 of"),
    ("a_cancelled_receive_of_an_accepted_channel_loses_nothing", AcceptingTransport(Forgetful), "the accepting end"),
    ("an_accepted_channel_closes_alike", AcceptingTransport(ClosesAsEnded), "receive: ChannelEnded"),
    ("what_was_sent_before_closing_arrives", AcceptingTransport(EndsAsBroken), "raised ChannelBroken"),
    ("what_is_sent_without_waiting_keeps_its_place", BrokenTransport(ForgetsWhatItOwes), "receiving"),
    ("a_tap_sees_what_comes_in_its_turn", BrokenTransport(TapsOutOfTurn), "in the order"),
    ("nobody_listens_is_connect_failed", OtherwiseTransport(Wrapped), "nobody answered"),
    ("nothing_is_left_running", LeakyTransport(Wrapped), "left tasks running"),
]


@pytest.mark.usefixtures("nobody_waits_long")
@pytest.mark.parametrize(("clause", "transport", "words"), CASES)
async def test_a_broken_transport_is_caught(clause: str, transport: BrokenTransport, words: str) -> None:
    register_transport("broken", transport)
    with pytest.raises(ContractViolation, match=words) as caught:
        await contract_checks()[clause](Subject("broken://here", deadline=100))
    assert caught.value.clause == clause
    assert clause in str(caught.value)


async def test_a_sound_wrapper_is_not_blamed() -> None:
    register_transport("sound", BrokenTransport(Wrapped))
    await check_transport("sound://here", connections=5)
    register_transport("immediate", BrokenTransport(Immediate))
    await check_transport("immediate://here", connections=5)


async def test_several_violations_come_together() -> None:
    register_transport("broken", BrokenTransport(ClosesAsEnded))
    with pytest.raises(ExceptionGroup) as caught:
        await check_transport("broken://here", only=["our_close_is_channel_closed", "aclose_wakes_a_waiting_receive"])
    assert [type(violation) for violation in caught.value.exceptions] == [ContractViolation] * 2


async def test_a_clause_that_is_skipped_is_not_run() -> None:
    register_transport("broken", BrokenTransport(EndsAsBroken))
    ends = {name for name in contract_checks("frames") if "close" in name}
    await check_transport("broken://here", only=[*ends, "a_lockstep_exchange_works"], skip=ends)


async def test_frames_that_come_twice_are_caught() -> None:
    register_transport("twice", FaultyTransport(MemoryTransport(), duplicate=0.1))
    with pytest.raises(ContractViolation, match="there came frame"):
        await check_transport("twice://here", only=["frames_arrive_whole_and_in_order"])
