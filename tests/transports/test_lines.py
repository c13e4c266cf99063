"""Newline framing: the splitter without I/O, and the channel over a stream whose every step is written down."""

import tracemalloc
from collections.abc import Callable, Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameTooLarge
from mcpc_transports.lines import LineChannel, LineSplitter


class Script:
    """A stream that hands out what it is told to, and keeps what is sent."""

    def __init__(self, *steps: bytes | Exception) -> None:
        self.steps = list(steps)
        self.written: list[bytes] = []
        self.begun = anyio.Event()
        """Set once something is being sent."""
        self.closed = anyio.Event()
        self.stuck = False
        self.failure: Exception | None = None
        self.room = 1000
        """Bytes that go at once."""

    async def read_until(self, consume: Callable[[bytes], bool]) -> None:
        while True:
            await checkpoint()
            step = self.steps.pop(0) if self.steps else anyio.EndOfStream()
            if isinstance(step, Exception):
                raise step
            if consume(step):
                return

    async def send(self, item: bytes) -> None:
        await checkpoint()
        if self.failure is not None:
            raise self.failure
        self.written.append(item)
        self.begun.set()
        if self.stuck:
            await anyio.sleep_forever()

    def send_nowait(self, item: bytes) -> memoryview:
        if self.failure is not None:
            raise self.failure
        self.written.append(item[: self.room])
        return memoryview(item)[self.room :]

    async def aclose(self) -> None:
        self.closed.set()
        if self.stuck:
            await anyio.sleep_forever()


def split(chunks: Sequence[bytes], limit: int = 1000, *, objects_only: bool = False) -> list[bytes | type[Exception]]:
    """What a splitter hands out for `chunks`, errors as their types."""
    splitter = LineSplitter(limit, objects_only=objects_only)
    out: list[bytes | type[Exception]] = []
    for chunk in chunks:
        splitter.feed(chunk)
        while True:
            try:
                line = splitter.pop()
            except (FrameTooLarge, ChannelBroken) as exc:
                out.append(type(exc))
                if isinstance(exc, ChannelBroken):
                    return out
                continue
            if line is None:
                break
            out.append(line)
    return out


def expected(data: bytes, limit: int) -> list[bytes | type[Exception]]:
    """The same for all of the data at once, the slow and plain way; lines without an end do not count."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")[:-1]]
    return [line if len(line) <= limit else FrameTooLarge for line in lines if line.strip()]


DATA = st.lists(st.sampled_from([b"\n", b"\r\n", b"{}", b'{"a":1}', b" ", b"\r", b"x" * 9, b"{"]), max_size=40).map(
    b"".join
)


@given(data=DATA, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(data)) for cut in cuts})
    chunks = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    assert split([*chunks, b"\n"]) == expected(data + b"\n", 1000)


@given(
    data=st.lists(st.sampled_from([b"{}\n", b"{" + b"x" * 30 + b"}\n", b"\n", b"\r\n"])).map(b"".join),
    size=st.integers(1, 9),
)
def test_long_lines_are_announced_once_however_they_are_cut(data: bytes, size: int) -> None:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert split(chunks, limit=10) == expected(data, 10)


def test_blank_lines_and_carriage_returns_are_skipped() -> None:
    assert split([b"\n\r\n  \t\n{}\r\n\n", b"{1}\r", b"\n"]) == [b"{}", b"{1}"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_at_the_limit_passes_and_one_byte_more_does_not(ending: bytes, size: int) -> None:
    data = b"x" * 100 + ending + b"y" * 101 + ending + b"{}" + ending
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert split(chunks, limit=100) == [b"x" * 100, FrameTooLarge, b"{}"]


def test_a_line_over_the_limit_is_dropped_with_bounded_memory() -> None:
    splitter = LineSplitter(100_000)
    chunk = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(2):
            splitter.feed(chunk)
        with pytest.raises(FrameTooLarge) as caught:
            splitter.pop()
        for _ in range(500):
            splitter.feed(chunk)
            assert splitter.pop() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.limit == 100_000
    assert peak < 1_000_000
    splitter.feed(b"xx\n{}\n")
    assert splitter.pop() == b"{}"


@pytest.mark.parametrize(
    "chunks",
    [
        [b"GET / HTTP/1.1\r\n{}\n"],
        [b"G"],
        [b"  ", b" \t", b"P"],
        [b"[{}]\n"],
        [b"\x16\x03\x01"],
        [b"\n\n", b" x\n"],
        [b"x" * 5000],
        [b"x" * 5000 + b"\n"],
    ],
)
def test_where_only_objects_are_wanted_another_beginning_is_noticed_at_once(chunks: list[bytes]) -> None:
    assert ChannelBroken in split(chunks, objects_only=True)
    assert not any(isinstance(line, bytes) for line in split(chunks, objects_only=True))


@pytest.mark.parametrize("chunks", [[b" {}\n"], [b"  ", b"{", b"}", b"\n"], [b"\r\n", b"{}\r\n"], [b"\n{}", b"\n\n"]])
def test_where_only_objects_are_wanted_objects_pass(chunks: list[bytes]) -> None:
    assert [line.strip() for line in split(chunks, objects_only=True) if isinstance(line, bytes)] == [b"{}"]


def test_what_came_whole_before_a_foreign_line_is_handed_out() -> None:
    assert split([b"{1}\n{2}\nGET /\n"], objects_only=True) == [b"{1}", b"{2}", ChannelBroken]


@pytest.mark.anyio
async def test_frames_are_sent_in_one_write() -> None:
    script = Script()
    channel = LineChannel(script)
    await channel.send(b"{1}", b"{2}")
    await channel.send()
    await channel.send(b"{3}")
    assert b"".join(script.written) == b"{1}\n{2}\n{3}\n"
    assert script.written[0] == b"{1}\n{2}\n"


@pytest.mark.anyio
async def test_a_frame_with_a_newline_is_refused_and_nothing_is_sent() -> None:
    script = Script()
    channel = LineChannel(script)
    with pytest.raises(ValueError, match="newline"):
        await channel.send(b"{}", b'{\n"a": 1}')
    assert script.written == []
    await channel.send(b"{}")
    assert script.written == [b"{}\n"]


@pytest.mark.anyio
async def test_the_end_of_the_stream_between_lines_is_the_end_of_the_channel() -> None:
    channel = LineChannel(Script(b"{}\r\n", b" \r\n "))
    assert await channel.receive() == b"{}"
    for _ in range(2):
        with pytest.raises(ChannelEnded):
            await channel.receive()


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1000, 3])
async def test_the_end_of_the_stream_in_a_line_breaks_the_channel(limit: int) -> None:
    channel = LineChannel(Script(b'{}\n{"half'), limit)
    assert await channel.receive() == b"{}"
    if limit == 3:
        with pytest.raises(FrameTooLarge):
            await channel.receive()
    for _ in range(2):
        with pytest.raises(ChannelBroken, match="middle"):
            await channel.receive()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make", [anyio.BrokenResourceError, lambda: ConnectionResetError(104, "reset"), lambda: OSError(5, "i/o")]
)
async def test_a_broken_stream_breaks_the_channel_for_good(make: Callable[[], Exception]) -> None:
    script = Script(b"{}\n", make())
    script.failure = make()
    channel = LineChannel(script)
    assert await channel.receive() == b"{}"
    for _ in range(2):
        with pytest.raises(ChannelBroken):
            await channel.receive()
        with pytest.raises(ChannelBroken):
            await channel.send(b"{}")


@pytest.mark.anyio
async def test_a_cancelled_send_that_had_begun_ends_sending() -> None:
    script = Script(b"{}\n")
    script.stuck = True
    channel = LineChannel(script)
    async with anyio.create_task_group() as sending:
        sending.start_soon(channel.send, b"{1}")
        await script.begun.wait()
        sending.cancel_scope.cancel()
    with pytest.raises(ChannelBroken):
        await channel.send(b"{2}")
    assert script.written == [b"{1}\n"]
    assert await channel.receive() == b"{}"


@pytest.mark.anyio
async def test_a_send_that_was_cancelled_before_it_began_harms_nothing() -> None:
    script = Script()
    channel = LineChannel(script)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await channel.send(b"{1}")
    await channel.send(b"{2}")
    assert script.written == [b"{2}\n"]


@pytest.mark.anyio
async def test_a_closed_channel_says_so_and_closes_its_stream_once() -> None:
    script = Script(b"{}\n")
    channel = LineChannel(script)
    await channel.aclose()
    await channel.aclose()
    assert script.closed.is_set()
    with pytest.raises(ChannelClosed):
        await channel.receive()
    with pytest.raises(ChannelClosed):
        await channel.send(b"{}")


@pytest.mark.anyio
async def test_closing_does_not_wait_forever_for_a_stream_that_will_not_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcpc_transports.lines.CLOSE_TIMEOUT", 0.05)
    script = Script()
    script.stuck = True
    with anyio.fail_after(60):
        await LineChannel(script).aclose()


@pytest.mark.anyio
async def test_a_channel_for_objects_closes_its_stream_when_something_else_begins() -> None:
    script = Script(b"{}\nPOST / HTTP/1.1\r\n", b"{}\n")
    channel = LineChannel(script, objects_only=True)
    assert await channel.receive() == b"{}"
    with pytest.raises(ChannelBroken, match="JSON-RPC"):
        await channel.receive()
    assert script.closed.is_set()
    with pytest.raises(ChannelClosed):
        await channel.receive()


@pytest.mark.anyio
async def test_what_goes_at_once_goes_at_once_and_the_rest_first_of_all_with_the_next_send() -> None:
    script = Script()
    channel = LineChannel(script)
    assert channel.send_nowait(b"{1}", b"{2}")
    assert script.written == [b"{1}\n{2}\n"]
    script.room = 2
    assert not channel.send_nowait(b"{3}")
    await channel.send(b"{4}")
    assert b"".join(script.written) == b"{1}\n{2}\n{3}\n{4}\n"


@pytest.mark.anyio
async def test_a_send_at_once_that_fails_breaks_the_channel_and_a_closed_one_says_so() -> None:
    script = Script()
    channel = LineChannel(script)
    with pytest.raises(ValueError, match="newline"):
        channel.send_nowait(b"{\n}")
    script.failure = ConnectionResetError(104, "reset")
    for _ in range(2):
        with pytest.raises(ChannelBroken):
            channel.send_nowait(b"{}")
    await channel.aclose()
    with pytest.raises(ChannelClosed):
        channel.send_nowait(b"{}")


@pytest.mark.anyio
async def test_a_tap_is_shown_each_line_in_its_turn_until_it_leaves_one() -> None:
    channel = LineChannel(Script(b"{1}\n{2}\n{x}\n{3}\n", b"{4}\n{y}\n"))
    taken: list[bytes] = []

    def tap(frame: bytes) -> bool:
        if frame[1:2].isdigit():
            taken.append(frame)
            return True
        return False

    channel.tap = tap
    assert await channel.receive() == b"{x}"
    assert taken == [b"{1}", b"{2}"]
    assert await channel.receive() == b"{3}", "it waits behind the one that was left, so it is received"
    assert await channel.receive() == b"{y}"
    assert taken == [b"{1}", b"{2}", b"{4}"]


@pytest.mark.anyio
async def test_a_tap_is_not_shown_a_line_over_the_limit() -> None:
    channel = LineChannel(Script(b"{" + b"x" * 20 + b"}\n{}\n"), 10)
    seen: list[bytes] = []
    channel.tap = lambda frame: seen.append(frame) is None
    with pytest.raises(FrameTooLarge):
        await channel.receive()
    assert await channel.receive() == b"{}"
    assert seen == []
