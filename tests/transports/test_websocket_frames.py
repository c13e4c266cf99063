"""Frames and messages without I/O: what passes the protocol core by is the same as through it, however the bytes are
cut, and what is over the limit is skipped."""

import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from mcpc.errors import ChannelBroken, FrameTooLarge
from mcpc_transports.websocket.core import frame_limit
from mcpc_transports.websocket.ending import Ending, EndState
from mcpc_transports.websocket.frames import FrameSplitter, text_head
from mcpc_transports.websocket.incoming import Incoming
from mcpc_transports.websocket.partial import MAX_SKIPPED, Remains

LIMIT = 70_000
MEBI = 1 << 20
BOUNDARIES = (0, 1, 125, 126, 127, 65_535, 65_536, LIMIT)


def core() -> Protocol:
    return Protocol(Side.CLIENT, state=OPEN, max_size=frame_limit(LIMIT))


def texts(protocol: Protocol) -> list[bytes]:
    """What a core has received, control frames left out; a fragment stands with its mark."""
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    return [
        bytes(frame.data) + (b"" if frame.fin and frame.opcode is Opcode.TEXT else b"<part>")
        for frame in frames
        if frame.opcode in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY)
    ]


def answers(protocol: Protocol) -> list[tuple[Opcode, bytes]]:
    """What a core wants to be sent, without the masks, which are random."""
    server = Protocol(Side.SERVER, state=OPEN)
    server.receive_data(b"".join(protocol.data_to_send()))
    return [(event.opcode, bytes(event.data)) for event in server.events_received() if isinstance(event, Frame)]


Outcome = tuple[list[bytes], list[tuple[Opcode, bytes]], str]


def through_core(data: bytes) -> Outcome:
    protocol = core()
    protocol.receive_data(data)
    return texts(protocol), answers(protocol), repr(protocol.parser_exc)


def through_splitter(chunks: Iterable[bytes]) -> Outcome:
    """The same with a splitter before the core, as the channel uses the two."""
    protocol, splitter = core(), FrameSplitter(LIMIT)
    got: list[bytes] = []
    for chunk in chunks:
        for piece in splitter.split(chunk) if protocol.state is OPEN else ():
            assert not isinstance(piece, Remains), "nothing is over the limit here"
            if piece[0]:
                got.append(piece[1])
            elif protocol.state is OPEN:
                protocol.receive_data(piece[1])
                got += texts(protocol)
            if protocol.state is not OPEN:
                break
    return got, answers(protocol), repr(protocol.parser_exc)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Sent:
    """A frame that the server sends, sound or not."""

    opcode: Opcode
    size: int
    fin: bool = True
    compressed: bool = False
    mask: bool = False

    def written(self) -> bytes:
        data = bytes(self.size) if self.opcode is not Opcode.CLOSE else Close(CloseCode.NORMAL_CLOSURE, "").serialize()
        first, *rest = Frame(self.opcode, data, self.fin).serialize(mask=self.mask)
        return bytes((first | 0x40 if self.compressed else first, *rest))


sizes = st.one_of(st.integers(0, 200), st.sampled_from(BOUNDARIES))
frames = st.one_of(
    st.builds(Sent, st.just(Opcode.TEXT), sizes),
    st.builds(Sent, st.sampled_from([Opcode.TEXT, Opcode.CONT, Opcode.BINARY]), sizes, st.booleans()),
    st.builds(Sent, st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.integers(0, 125)),
    st.builds(Sent, st.just(Opcode.TEXT), sizes, st.booleans(), st.booleans(), st.booleans()),
)
places = st.lists(st.integers(0, 1 << 20), max_size=12)


@given(st.lists(frames, max_size=8), places)
def test_however_the_bytes_are_cut_the_messages_are_those_of_the_core(sent: list[Sent], places: list[int]) -> None:
    data = b"".join(frame.written() for frame in sent)
    # Not compared as they are: a difference of many kilobytes would take longer to show than to find.
    assert (through_splitter(cut(data, places)) == through_core(data)) is True


@given(st.binary(max_size=100), places)
def test_whatever_the_bytes_are_the_core_has_the_last_word(data: bytes, places: list[int]) -> None:
    assert through_splitter(cut(data, places)) == through_core(data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, LIMIT])
def test_a_message_is_framed_as_the_core_frames_it_and_found_byte_by_byte(size: int) -> None:
    data = bytes(size)
    assert text_head(size) + data == Frame(Opcode.TEXT, data).serialize(mask=False)
    splitter = FrameSplitter(LIMIT)
    head = text_head(size)
    pieces = [piece for byte in head for piece in splitter.split(bytes((byte,)))]
    pieces += splitter.split(data) if data else []
    assert pieces == [(True, data)]


def test_what_is_not_whole_can_be_had_back() -> None:
    splitter = FrameSplitter(LIMIT)
    whole = text_head(5) + b"hello"
    assert splitter.split(whole + whole[:4]) == [(True, b"hello")]
    assert splitter.rest() == whole[:4]
    assert splitter.rest() == b""


def test_of_a_frame_over_the_limit_its_beginning_and_its_end_are_kept_and_the_core_sees_an_empty_one() -> None:
    splitter = FrameSplitter(10)
    head = text_head(11)
    assert splitter.split(head + b"12345") == []
    whole = text_head(2) + b"ok"
    assert splitter.split(b"678901" + whole) == [
        Remains(b"12345678901", b"12345678901", 11),
        (False, text_head(0)),
        (True, b"ok"),
    ]


def test_a_frame_that_claims_more_than_anybody_sends_is_left_to_the_core_to_refuse() -> None:
    splitter = FrameSplitter(10)
    head = text_head(MAX_SKIPPED + 1)
    assert splitter.split(head + b"12345") == [(False, head + b"12345")]
    assert FrameSplitter(10).split(text_head(MAX_SKIPPED)) == []


# --- messages of any size, in any number of frames, both sides ---------------------------------------------------

SMALL = 1500


@dataclass(frozen=True)
class Written:
    """A message that a peer sends: a request with an id, in some frames, perhaps with pings between them."""

    number: int
    size: int
    cuts: list[int]
    pings: bool

    def payload(self) -> bytes:
        head, end = b'{"jsonrpc":"2.0","id":%d,"method":"m","params":{"x":"' % self.number, b'"}}'
        return head + b"x" * (self.size - len(head) - len(end)) + end

    def frames(self, *, mask: bool) -> Iterable[bytes]:
        parts = cut(self.payload(), self.cuts)
        for number, part in enumerate(parts):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONT
            yield Frame(opcode, part, number == len(parts) - 1).serialize(mask=mask)
            if self.pings:
                yield Frame(Opcode.PING, b"").serialize(mask=mask)


written = st.builds(
    Written,
    st.integers(0, 9),
    st.one_of(st.integers(100, 300), st.integers(SMALL - 2, SMALL + 2), st.integers(SMALL, 6 * SMALL)),
    st.lists(st.integers(0, 1 << 20), max_size=4),
    st.booleans(),
)


def incoming(side: Side, limit: int = SMALL) -> tuple[Incoming, Ending]:
    protocol, ending = Protocol(side, state=OPEN, max_size=frame_limit(limit)), Ending()
    return Incoming(protocol, ending, lambda _: None, limit), ending


@pytest.mark.parametrize("side", [Side.SERVER, Side.CLIENT])
@given(st.lists(written, max_size=5), places)
def test_a_message_is_taken_up_to_the_limit_and_one_past_it_is_an_error_that_knows_its_id(
    side: Side, sent: list[Written], places: list[int]
) -> None:
    data = b"".join(frame for one in sent for frame in one.frames(mask=side is Side.SERVER))
    reader, ending = incoming(side)
    got = [message for chunk in cut(data, places) for message in reader.take(chunk)]
    assert ending.state is EndState.OPEN
    assert len(got) == len(sent)
    for one, message in zip(sent, got, strict=True):
        if one.size <= SMALL:
            assert message == one.payload()
        else:
            assert isinstance(message, FrameTooLarge)
            assert (message.request_id, message.kind) == (one.number, "request")


@pytest.mark.parametrize("in_frames_of", [64 * MEBI, MEBI // 4])
@pytest.mark.parametrize("side", [Side.SERVER, Side.CLIENT])
def test_of_what_is_skipped_next_to_nothing_is_kept(side: Side, in_frames_of: int) -> None:
    """64 MiB in one frame, or in fragments each within the limit."""
    reader, _ = incoming(side, limit=MEBI)
    chunk, sent, frames = bytes(64 * 1024), 0, 0
    tracemalloc.start()
    try:
        while sent < 64 * MEBI:
            if sent == frames * in_frames_of:
                opcode, size = Opcode.CONT if frames else Opcode.TEXT, min(in_frames_of, 64 * MEBI - sent)
                length = size.to_bytes(8, "big")
                mask = b"\xff\0\0\0\0" if side is Side.SERVER else b"\x7f"
                assert reader.take(bytes((opcode,)) + mask[:1] + length + mask[1:]) == []
                frames += 1
            part = chunk[: min(len(chunk), frames * in_frames_of - sent)]
            assert reader.take(part) == []
            sent += len(part)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBI
    finally:
        tracemalloc.stop()
    last = Frame(Opcode.CONT, b"", True).serialize(mask=side is Side.SERVER)
    assert [type(message) for message in reader.take(last)] == [FrameTooLarge]


@pytest.mark.parametrize("side", [Side.SERVER, Side.CLIENT])
def test_a_message_that_is_cut_while_it_is_skipped_was_cut_in_the_middle(side: Side) -> None:
    reader, ending = incoming(side)
    frame = Frame(Opcode.TEXT, bytes(2 * SMALL)).serialize(mask=side is Side.SERVER)
    assert reader.take(frame[:SMALL]) == []
    assert reader.finish() == []
    with pytest.raises(ChannelBroken, match="cut in the middle of a message"):
        ending.check_receivable()


@pytest.mark.parametrize("side", [Side.SERVER, Side.CLIENT])
def test_a_close_frame_behind_what_is_skipped_is_seen_also_when_we_are_closing(side: Side) -> None:
    protocol, ending = Protocol(side, state=OPEN, max_size=frame_limit(SMALL)), Ending()
    reader = Incoming(protocol, ending, lambda _: None, SMALL)
    mask = side is Side.SERVER
    frame = Frame(Opcode.TEXT, bytes(2 * SMALL)).serialize(mask=mask)
    close = Frame(Opcode.CLOSE, Close(CloseCode.NORMAL_CLOSURE, "").serialize()).serialize(mask=mask)
    reader.take(frame[:SMALL])
    ending.close()
    protocol.send_close(CloseCode.NORMAL_CLOSURE)
    reader.take(frame[SMALL : SMALL + 10])
    assert protocol.close_rcvd is None
    reader.take(frame[SMALL + 10 :] + close)
    assert protocol.close_rcvd is not None
