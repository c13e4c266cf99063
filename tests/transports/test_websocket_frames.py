"""The frames that a client takes past the protocol core: the same messages as through it, however the bytes are cut."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from mcpc_transports.websocket.core import frame_limit
from mcpc_transports.websocket.frames import FrameSplitter, text_head

LIMIT = 70_000
BOUNDARIES = (0, 1, 125, 126, 127, 65_535, 65_536, LIMIT, LIMIT + 1)


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
        for is_message, piece in splitter.split(chunk) if protocol.state is OPEN else ():
            if is_message:
                got.append(piece)
            elif protocol.state is OPEN:
                protocol.receive_data(piece)
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


def test_a_message_over_the_limit_is_left_to_the_core_as_it_comes() -> None:
    splitter = FrameSplitter(10)
    head = text_head(11)
    assert splitter.split(head + b"12345") == [(False, head + b"12345")]
    assert splitter.split(b"678901" + head) == [(False, b"678901"), (False, head)]
