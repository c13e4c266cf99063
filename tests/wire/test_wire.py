"""Every wire form in both directions, and everything that our edge refuses."""

import json
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    TextContent,
    jsonrpc_message_adapter,
)
from pydantic_core import to_json

from mcpc.errors import FrameError, MessageError
from mcpc.messages import MCPCMessage
from mcpc.wire import callbacks, calls, jsontext, members, originals, rpc
from mcpc.wire.calls import CallMetadata
from mcpc.wire.envelope import ENVELOPE_NAMES
from mcpc.wire.message import from_sdk

quick = settings(max_examples=60, deadline=None, database=None)

PARSE, INVALID = -32700, -32600
DEEPEST = 100_000

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.text(min_size=1, max_size=12)


def task_message(result: Any = None, event: str = "update", **other: Any) -> MCPCMessage:
    members: dict[str, Any] = {"session_id": "s", "task_id": "t", "tool_name": "n", **other}
    return MCPCMessage(event=event, result=result, **members)


def wire(result: str = "1", **other: str) -> str:
    """A task message as a peer's JSON text, with `result` put in as it is."""
    members = {"type": "task", "event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", **other}
    return json.dumps(members)[:-1] + f', "protocol": "mcpc", "result": {result}}}'


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def refused(frame: bytes) -> FrameError:
    with pytest.raises(FrameError) as caught:
        rpc.decode_frame(frame)
    return caught.value


# --- JSON and MCPC messages -------------------------------------------------------------------------------------


@quick
@given(json_values, st.sampled_from(["created", "update", "complete", "failed"]), names, names, names)
def test_a_task_message_comes_back_as_it_was_sent(
    result: Any, event: str, session_id: str, task_id: str, tool_name: str
) -> None:
    message = MCPCMessage(event=event, session_id=session_id, task_id=task_id, tool_name=tool_name, result=result)
    decoded = callbacks.decode_message(callbacks.encode_message(message))
    assert decoded == message
    assert repr(decoded.result) == repr(result), "1 and 1.0 and True are told apart"


@quick
@given(json_values, names, names)
def test_a_server_event_comes_back_as_it_was_sent(result: Any, event: str, session_id: str) -> None:
    message = MCPCMessage(type="server_event", event=event, session_id=session_id, result=result)
    assert callbacks.decode_message(callbacks.encode_message(message)) == message


@quick
@given(json_values, st.sampled_from(["update", "complete", "failed"]), names)
def test_a_message_made_of_prefix_and_result_is_the_same_message(result: Any, event: str, name: str) -> None:
    prefix = callbacks.message_prefix(event, session_id=name, task_id="t", tool_name=name)
    whole = MCPCMessage(event=event, session_id=name, task_id="t", tool_name=name, result=result)
    made = callbacks.message_with_result(prefix, result)
    assert json.loads(made) == json.loads(callbacks.encode_message(whole))
    assert list(json.loads(made)) == list(json.loads(callbacks.encode_message(whole))) == list(MCPCMessage.model_fields)
    assert callbacks.decode_message(made) == whole


def test_the_encoded_message_has_the_members_of_the_protocol_and_no_others() -> None:
    assert json.loads(callbacks.encode_message(task_message(None))) == {
        "type": "task",
        "event": "update",
        "session_id": "s",
        "task_id": "t",
        "tool_name": "n",
        "result": None,
        "protocol": "mcpc",
    }
    event = MCPCMessage(type="server_event", event="news", session_id="s", result=[1])
    assert json.loads(callbacks.encode_message(event)) == {
        "type": "server_event",
        "event": "news",
        "session_id": "s",
        "result": [1],
        "protocol": "mcpc",
    }


class Unknown:
    """Something that has no JSON form."""


def looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


NOT_JSON: dict[str, Callable[[], Any]] = {
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "negative infinity": lambda: -math.inf,
    "NaN deep inside": lambda: {"a": [{"b": math.nan}]},
    "NaN beside the text NaN": lambda: ["NaN", math.nan],
    "an object": Unknown,
    "an object deep inside": lambda: {"a": [Unknown()]},
    "a lone surrogate": lambda: "\ud800",
    "a lone surrogate as a name": lambda: {"\udfff": 1},
    "a loop": looped,
    "bytes that are not UTF-8": lambda: b"\xff",
    "a tower of lists": lambda: nested(DEEPEST),
}


@pytest.mark.parametrize("make", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_value_is_refused_in_every_way_of_encoding(make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(MessageError):
        jsontext.encode_json(value)
    with pytest.raises(MessageError):
        callbacks.encode_message(task_message(value))
    with pytest.raises(MessageError):
        callbacks.message_with_result(b'{"result":', value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", 'a NaN, "NaN", [NaN]', 'quote"NaN'])
def test_the_words_for_infinities_may_stand_in_texts_and_names(text: str) -> None:
    assert json.loads(jsontext.encode_json({text: [text]})) == {text: [text]}


def test_a_number_too_long_for_python_to_read_is_refused_beside_the_text_nan_too() -> None:
    with pytest.raises(MessageError):
        jsontext.encode_json([10**5000, "NaN"])


@pytest.mark.parametrize("make", [lambda: nested(220), lambda: 10**5000], ids=["too deep", "too long a number"])
def test_what_no_peer_can_decode_is_not_encoded(make: Callable[[], Any]) -> None:
    with pytest.raises(MessageError):
        callbacks.encode_message(task_message(make()))
    with pytest.raises(MessageError):
        callbacks.message_with_result(b'{"result":', make())


def test_all_that_can_be_encoded_can_be_decoded_in_a_batch() -> None:
    """The deepest result that is let out comes in again, inside the frame that carries it."""
    deepest = 0
    for depth in range(1, 260):
        try:
            data = callbacks.encode_message(task_message(nested(depth)))
        except MessageError:
            break
        deepest = depth
        rpc.decode_frame(callbacks.encode_batch(1, 1, [data]))
    assert deepest > 100


@pytest.mark.parametrize(
    "message",
    [
        task_message(event="news"),
        task_message(event=""),
        task_message(task_id=None),
        task_message(session_id=""),
        task_message(tool_name=None),
        MCPCMessage(type="server_event", event="", session_id="s"),
        MCPCMessage(type="server_event", event="news"),
    ],
    ids=repr,
)
def test_a_message_that_may_not_travel_is_refused_in_both_directions(message: MCPCMessage) -> None:
    with pytest.raises(MessageError):
        callbacks.encode_message(message)
    with pytest.raises(MessageError):
        callbacks.decode_message(message.model_dump())
    assert callbacks.decode_messages([message.model_dump()]) == [None]


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        [],
        "",
        "not JSON",
        b"\xff",
        "[]",
        "null",
        "\ud800",
        "[" * DEEPEST,
        wire("1", type="other"),
        wire("1", event=""),
        wire("1").replace('"t"', "7"),
        wire("1").replace('"protocol": "mcpc"', '"protocol": "other"'),
        wire("1").replace('"protocol": "mcpc"', '"protocol": null'),
        wire("1") + "x",
        wire('"\\ud800"'),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_not_a_message_is_refused(value: Any) -> None:
    with pytest.raises(MessageError):
        callbacks.decode_message(value)


def test_unknown_members_are_ignored_and_the_protocol_may_be_left_out() -> None:
    value = {"event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", "new": {"in": "2.0"}}
    assert callbacks.decode_message(value) == task_message()
    assert callbacks.decode_message(json.dumps(value)) == task_message()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "[[1e999]]"])
def test_a_received_number_that_is_not_finite_is_refused(number: str) -> None:
    with pytest.raises(MessageError):
        callbacks.decode_message(wire(number))


# --- the three forms --------------------------------------------------------------------------------------------


def in_batch(frame: bytes) -> list[MCPCMessage | None]:
    return list(callbacks.decode_messages(rpc.decode_frame(frame)["params"]["messages"]))


@quick
@given(st.lists(json_values, max_size=5), st.integers(1, 2**63), st.integers() | names)
def test_a_batch_comes_back_as_it_was_sent(results: list[Any], first: int, listen_id: int | str) -> None:
    messages = [task_message(result) for result in results]
    frame = callbacks.encode_batch(listen_id, first, map(callbacks.encode_message, messages))
    params = rpc.decode_frame(frame)["params"]
    assert params["first"] == first
    assert params["_meta"] == {"io.modelcontextprotocol/subscriptionId": listen_id}
    assert in_batch(frame) == messages


def test_an_announcement_comes_back_as_it_was_sent() -> None:
    frame = callbacks.encode_listening("l-1", {"epoch": "e", "oldest": 3, "head": 9})
    assert rpc.decode_frame(frame) == {
        "jsonrpc": "2.0",
        "method": "notifications/mcpc/listening",
        "params": {
            "_meta": {"io.modelcontextprotocol/subscriptionId": "l-1"},
            "epoch": "e",
            "oldest": 3,
            "head": 9,
        },
    }


@pytest.mark.parametrize("values", [None, {}, "text", 5, b"bytes"])
def test_messages_that_are_no_list_are_none(values: Any) -> None:
    assert callbacks.decode_messages(values) == []


@pytest.mark.parametrize("bad", [None, 1, "text", {}, [], {"event": "news"}, {"type": "server_event", "event": "x"}])
def test_one_bad_message_among_good_ones_costs_its_own_place_only(bad: Any) -> None:
    good = [json.loads(wire(str(n))) for n in range(3)]
    decoded = callbacks.decode_messages([good[0], bad, good[1], bad, good[2]])
    assert [m.result if m else None for m in decoded] == [0, None, 1, None, 2]


def test_a_message_of_another_protocol_is_bad_in_any_company() -> None:
    other = {**json.loads(wire()), "protocol": "other"}
    assert callbacks.decode_messages([other]) == [None]
    assert callbacks.decode_messages([other, None]) == [None, None]


@quick
@given(json_values, names)
def test_the_direct_form_comes_back_as_it_was_sent(result: Any, name: str) -> None:
    message = task_message(result, tool_name=name)
    decoded = rpc.decode_frame(originals.encode_direct(callbacks.encode_message(message)))
    assert decoded["id"] == "MCPC_CALLBACK"
    assert decoded["result"]["isError"] is False
    assert originals.decode_direct(decoded["result"]) == [message]


def test_the_direct_form_is_a_message_that_the_sdk_can_read() -> None:
    frame = originals.encode_direct(callbacks.encode_message(task_message({"progress": 1})))
    assert isinstance(jsonrpc_message_adapter.validate_json(frame), JSONRPCResponse)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        5,
        {},
        [],
        [None],
        [{"type": "text"}],
        [{"text": 5}],
        [{"text": '{"mcpc": "mcpc"}'}],
        [{"text": '"mcpc"'}],
        [{"text": '"mcpc" ' * 3}],
    ],
    ids=repr,
)
def test_content_without_a_message_has_none(content: Any) -> None:
    assert callbacks.messages_in_content(content) == []
    assert originals.decode_direct({"content": content}) == []


def test_messages_are_found_among_other_content_as_models_and_as_objects() -> None:
    text = callbacks.encode_message(task_message(1)).decode()
    image = {"type": "image", "data": "mcpc"}
    blocks = [TextContent(type="text", text="hello"), TextContent(type="text", text=text), image, {"text": text}]
    assert callbacks.messages_in_content(blocks) == [task_message(1), task_message(1)]


# --- frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":1,"method":"ping"}',
        '{"jsonrpc":"2.0","id":"one","method":"tools/call","params":{"name":"x"}}',
        '{"jsonrpc":"2.0","id":0,"method":"","params":{}}',
        '{"jsonrpc":"2.0","id":-5,"result":{}}',
        '{"jsonrpc":"2.0","method":"notifications/x"}',
        '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":""}}',
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":{"a":[1]}}}',
        '{"jsonrpc":"2.0","error":{"code":1,"message":"no id"}}',
        '{"jsonrpc":"2.0","id":1,"method":"x","extra":{"id":2}}',
        ' \n{"jsonrpc":"2.0","id":1,"method":"x"}\r\n',
    ],
)
def test_a_sound_message_is_let_through_unchanged(text: str) -> None:
    assert rpc.decode_frame(text.encode()) == json.loads(text)
    assert rpc.decode_frame(bytearray(text.encode())) == json.loads(text)


UNREADABLE = {
    "empty": b"",
    "blank": b" \n",
    "a word": b"hello",
    "a torn object": b'{"jsonrpc":"2.0","id":1,"meth',
    "trailing junk": b'{"jsonrpc":"2.0","id":1,"method":"x"} x',
    "two messages": b'{"jsonrpc":"2.0","id":1,"method":"x"}{"jsonrpc":"2.0","id":2,"method":"x"}',
    "a trailing comma": b'{"jsonrpc":"2.0","id":1,"method":"x",}',
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    "an encoded surrogate": b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
    "an escaped lone surrogate": rb'{"jsonrpc":"2.0","id":1,"method":"\ud800"}',
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"x"}',
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"x"}'.encode("utf-16"),
    "a NUL": b'{"jsonrpc":"2.0","id":1,"method":"x"}\x00',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":[Infinity]}}',
    "minus Infinity": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":-Infinity}}',
    "depth": b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * DEEPEST + b"1" + b"}" * (DEEPEST + 1),
    "depth, unfinished": b"[" * DEEPEST,
    "depth beside a doubled name": b'{"jsonrpc":"2.0","jsonrpc":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
    "a number of 5000 digits": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"9" * 5000 + b"}}",
    "an id of 5000 digits": b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"x"}',
}


WITH_A_KNOWN_ID = [
    "trailing junk",
    "two messages",
    "a trailing comma",
    "invalid UTF-8",
    "an encoded surrogate",
    "an escaped lone surrogate",
    "a NUL",
    "NaN",
    "Infinity",
    "minus Infinity",
    "depth",
    "a number of 5000 digits",
]
"""Those whose envelope says which message it would have been."""


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_json_is_a_parse_error_with_the_id_where_that_can_be_seen(name: str) -> None:
    error = refused(UNREADABLE[name])
    assert (error.code, error.request_id) == (PARSE, 1 if name in WITH_A_KNOWN_ID else None)
    assert len(str(error)) < 200, "the frame is not repeated in the message"


def test_a_byte_order_mark_before_a_message_is_passed_over() -> None:
    assert rpc.decode_frame(b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"x"}')["method"] == "x"


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ('{"jsonrpc":"2.0","id":1,"method":"x","params":null}', "params"),
        ('{"jsonrpc":"2.0","method":"notifications/x","params":null}', "params"),
        ('{"jsonrpc":"2.0","id":1,"result":{},"error":null}', "error"),
        ('{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":""}}', "result"),
    ],
)
def test_a_member_that_may_be_left_out_may_be_null(text: str, left_out: str) -> None:
    whole = json.loads(text)
    assert rpc.decode_frame(text.encode()) == {name: value for name, value in whole.items() if name != left_out}


@pytest.mark.parametrize("number", ["1e999", "-1e999", '[{"a":[1e400]}]', "9" * 400 + ".5", "9" * 400 + "e1"])
def test_a_number_out_of_range_is_a_parse_error_with_the_id(number: str) -> None:
    error = refused(b'{"jsonrpc":"2.0","id":"q","method":"x","params":{"a":%b}}' % number.encode())
    assert (error.code, error.request_id) == (PARSE, "q")
    error = refused(b'{"jsonrpc":"2.0","id":7,"result":{"a":%b}}' % number.encode())
    assert (error.code, error.request_id) == (PARSE, 7)


def test_a_whole_number_of_any_size_that_python_reads_is_kept() -> None:
    digits = "9" * 4000
    message = rpc.decode_frame(b'{"jsonrpc":"2.0","method":"x","params":{"a":%b}}' % digits.encode())
    assert message["params"]["a"] == int(digits)


INVALID_MESSAGES: list[tuple[str, int | str | None]] = [
    ("[]", None),
    ('[{"jsonrpc":"2.0","id":1,"method":"x"}]', None),
    ("1", None),
    ("null", None),
    ('"text"', None),
    ("{}", None),
    # the id
    ('{"jsonrpc":"2.0","id":1.5,"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":1.0,"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":1e3,"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":true,"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":null,"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":[],"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":{},"method":"x"}', None),
    ('{"jsonrpc":"2.0","id":null,"result":{}}', None),
    ('{"jsonrpc":"2.0","id":false,"result":{}}', None),
    ('{"jsonrpc":"2.0","result":{}}', None),
    ('{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":""}}', None),
    # the version
    ('{"id":1,"method":"x"}', 1),
    ('{"jsonrpc":"1.0","id":1,"method":"x"}', 1),
    ('{"jsonrpc":2.0,"id":"a","method":"x"}', "a"),
    ('{"jsonrpc":null,"id":1,"result":{}}', 1),
    # members
    ('{"jsonrpc":"2.0"}', None),
    ('{"jsonrpc":"2.0","id":1}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":5}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":null}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":"x","params":"text"}', 1),
    ('{"jsonrpc":"2.0","method":"x","params":0}', None),
    ('{"jsonrpc":"2.0","id":1,"result":5}', 1),
    ('{"jsonrpc":"2.0","id":1,"result":null}', 1),
    ('{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":null}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":"no"}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":{}}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":null}}', 1),
    # members that stand twice
    ('{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"x"}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}', 1),
    ('{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{"a":1}}', 1),
    ('{"jsonrpc":"2.0","id":1,"result":{},"result":{"a":1}}', 1),
    ('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""},"error":{"code":2,"message":""}}', 1),
]


@pytest.mark.parametrize(("text", "request_id"), INVALID_MESSAGES, ids=[text for text, _ in INVALID_MESSAGES])
def test_what_is_not_a_message_of_mcp_is_an_invalid_request_with_its_id(
    text: str, request_id: int | str | None
) -> None:
    error = refused(text.encode())
    assert (error.code, error.request_id) == (INVALID, request_id)
    assert type(error.request_id) is type(request_id)


def test_a_doubled_id_is_refused() -> None:
    assert refused(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}').code == INVALID


@pytest.mark.parametrize("name", ["jsonrpc", "id", "method", "params", "result", "error"])
def test_the_names_of_the_envelope_may_stand_again_deeper(name: str) -> None:
    deeper = '{"%s":1,"list":[{"%s":2},{"%s":3}],"text":"\\"%s\\": "}' % ((name,) * 4)
    message = rpc.decode_frame(b'{"jsonrpc":"2.0","id":1,"method":"x","params":%b}' % deeper.encode())
    assert message["params"] == json.loads(deeper)


def test_a_name_deeper_down_may_stand_twice() -> None:
    message = rpc.decode_frame(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"id":1,"id":2}}')
    assert message["params"] == {"id": 2}


@pytest.mark.parametrize("escaped", [r"\u0069d", r"i\u0064", r"\u0069\u0064"])
def test_a_doubled_name_is_seen_through_its_escapes(escaped: str) -> None:
    assert refused(b'{"jsonrpc":"2.0","id":1,"%b":2,"method":"x"}' % escaped.encode()).code == INVALID


def test_an_unknown_member_that_stands_twice_is_the_same_whatever_stands_deeper() -> None:
    def let_through(params: str) -> bool:
        try:
            rpc.decode_frame(b'{"jsonrpc":"2.0","id":1,"foo":1,"foo":2,"method":"x","params":%b}' % params.encode())
        except FrameError:
            return False
        return True

    assert let_through('{"id":3}') == let_through('{"ie":3}')


def test_the_code_of_an_error_is_no_boolean() -> None:
    assert refused(b'{"jsonrpc":"2.0","id":1,"error":{"code":true,"message":""}}').request_id == 1


MESSAGES_START = '{"jsonrpc":"2.0","method":"notifications/mcpc/messages"'


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"notifications/mcpc/messages","params":{"first":1,"messages":[]}}',
        MESSAGES_START + "}",
        MESSAGES_START + ',"params":5}',
        MESSAGES_START + ',"params":[]}',
    ],
)
def test_a_callback_is_checked_like_any_other_message(text: str) -> None:
    refused(text.encode())


# --- fuzz -------------------------------------------------------------------------------------------------------


def any_error(code: Any, text: Any) -> dict[str, Any]:
    return {"code": code, "message": text}


def with_version(members: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **members}


envelope_names = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "code", "extra"])
envelope_values: st.SearchStrategy[Any] = (
    st.sampled_from(["2.0", "1.0", "x", "notifications/mcpc/messages", "MCPC_CALLBACK", 1, 1.5, -1, True, None])
    | json_values
    | st.builds(any_error, scalars, scalars)
)
envelopes: st.SearchStrategy[dict[str, Any]] = st.dictionaries(envelope_names, envelope_values, max_size=6)


def usable_id(value: Any) -> int | str | None:
    found: Any = cast("dict[str, Any]", value).get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) or type(found) is int else None


def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """A message without the members that count as left out."""
    if value.get("params", 0) is None:
        value = {name: member for name, member in value.items() if name != "params"}
    if "result" in value and "error" in value and None in (value["result"], value["error"]):
        gone = "error" if value["error"] is None else "result"
        value = {name: member for name, member in value.items() if name != gone}
    return value


@quick
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_are_refused_with_a_frame_error_and_nothing_else(frame: bytes) -> None:
    error = refused(frame)
    assert error.code in (PARSE, INVALID)


@settings(quick, max_examples=200)
@given(envelopes.map(with_version) | envelopes | json_values)
def test_arbitrary_json_is_decoded_or_refused_with_a_frame_error(value: Any) -> None:
    try:
        message = rpc.decode_frame(to_json(value))
    except FrameError:
        error = refused(to_json(value))
        assert (error.code, error.request_id) == (INVALID, usable_id(value))
        answer = rpc.decode_frame(rpc.encode_error(error))
        assert (answer["id"], answer["error"]["code"]) == (error.request_id, INVALID)
    else:
        assert message == without_nulls(value)
        if message.get("method") != "notifications/mcpc/messages":
            # An error may leave its id out (MCP's schema); the SDK's model wants null there.
            whole = message if "method" in message or "result" in message else {"id": None, **message}
            assert isinstance(rpc.rpc_message(message), type(jsonrpc_message_adapter.validate_python(whole)))


ids = st.integers() | st.text(max_size=8)
params = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
errors = st.fixed_dictionaries({"code": st.integers(), "message": st.text(max_size=20)}, optional={"data": json_values})
messages = (
    st.fixed_dictionaries({"id": ids, "method": st.text(max_size=10)}, optional={"params": params})
    | st.fixed_dictionaries({"method": st.text(max_size=10)}, optional={"params": params})
    | st.fixed_dictionaries({"id": ids, "result": params})
    | st.fixed_dictionaries({"id": ids | st.none(), "error": errors})
)


@settings(quick, max_examples=150)
@given(messages)
def test_a_message_keeps_its_value_through_the_sdks_form(message: dict[str, Any]) -> None:
    frame = to_json({"jsonrpc": "2.0", **message})
    again = rpc.encode_rpc(rpc.rpc_message(rpc.decode_frame(frame)))
    assert json.loads(again) == json.loads(frame)
    assert jsonrpc_message_adapter.validate_json(again) == jsonrpc_message_adapter.validate_json(frame)


def test_each_kind_of_message_becomes_the_sdks_own_kind() -> None:
    def kind(text: str) -> type:
        return type(rpc.rpc_message(rpc.decode_frame(text.encode())))

    assert kind('{"jsonrpc":"2.0","id":1,"method":"x"}') is JSONRPCRequest
    assert kind('{"jsonrpc":"2.0","method":"x"}') is JSONRPCNotification
    assert kind('{"jsonrpc":"2.0","id":1,"result":{}}') is JSONRPCResponse
    assert kind('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}') is JSONRPCError


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_message_of_the_sdk_is_json_whatever_is_in_it(number: float) -> None:
    error = ErrorData(code=1, message="", data=[number])
    for message in (
        JSONRPCRequest(jsonrpc="2.0", id=1, method="x", params={"a": number}),
        JSONRPCNotification(jsonrpc="2.0", method="x", params={"a": number}),
        JSONRPCError(jsonrpc="2.0", id=1, error=error),
        JSONRPCResponse(jsonrpc="2.0", id=1, result={"a": number}),
    ):
        rpc.decode_frame(rpc.encode_rpc(message))


@pytest.mark.parametrize("request_id", [None, 0, 7, "", 'quote"'])
def test_the_answer_to_a_bad_frame_carries_its_id_or_null(request_id: int | str | None) -> None:
    answer = json.loads(rpc.encode_error(FrameError('say "why"', code=-32700, request_id=request_id)))
    assert answer == {"jsonrpc": "2.0", "id": request_id, "error": {"code": -32700, "message": 'say "why"'}}
    assert type(answer["id"]) is type(request_id)


# --- metadata of a tool call ------------------------------------------------------------------------------------

OURS = calls.call_meta(channel="c", session_id="s", task_id="t")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, CallMetadata()),
        ({"_meta": None, "arguments": None}, CallMetadata()),
        ({"_meta": {"progressToken": 1}, "arguments": {"a": 1}}, CallMetadata()),
        ({"_meta": OURS}, CallMetadata("s", "t", "c", "meta")),
        ({"_meta": {"mcpc/channel": "c"}}, CallMetadata("default", None, "c", "meta")),
        ({"_meta": {"mcpc/taskId": "t"}}, CallMetadata("default", "t", None, "meta")),
        (
            {"arguments": {"mcpc_params": {"session_id": "s", "task_id": "t"}}},
            CallMetadata("s", "t", None, "0.2.6"),
        ),
        ({"arguments": {"mcpc_params": {}}}, CallMetadata("default", None, None, "0.2.6")),
        (
            {"arguments": {"_metadata": {"mcpc_session_id": "s", "mcpc_task_id": "t"}}},
            CallMetadata("s", "t", None, "0.2.1"),
        ),
        ({"arguments": {"_metadata": {"other": 1}}}, CallMetadata()),
        ({"arguments": {"_metadata": 5, "mcpc_params": "x"}}, CallMetadata()),
        ({"_meta": OURS, "arguments": {"mcpc_params": {"task_id": "other"}}}, CallMetadata("s", "t", "c", "meta")),
        (
            {"arguments": {"mcpc_params": {"task_id": "new"}, "_metadata": {"mcpc_task_id": "old"}}},
            CallMetadata("default", "new", None, "0.2.6"),
        ),
    ],
    ids=repr,
)
def test_the_metadata_of_a_call_is_read_in_every_form(params: dict[str, Any], expected: CallMetadata) -> None:
    assert calls.read_call(params) == expected


@pytest.mark.parametrize("bad", [5, "", "x" * 1025, [], True])
@pytest.mark.parametrize("name", ["mcpc/channel", "mcpc/sessionId", "mcpc/taskId"])
def test_metadata_of_a_wrong_type_or_length_is_refused_without_being_shown(name: str, bad: Any) -> None:
    with pytest.raises(MessageError, match=name) as caught:
        calls.read_call({"_meta": {**OURS, name: bad}})
    assert "xxx" not in str(caught.value)


def test_metadata_at_its_greatest_length_is_let_through() -> None:
    assert calls.read_call({"_meta": {**OURS, "mcpc/taskId": "x" * 1024}}).task_id == "x" * 1024


def test_only_exact_names_of_the_older_forms_count() -> None:
    older = {"arguments": {"_metadata": {"mcpc_session_id": 5}}}
    with pytest.raises(MessageError):
        calls.read_call(older)
    with pytest.raises(MessageError):
        calls.read_call({"arguments": {"mcpc_params": {"task_id": 5}}})


@quick
@given(unknown=st.dictionaries(names | st.sampled_from(["_fields_set", "self", "model_extra", "code"]), json_values))
@pytest.mark.parametrize(
    "named",
    [
        {"id": 1, "method": "m", "params": {"a": None}},
        {"method": "m"},
        {"id": "a", "result": {}},
        {"id": None, "error": {"code": 1, "message": "no"}},
    ],
    ids=["request", "notification", "answer", "error"],
)
def test_members_that_mcp_does_not_name_pass_through_the_sdks_values(
    named: dict[str, Any], unknown: dict[str, Any]
) -> None:
    unnamed = {name: value for name, value in unknown.items() if name not in ENVELOPE_NAMES}  # any name may be drawn
    sent = {"jsonrpc": "2.0", **unnamed, **named}
    held = members.whole_message(sent)
    assert from_sdk(held) == sent
    assert json.loads(members.encode_whole(held)) == sent
    assert held.model_dump(by_alias=True, mode="json", exclude_unset=True) == sent


@pytest.mark.parametrize("encode", [rpc.encode_rpc, members.encode_whole])
def test_params_that_are_null_are_not_written(encode: Callable[[JSONRPCMessage], bytes]) -> None:
    request = JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/list", params=None)
    notification = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized", params=None)
    assert json.loads(encode(request)) == {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert json.loads(encode(notification)) == {"jsonrpc": "2.0", "method": "notifications/initialized"}
