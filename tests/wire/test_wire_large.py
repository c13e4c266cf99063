"""Frames that are read apart are read as they would be in one piece, and what is refused in one way is in the other."""

import json
import math
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpc.errors import FrameError, MessageError
from mcpc.wire.callbacks import encode_batch
from mcpc.wire.jsontext import encode_json, has_infinity
from mcpc.wire.rpc import LARGE, MAX_SUSPICIOUS, decode_frame, too_large

thorough = settings(max_examples=400, deadline=None, database=None)

ENVELOPE = ("jsonrpc", "id", "method", "params", "result", "error")

# --- what a frame is, said the slow way -------------------------------------------------------------------------


class Refused(Exception):
    """The slow reader refuses."""


def no_constant(_: str) -> None:
    raise Refused


def is_finite(value: Any) -> bool:
    """Whether every number in a value is. One that a later member of the same name has replaced is not in it."""
    if isinstance(value, dict):
        return all(map(is_finite, cast("dict[str, Any]", value).values()))
    if isinstance(value, list):
        return all(map(is_finite, cast("list[Any]", value)))
    return not isinstance(value, float) or math.isfinite(value)


def read_slowly(frame: bytes) -> dict[str, Any]:
    """A frame as the standard library reads it, with every pair in hand.

    Raises:
        Refused: it is no JSON object, a member of the envelope stands twice, or a number is no finite one.
    """
    outermost: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        outermost[:] = [name for name, _ in pairs]
        return dict(pairs)

    try:
        text = frame.decode()
        value: Any = json.loads(text, object_pairs_hook=collect, parse_constant=no_constant)
    except ValueError as exc:
        raise Refused from exc
    known = [name for name in outermost if name in ENVELOPE]
    if not isinstance(value, dict) or len(known) != len(set(known)) or not is_finite(value):
        raise Refused
    return cast("dict[str, Any]", value)


def left_out(frame: dict[str, Any]) -> set[str]:
    """The members that are null and read as if they were not there: `params`, and one of a result and an error."""
    nulls = {"params"} if frame.get("params", 0) is None else set[str]()
    if "result" in frame and "error" in frame:
        nulls.update([name for name in ("error", "result") if frame[name] is None][:1])
    return nulls


# --- frames in every spelling -----------------------------------------------------------------------------------

space = st.sampled_from(["", "", "", " ", "\n\t", "\r\n"])


@st.composite
def names(draw: st.DrawFn) -> str:
    """A member's name, some of its letters written as escapes."""
    name = draw(st.sampled_from([*ENVELOPE, *ENVELOPE, "extra", "_meta"]))
    at = draw(st.sets(st.integers(0, len(name) - 1), max_size=2) if draw(st.integers(0, 9)) == 0 else st.just(set()))
    return "".join(f"\\u{ord(letter):04x}" if place in at else letter for place, letter in enumerate(name))


texts = st.sampled_from(
    [
        '"2.0"',
        '"x"',
        "1",
        '"a"',
        "null",
        "1.5",
        "1e999",
        "-1e999",
        "1e2",
        "NaN",
        "-Infinity",
        "true",
        '{"id":1,"id":2}',
        '{"method":"y","params":{"id":[{"result":{}}]}}',
        '{"a":1,"jsonrpc":"2.0","id":7}',
        '[{"error":1e400}]',
        '"\\",\\"id\\":5}"',
        '{"code":1,"message":""}',
        "[" * 198 + "]" * 198,
        "[" * 199 + "]" * 199,
        "[" * 200 + "]" * 200,
        "9" * 4300,
        "9" * 210 + "e99",
        "1" * 309,
        "{}",
        "[]",
        "1,2",
        "{}}",
        "",
    ]
)
PADDING = '{"pad":"' + "x" * LARGE + '"}'


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame over the size from which on frames are read apart; now and then a torn one."""
    usual = draw(
        st.sampled_from(
            [
                ['"jsonrpc":"2.0"', '"id":1', '"method":"x"'],
                ['"jsonrpc":"2.0"', '"id":1'],
                ['"method":"x"'],
                [],
            ]
        )
    )
    members = [*usual]
    for _ in range(draw(st.integers(0, 3))):
        value = draw(texts) if draw(st.integers(0, 3)) else PADDING
        members.append(f'{draw(space)}"{draw(names())}"{draw(space)}:{draw(space)}{value}{draw(space)}')
    if draw(st.booleans()):
        members.append(f'"params":{PADDING}')
    members.extend(draw(st.sampled_from([[], [], ['"jsonrpc":"2.0"', '"id":1'], ['"id":2'], ['"more":true']])))
    text = draw(space) + "{" + ",".join(members) + "}" + draw(space)
    if len(text) <= LARGE:
        text = " " * LARGE + text
    cut = draw(st.integers(0, 3)) if draw(st.integers(0, 9)) == 0 else 0
    return text.encode()[: len(text) - cut]


@thorough
@given(frames())
@example(b'{"jsonrpc":"2.0","id":1,"method":"x","params":%b,"params":{}}' % PADDING.encode())
@example(b'{"jsonrpc":"2.0","id":1,"method":"x","params":%b,"i\\u0064":2}' % PADDING.encode())
@example(b'{"method":"x","params":%b,"jsonrpc":"2.0","id":1,"id":1}' % PADDING.encode())
@example(b'{"jsonrpc":"2.0","id":1,"method":"x","extra":%b,"extra":1}' % PADDING.encode())
@example(b'{"result":%b,"jsonrpc":"2.0","id":1}' % PADDING.encode())
@example(b'{"jsonrpc":"2.0","id":1,"method":"x","params":%b,"result":null}' % PADDING.encode())
@example(b'{"method":"x","extra":1e999,"extra":%b,"jsonrpc":"2.0","id":1}' % PADDING.encode())
def test_a_large_frame_is_read_as_the_standard_library_reads_it_or_refused(frame: bytes) -> None:
    try:
        expected = read_slowly(frame)
    except Refused:
        with pytest.raises(FrameError):
            decode_frame(frame)
        return
    try:
        message = decode_frame(frame)
    except FrameError:
        return  # what else is asked of an envelope is tested where it is small
    nulls = left_out(expected)
    assert message == {name: value for name, value in expected.items() if name not in nulls}
    assert [name for name in message if name in ENVELOPE] == [
        name for name in expected if name in ENVELOPE and name not in nulls
    ]


@thorough
@given(frames())
def test_a_frame_padded_to_be_large_meets_the_same_answer_as_it_was(frame: bytes) -> None:
    """Blanks around a message change nothing, whichever way is taken to read it."""

    def outcome(data: bytes) -> Any:
        try:
            return decode_frame(data)
        except FrameError as exc:
            return exc.code

    short = frame.strip().replace(PADDING.encode(), b"{}")
    assert outcome(short) == outcome(short + b" " * LARGE) == outcome(b"\n" * LARGE + short)


def request(params: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":"q","method":"x","params":%b}' % params


DOUBLED = [
    b'{"jsonrpc":"2.0","id":"q","method":"x","params":%b,"params":{}}',
    b'{"jsonrpc":"2.0","id":"q","method":"x","params":%b,"method":"y"}',
    b'{"jsonrpc":"2.0","id":"q","method":"x","params":%b,"m\\u0065thod":"y"}',
    b'{"params":{},"jsonrpc":"2.0","id":"q","method":"x","params":%b}',
]


@pytest.mark.parametrize("frame", DOUBLED, ids=bytes.decode)
@pytest.mark.parametrize("size", [10, LARGE, MAX_SUSPICIOUS])
def test_a_doubled_member_is_refused_with_its_id_in_frames_of_every_size(frame: bytes, size: int) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(frame % (b'{"a":"%b"}' % (b"x" * size)))
    assert (caught.value.code, caught.value.request_id) == (-32600, "q")


def test_a_message_whose_envelope_is_not_plain_is_read_up_to_the_limit_and_refused_one_past_it() -> None:
    begin = b'{"extra":{"id":0},"jsonrpc":"2.0","id":"q","method":"x","params":{"id":"'
    room = MAX_SUSPICIOUS - len(begin) - len(b'"}}')
    assert decode_frame(begin + b"x" * room + b'"}}')["id"] == "q"
    with pytest.raises(FrameError, match="plain members") as caught:
        decode_frame(begin + b"x" * (room + 1) + b'"}}')
    assert caught.value.request_id == "q"


@pytest.mark.parametrize("spelling", ["1e999", "-1E+0309", "9" * 309 + ".0", "9" * 250 + "e99", "1.0e+400"])
def test_a_number_out_of_range_is_found_wherever_it_stands_in_a_large_frame(spelling: str) -> None:
    for place in ("[%b%b]", '{"a":"e123 \\" 0e000",%b"b":[{"c":%b}]}'):
        params = place.replace("%b", '"%s",' % ("x" * LARGE) if place[0] == "[" else "", 1).replace("%b", spelling)
        with pytest.raises(FrameError, match="out of range"):
            decode_frame(request(b'{"p":%b}' % params.encode()))


def test_what_looks_like_a_number_out_of_range_and_is_none_is_let_through() -> None:
    harmless = {"digest": "a1e9999b", "zeros": "0" * 400, "number": 10**400, "text": "Infinity 1e999 NaN", "f": 1e300}
    assert decode_frame(request(json.dumps(harmless).encode()))["params"] == harmless


@given(st.lists(st.integers() | st.text() | st.binary(), max_size=4))
@settings(max_examples=60, deadline=None, database=None)
def test_no_value_without_floats_holds_an_infinity(values: list[Any]) -> None:
    assert not has_infinity(values)


def test_an_integer_that_is_written_like_an_infinity_is_none() -> None:
    """As marshal writes it, in 15 bits at a time."""
    lookalike = 0x67 << 8 | 0x7FF0 << 60
    assert not has_infinity([lookalike])
    assert has_infinity([lookalike, math.inf])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [{"b": -math.inf}]}, [object, math.inf][1:]])
def test_a_float_that_is_no_number_is_found(value: Any) -> None:
    assert has_infinity(value)


# --- encoding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10_000])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_large_value_with_a_number_that_is_none_is_refused_in_words(bad: float, size: int) -> None:
    with pytest.raises(MessageError, match="no JSON form"):
        encode_json({"text": "x" * size, "deep": [{"bad": bad}]})


def test_a_large_value_is_encoded_as_it_is() -> None:
    value = {"rows": [{"id": n, "name": "NaN", "sizes": [n, n / 7]} for n in range(5000)]}
    assert json.loads(encode_json(value)) == value


def test_the_deepest_value_that_is_let_out_comes_in_again_however_large_it_is() -> None:
    for size in (0, 20_000):
        deepest = None
        for depth in range(140, 260):
            value: Any = "x" * size
            for _ in range(depth):
                value = [value]
            try:
                data = encode_json(value)
            except MessageError:
                break
            deepest = depth
            message = b'{"type":"task","event":"update","result":%b}' % data
            decode_frame(encode_batch(1, 1, [message]))
        assert deepest is not None
        assert deepest > 180


# --- what is known of a frame that was not kept -----------------------------------------------------------------

CUT: list[tuple[bytes, bytes, Any]] = [
    (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":"xx', b"", 7),
    (b'{"jsonrpc":"2.0","id":"seven","result":{"a":"xx', b'xx"}}', "seven"),
    (b' {\n "jsonrpc" : "2.0" ,\n "id" : 7 ,\n "result" : {', b"}\n}\n", 7),
    (b'{"result":{"a":"xx', b'xx"},"jsonrpc":"2.0","id":7}', 7),
    (b'{"method":"tools/call","params":{"a":"xx', b'xx"},"jsonrpc":"2.0","id":7}\n', 7),
    (b'{"method":"tools/call","params":{"a":"xx', b'xx","id":7}', None),
    (b'{"jsonrpc":"2.0","method":"notifications/x","params":{"id":3,', b'"id":7}}', None),
    (b'{"jsonrpc":"2.0","id":7,"id":8,"result":{', b"}}", None),
    (b'{"jsonrpc":"2.0","id":7,"result":{', b'},"jsonrpc":"2.0","id":8}', 7),
    (b'{"jsonrpc":"2.0","id":1.5,"result":{', b"}}", None),
    (b'{"jsonrpc":"2.0","id":true,"result":{', b"}}", None),
    (b'{"jsonrpc":"2.0","i\\u0064":7,"result":{', b"}}", None),
    (b'{"jsonrpc":"1.0","id":7,"result":{', b"}}", None),
    (b'{"id":7,"result":{', b"}}", None),
    (b"hello " * 100, b"", None),
    (b"", b"", None),
    (b"{", b"}", None),
]


@pytest.mark.parametrize(("beginning", "end", "expected"), CUT)
def test_the_id_of_a_frame_is_known_from_its_beginning_and_its_end_or_not_at_all(
    beginning: bytes, end: bytes, expected: Any
) -> None:
    assert too_large(1, beginning, end).request_id == expected


@given(st.binary(max_size=80), st.binary(max_size=80))
@settings(max_examples=100, deadline=None, database=None)
def test_no_beginning_and_no_end_does_harm(beginning: bytes, end: bytes) -> None:
    too_large(1, b'{"jsonrpc":"2.0",' + beginning, end)
    too_large(1, beginning, b',"jsonrpc":"2.0"' + end)
