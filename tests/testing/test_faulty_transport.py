"""The transport that fails on purpose: every fault it promises, and the same ones for the same seed."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEnded,
    ConnectFailed,
    UnknownOption,
    UnknownScheme,
    URIError,
)
from mcpc.testing import FaultyTransport, check_transport
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import TRANSPORTS, dial, listen_at
from mcpc_transports.memory import MemoryTransport

pytestmark = pytest.mark.anyio

LAST = b'{"last":true}'


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Generator[None]:
    with TRANSPORTS.restored():
        yield


class Echo:
    """Sends back what comes; keeps what came, and how each connection ended."""

    server: Any = None

    def __init__(self) -> None:
        self.came: list[bytes] = []
        self.endings: list[Exception] = []
        self.ended = anyio.Event()

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        try:
            while True:
                frame = await channel.receive()
                self.came.append(frame)
                await channel.send(frame)
        except (ChannelEnded, ChannelBroken) as exc:
            self.endings.append(exc)
        finally:
            await channel.aclose()
            self.ended.set()

    async def serve_streams(self, read: Any, write: Any, peer: Any) -> None:
        raise AssertionError("frames only")


@asynccontextmanager
async def echo(transport: FaultyTransport) -> AsyncGenerator[tuple[Echo, str]]:
    """An echo behind the faulty transport, and its address."""
    mcpc.register_transport("faulty", transport)
    endpoint = Echo()
    with anyio.fail_after(60):
        async with listen_at("faulty://echo", endpoint) as listener:
            yield endpoint, listener.uri


@asynccontextmanager
async def connected(uri: str) -> AsyncGenerator[FrameChannel]:
    async with dial(uri) as made:
        assert not isinstance(made, tuple)
        yield made


def frames(count: int) -> Iterator[bytes]:
    return (b'{"n":%d}' % number for number in range(count))


async def exchange(channel: FrameChannel, count: int) -> list[bytes]:
    """Send frames one by one, each after the last echo; what came back before the connection broke."""
    got: list[bytes] = []
    try:
        for frame in frames(count):
            await channel.send(frame)
            got.append(await channel.receive())
    except ChannelBroken:
        pass
    return got


async def flow(uri: str, count: int) -> list[bytes]:
    """On a new connection send frames in one go, and receive all their echoes, or those before it breaks."""
    got: list[bytes] = []
    async with connected(uri) as channel:
        await channel.send(*frames(count), LAST)
        try:
            while (frame := await channel.receive()) != LAST:
                got.append(frame)
        except ChannelBroken:
            pass
    return got


# --- addresses and options ---


async def test_the_inner_transport_is_dialled_under_the_faulty_name() -> None:
    async with echo(FaultyTransport("memory")) as (_, uri):
        assert uri == "faulty://echo"
        async with connected(uri) as channel:
            assert await exchange(channel, 3) == list(frames(3))


async def test_a_transport_object_can_be_wrapped_too() -> None:
    async with echo(FaultyTransport(MemoryTransport())) as (_, uri), connected(uri) as channel:
        assert await exchange(channel, 3) == list(frames(3))


async def test_a_socket_can_be_made_faulty() -> None:
    mcpc.register_transport("shaky", FaultyTransport("tcp", cuts=[2]))
    async with listen_at("shaky://127.0.0.1:0", Echo()) as listener:
        assert listener.uri.startswith("shaky://127.0.0.1:")
        async with connected(listener.uri) as channel:
            assert await exchange(channel, 5) == list(frames(2))


async def test_the_inner_transports_options_are_taken_and_others_refused() -> None:
    async with echo(FaultyTransport("memory")) as (_, uri):
        async with dial(uri, buffer=1000, max_message_size=1000):
            pass
        with pytest.raises(UnknownOption, match=r"'colour'.*buffer"):
            dial(uri, colour="red")


async def test_an_unknown_inner_scheme_is_told_at_once() -> None:
    with pytest.raises(UnknownScheme):
        FaultyTransport("no-such-scheme")


async def test_a_transport_of_streams_is_refused() -> None:
    class Streams:
        @asynccontextmanager
        async def connect(self, uri: Any, /) -> AsyncGenerator[Any]:
            yield (None, None)

        def listen(self, uri: Any, endpoint: Any, /) -> Any:
            raise NotImplementedError

    mcpc.register_transport("faulty", FaultyTransport(Streams()))
    with pytest.raises(URIError, match="transports of frames"):
        async with dial("faulty://x"):
            pass


@pytest.mark.parametrize(
    "options",
    [
        {"cut_after_frames": -1},
        {"cuts": [1, -2]},
        {"delay": (2.0, 1.0)},
        {"delay": (-1.0, 1.0)},
        {"duplicate": 1.5},
    ],
)
async def test_faults_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        FaultyTransport("memory", **options)


# --- no faults ---


async def test_without_faults_it_keeps_the_whole_contract() -> None:
    mcpc.register_transport("faulty", FaultyTransport("memory"))
    await check_transport("faulty://sound", connections=5)


async def test_with_delays_it_still_keeps_the_whole_contract() -> None:
    mcpc.register_transport("faulty", FaultyTransport("memory", direction="both", delay=(0, 0.0002)))
    heavy = (
        "concurrent_sends_through_a_connection_stay_whole",
        "many_frames_go_in_one_send",
        "connections_are_isolated",
    )
    await check_transport("faulty://slow", connections=5, skip=heavy)


# --- cuts ---


async def test_connections_are_cut_by_schedule() -> None:
    async with echo(transport := FaultyTransport("memory", cuts=[3, 5, None])) as (_, uri):
        counts = [len(await flow(uri, 20)) for _ in range(4)]
    assert counts == [3, 5, 20, 20]
    assert (transport.connections, transport.cuts) == (4, 2)


async def test_after_the_schedule_the_general_rule_counts() -> None:
    async with echo(FaultyTransport("memory", cuts=[None], cut_after_frames=4)) as (_, uri):
        assert [len(await flow(uri, 10)) for _ in range(3)] == [10, 4, 4]


async def test_a_cut_breaks_both_directions_for_good_and_ends_the_peer() -> None:
    async with echo(FaultyTransport("memory", cut_after_frames=1)) as (endpoint, uri), connected(uri) as channel:
        assert await exchange(channel, 2) == list(frames(1))
        for _ in range(2):
            with pytest.raises(ChannelBroken):
                await channel.send(b"{}")
            with pytest.raises(ChannelBroken):
                await channel.receive()
        await endpoint.ended.wait()
        await channel.aclose()
        with pytest.raises(ChannelClosed):
            await channel.receive()
    assert len(endpoint.endings) == 1


async def test_a_cut_wakes_a_send_that_waits() -> None:
    class Mute(Echo):
        async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
            await channel.send(b"{}", b"{}")
            await anyio.sleep_forever()

    async def send() -> None:
        with pytest.raises(ChannelBroken):
            await channel.send(*[b" " * 100_000] * 10)

    mcpc.register_transport("faulty", FaultyTransport("memory", cut_after_frames=1))
    with anyio.fail_after(60):
        listening = listen_at("faulty://mute", Mute())
        async with listening as listener, connected(listener.uri) as channel, anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await channel.receive()
            with pytest.raises(ChannelBroken):
                await channel.receive()


async def test_a_cut_in_the_middle_of_a_frame_loses_that_frame() -> None:
    size = len(next(frames(1)))
    async with echo(transport := FaultyTransport("memory", cut_after_bytes=3 * size + 1)) as (_, uri):
        assert await flow(uri, 10) == list(frames(3))
    assert transport.cuts == 1


async def test_a_cut_at_the_end_of_a_frame_lets_it_through() -> None:
    size = len(next(frames(1)))
    async with echo(FaultyTransport("memory", cut_after_bytes=3 * size)) as (_, uri):
        assert await flow(uri, 10) == list(frames(3))


async def test_what_is_sent_can_be_cut_as_well() -> None:
    async with echo(FaultyTransport("memory", direction="send", cut_after_frames=2)) as (endpoint, uri):
        async with connected(uri) as channel:
            assert await exchange(channel, 5) == list(frames(2))
        await endpoint.ended.wait()
    assert endpoint.came == list(frames(2))


# --- stalls, delays, repeats, refusals ---


async def test_a_stalled_connection_says_nothing_until_it_is_closed() -> None:
    transport = FaultyTransport("memory", stall_after_frames=2)
    async with echo(transport) as (endpoint, uri), connected(uri) as channel:
        await channel.send(*frames(5))
        assert [await channel.receive() for _ in range(2)] == list(frames(2))
        with anyio.move_on_after(0.05) as waiting:
            await channel.receive()
        assert waiting.cancelled_caught
        await channel.send(b'{"still":"sent"}')
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_closed, channel)
            await anyio.wait_all_tasks_blocked()
            await channel.aclose()
    assert transport.stalls == 1
    assert b'{"still":"sent"}' in endpoint.came


async def expect_closed(channel: FrameChannel) -> None:
    with pytest.raises(ChannelClosed):
        await channel.receive()


async def test_a_stalled_send_waits_until_the_channel_is_closed() -> None:
    async def send() -> None:
        with pytest.raises(ChannelClosed):
            await channel.send(*frames(3))

    transport = FaultyTransport("memory", direction="send", stall_after_frames=2)
    async with echo(transport) as (endpoint, uri), connected(uri) as channel, anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        await channel.aclose()
    assert endpoint.came == list(frames(2))


async def test_frames_are_held_back_in_order() -> None:
    async with echo(FaultyTransport("memory", delay=(0.01, 0.02))) as (_, uri), connected(uri) as channel:
        began = anyio.current_time()
        assert await exchange(channel, 5) == list(frames(5))
        assert anyio.current_time() - began >= 0.05


async def test_a_cancelled_receive_does_not_lose_a_frame_that_is_held_back() -> None:
    async with echo(FaultyTransport("memory", delay=(0.05, 0.05))) as (_, uri), connected(uri) as channel:
        await channel.send(b'{"n":1}')
        got: list[bytes] = []
        for _ in range(3):
            if not got:  # nothing yet, unless this machine was slow
                with anyio.move_on_after(0.01):
                    got.append(await channel.receive())
        assert got or await channel.receive() == b'{"n":1}'
        assert got in ([], [b'{"n":1}'])


async def test_some_frames_come_twice_one_right_after_the_other() -> None:
    async with echo(transport := FaultyTransport("memory", seed=1, duplicate=0.3)) as (_, uri):
        got = await flow(uri, 50)
    assert list(dict.fromkeys(got)) == list(frames(50))
    assert len(got) == 50 + transport.duplicates
    assert 0 < transport.duplicates < 50
    assert got == sorted(got, key=list(frames(50)).index)


async def test_attempts_to_connect_are_refused_by_schedule() -> None:
    async with echo(transport := FaultyTransport("memory", refusals=[0, 2], cuts=[1])) as (_, uri):
        for attempt in range(4):
            if attempt in (0, 2):
                with pytest.raises(ConnectFailed, match=f"attempt {attempt}"):
                    await flow(uri, 3)
            else:
                assert len(await flow(uri, 3)) == (1 if attempt == 1 else 3)
    assert (transport.attempts, transport.connections) == (4, 2)


# --- repeatable ---


async def run(seed: int, connections: int, direction: Any = "receive") -> list[list[bytes]]:
    """What each of some connections receives."""
    mcpc.register_transport(
        "faulty", FaultyTransport("memory", seed=seed, duplicate=0.5, direction=direction), replace=True
    )
    async with listen_at("faulty://echo", Echo()) as listener:
        return [await flow(listener.uri, 20) for _ in range(connections)]


async def test_the_same_seed_brings_the_same_faults_and_another_seed_others() -> None:
    assert await run(7, 3) == await run(7, 3)
    assert await run(7, 3) != await run(8, 3)


async def test_connections_do_not_share_their_faults() -> None:
    first, second = await run(7, 2)
    assert first != second


async def test_one_directions_faults_do_not_depend_on_the_other() -> None:
    sent_twice = await run(7, 1, "send")
    both = await run(7, 1, "both")
    once = await run(7, 1)
    assert len(once[0]) < len(both[0])
    assert len(sent_twice[0]) < len(both[0])
