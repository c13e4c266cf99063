"""What every parser of bytes from a peer promises, as functions that raise where it does not hold.

Each takes what a peer may have sent, cut into chunks as a network may cut it: the outcome is a value or a documented
error, and does not depend on the cuts. `tests/wire/test_parsers.py` tries a few, `tests/soak/fuzz.py` many.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from hypothesis import strategies as st
from pydantic_core import from_json

from mcpc.errors import ChannelBroken, FrameError, FrameTooLarge, MessageError, URIError
from mcpc.transport import URI
from mcpc.uri import parse_uri
from mcpc.wire.calls import CallMetadata, read_call
from mcpc.wire.rpc import decode_frame
from mcpc_transports.http.event_bound import FIELDS, BoundedEvents
from mcpc_transports.http.event_tap import EventTap
from mcpc_transports.lines import LineSplitter
from mcpc_transports.stdio.stdout import Printed
from mcpc_transports.websocket.frames import FrameSplitter
from mcpc_transports.websocket.partial import Remains

__all__ = ["PARSERS", "Parser", "chunked"]

LIMIT = 200
"""Bytes of the largest message here: small, so that the bound is met."""

Parser = Callable[[list[bytes]], None]

FRAMES = [
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":"a","result":{"content":[]},"error":null}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":{"x":[1e999,NaN]}}}',
    b'{"jsonrpc":"2.0","method":"notifications/mcpc/messages","params":{"first":1,"messages":[{"type":"task"}]}}',
    b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1.5,"id":2,"method":"ping","params":null}',
    b'{"jsonrpc":"2.0","id":-0,"method":"\\ud800","params":{"a":"\xff"}}',
]
LINES = [*(frame + b"\n" for frame in FRAMES), b"\r\n \n", b"noise\r\n", b"{" + b"x" * LIMIT + b"}\n"]
PRINTED = [
    *LINES,
    b'loading... {"jsonrpc":"2.0","id":1,"result":{}} done\n',
    b'{\n  "jsonrpc": "2.0",\n  "id": 1,\n  "result": {"a": [1, "}"]}\n}\n',
    b'{"level":"info","text":"{\\"jsonrpc\\":"}\n',
    b'{"jsonrpc":"2.0","id":2,"result":{}}{"jsonrpc":"2.0","id":3,"result":{}}\n',
    b"50% [=====>     ]\r",
]
WEBSOCKET = [b"\x81\x02{}", b"\x81\x7e\x00\x80" + b"x" * 128, b"\x01\x01{\x80\x01}", b"\x89\x00", b"\x88\x02\x03\xe8"]
EVENTS = [
    b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/mcpc/messages","params":{"first":1}}\r\n\r\n',
    b"event: message\ndata: x\n\n",
    b": ping\r\n\r\n",
    b"id: 1\r\nretry: 5\r\n\r\n",
]
LARGE_EVENTS = [
    b'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{"x":"' + b"x" * LIMIT + b'"}}\r\n\r\n',
    b'data: {"result":{"x":"' + b"y" * 3000 + b'"},"jsonrpc":"2.0","id":2}\n\n',
    b"data: " + b"z" * LIMIT + b"\n\n",
    b"data: " + b"z" * (LIMIT + 1) + b"\r\r",
]
ADDRESSES = [
    b"ws://user:pass@127.0.0.1:8765/mcp?x=1#y",
    b"tcp://[::1]:0",
    b"unix:///tmp/a%20b",
    b"stdio:python 'server.py' --x",
    b"http://h\xc3\xb6st:99999999999999999999/",
    b"sse+https://:@/",
]
CALLS = [
    b'{"name":"t","_meta":{"mcpc/channel":"c","mcpc/taskId":"i","mcpc/sessionId":"s","mcpc/key":"k"}}',
    b'{"name":"t","arguments":{"_metadata":{"mcpc_session_id":"s","mcpc_task_id":1}}}',
    b'{"name":"t","arguments":{"mcpc_params":{"session_id":"","task_id":null}}}',
]


def frame(chunks: list[bytes]) -> None:
    """A JSON-RPC message is read, or refused with an error that says so."""
    try:
        message = decode_frame(b"".join(chunks))
    except FrameError:
        return
    assert isinstance(json.loads(json.dumps(message)), dict)


def lines(chunks: list[bytes]) -> None:
    """Lines are whole, within the limit, and the same however they come."""
    assert _lines(chunks) == _lines([b"".join(chunks)])


def _lines(chunks: list[bytes]) -> list[Any]:
    splitter, found = LineSplitter(LIMIT), list[Any]()
    for chunk in chunks:
        splitter.feed(chunk)
        while True:
            try:
                line = splitter.pop()
            except (FrameError, ChannelBroken) as exc:
                found.append((type(exc), getattr(exc, "request_id", None)))
                continue
            if line is None:
                break
            assert b"\n" not in line
            assert len(line) <= LIMIT
            found.append(line)
    return found


def printed(chunks: list[bytes]) -> None:
    """Messages among what a program prints: none is lost, nothing else either, and what is held is bounded."""
    reader, lines = Printed(LIMIT), b"".join(chunks).split(b"\n")
    given, taken = b"", b""
    for line in lines:
        given += line
        try:
            found = reader.read(line)
        except FrameTooLarge:
            given, taken = b"", b""  # what had begun is gone, and said to be
            continue
        if _is_message(line):
            assert found[-1] == line
        taken += b"".join(found)
        assert _solid(given).startswith(_solid(taken))
        assert len(_solid(given)) - len(_solid(taken)) <= LIMIT


def _is_message(line: bytes) -> bool:
    """Whether a line is a message of its own, spelled as programs spell it."""
    if not line.startswith((b'{"jsonrpc"', b'{"id"', b'{"method"')):
        return False
    try:
        decode_frame(line)
    except FrameError:
        return False
    return line.endswith(b"}")


def _solid(text: bytes) -> bytes:
    """A text without what separates its lines."""
    return b"".join(text.split())


def websocket(chunks: list[bytes]) -> None:
    """What the fast path takes out is the same however it comes; the rest stays in order."""
    assert _pieces(chunks) == _pieces([b"".join(chunks)])


def _pieces(chunks: list[bytes]) -> list[Any]:
    splitter, found = FrameSplitter(LIMIT), list[Any]()
    for chunk in chunks:
        for piece in splitter.split(chunk):
            if isinstance(piece, Remains):
                found.append(piece)
                continue
            is_message, data = piece
            if is_message:
                found.append((data,))
            elif found and isinstance(found[-1], bytes):
                found[-1] += data  # bytes for the core may come in any pieces
            elif data:
                found.append(data)
    return found


def events(chunks: list[bytes]) -> None:
    """A tap that takes nothing changes nothing; what one takes is no part of what passes."""
    everything = b"".join(chunks)
    tap = EventTap(cast("Any", None), lambda data: False, LIMIT)
    passed = b"".join(tap.filter(chunk) for chunk in chunks)
    assert everything.startswith(passed)
    taken = list[bytes]()
    tap = EventTap(cast("Any", None), lambda data: taken.append(data) is None, LIMIT)
    kept = b"".join(tap.filter(chunk) for chunk in chunks)
    assert len(kept) + sum(map(len, taken)) <= len(everything)


def bounded_events(chunks: list[bytes]) -> None:
    """What a bound lets through is within it, and the same however it comes; what is within it passes as it came."""
    bound = _bound(chunks)
    assert bound == _bound([b"".join(chunks)])
    assert all(len(line) <= LIMIT + FIELDS for line in bound.replace(b"\r", b"\n").split(b"\n"))


def _bound(chunks: list[bytes]) -> bytes:
    events = BoundedEvents(cast("Any", None), LIMIT)
    return b"".join([*map(events.filter, chunks), events.rest()])


def address(chunks: list[bytes]) -> None:
    """An address is taken apart, or refused; its text never shows a password."""
    text = b"".join(chunks).decode(errors="surrogateescape")
    try:
        uri = parse_uri(text)
    except URIError:
        return
    assert isinstance(uri, URI)
    assert isinstance(str(uri), str)


def call(chunks: list[bytes]) -> None:
    """The metadata of a call is read, or refused."""
    try:
        params = from_json(b"".join(chunks))
    except ValueError:
        return
    if isinstance(params, dict):
        with suppress(MessageError):
            assert isinstance(read_call(cast("dict[str, Any]", params)), CallMetadata)


PARSERS: dict[str, tuple[Parser, list[bytes]]] = {
    "frames": (frame, FRAMES),
    "lines": (lines, LINES),
    "stdout": (printed, PRINTED),
    "websocket": (websocket, WEBSOCKET),
    "events": (events, EVENTS),
    "event bounds": (bounded_events, [*EVENTS, *LARGE_EVENTS]),
    "addresses": (address, ADDRESSES),
    "calls": (call, CALLS),
}
"""Each parser, and what it is usually given."""


@st.composite
def chunked(draw: st.DrawFn, seeds: list[bytes]) -> list[bytes]:
    """Seeds put together, a few bytes changed, cut anywhere."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(seeds) | st.binary(max_size=12), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=6) | st.sampled_from(seeds))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    return [bytes(data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
