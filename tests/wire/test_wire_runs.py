"""Both forms of a notification give the same messages, however a log is cut into batches."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.messages import MCPCMessage
from mcpc.wire.callbacks import decode_messages, encode_batch, encode_message, encode_runs, known_runs, messages_of
from mcpc.wire.rpc import decode_frame

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
results = st.recursive(
    scalars | st.just(',"protocol":"mcpc","result":') | st.just({"protocol": "mcpc", "result": {"a": "}"}}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["a", "b", ',"protocol":"mcpc","result":', 'quote"', "ü"])


def task(event: str, session: str, task_id: str, tool: str, result: Any) -> MCPCMessage:
    return MCPCMessage(event=event, session_id=session, task_id=task_id, tool_name=tool, result=result)


def event(name: str, session: str, result: Any) -> MCPCMessage:
    return MCPCMessage(type="server_event", event=name, session_id=session, result=result)


messages = st.lists(
    st.builds(task, st.sampled_from(["created", "update", "complete", "failed"]), NAMES, NAMES, NAMES, results)
    | st.builds(event, NAMES, NAMES, results),
    max_size=12,
)


def read(frame: bytes) -> tuple[int, list[Any]]:
    params = decode_frame(frame)["params"]
    assert params["_meta"] == {"io.modelcontextprotocol/subscriptionId": 7}
    values = messages_of(params)
    assert values is not None
    return params["first"], list(decode_messages(values))


@settings(max_examples=150, deadline=None, database=None)
@given(messages, st.lists(st.integers(1, 12), max_size=4))
def test_both_forms_give_equal_messages_for_any_split(log: list[MCPCMessage], cuts: list[int]) -> None:
    encoded = [encode_message(message) for message in log]
    places = sorted({0, len(log), *(cut for cut in cuts if cut < len(log))})
    for begin, end in pairwise(places):
        part = encoded[begin:end]
        first = begin + 1
        plain, runs = encode_batch(7, first, part), encode_runs(7, first, part)
        assert read(plain) == read(runs) == (first, log[begin:end])
        made = known_runs(decode_frame(runs)["params"])
        assert made is None or made == log[begin:end]
        if made is None:
            assert any(message.type != "task" for message in log[begin:end]), "only these are not whole"


def test_messages_of_one_head_carry_it_once() -> None:
    encoded = [encode_message(task("update", "s", "the-task", "n", step)) for step in range(50)]
    assert encode_runs(7, 1, encoded).count(b"the-task") == 1
    assert len(encode_runs(7, 1, encoded)) < len(encode_batch(7, 1, encoded)) / 5


def test_a_message_that_is_spelled_in_another_way_goes_in_the_plain_form() -> None:
    encoded = [encode_message(task("update", "s", "t", "n", 1)), b'{"result": 2, "protocol": "mcpc"}']
    assert encode_runs(7, 1, encoded) == encode_batch(7, 1, encoded)


NEITHER: list[dict[str, Any]] = [
    {},
    {"messages": None},
    {"messages": {}},
    {"runs": None},
    {"runs": {}},
    {"runs": [1]},
    {"runs": [{}]},
    {"runs": [{"head": {}}]},
    {"runs": [{"head": [], "results": []}]},
    {"runs": [{"head": {"type": "task"}, "results": {}}]},
]


@pytest.mark.parametrize("params", NEITHER, ids=repr)
def test_what_has_neither_form_has_no_messages(params: dict[str, Any]) -> None:
    assert messages_of(params) is None
    assert known_runs(params) is None


HEAD = {"type": "task", "event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", "protocol": "mcpc"}
ODD: list[dict[str, Any]] = [
    {**HEAD, "event": "news"},
    {**HEAD, "protocol": "other"},
    {**HEAD, "task_id": None},
    {**HEAD, "task_id": ["t"]},
    {**HEAD, "more": 1},
    {**HEAD, "result": 1},
    {"type": "server_event", "event": "news", "session_id": "s", "protocol": "mcpc"},
]


@pytest.mark.parametrize("head", ODD, ids=repr)
def test_a_head_that_is_not_whole_or_not_good_is_left_to_who_looks_at_each_message(head: dict[str, Any]) -> None:
    good = {"head": HEAD, "results": [1, 2]}
    params = {"runs": [good, {"head": head, "results": [3]}]}
    assert known_runs({"runs": [good]}) == [task("update", "s", "t", "n", n) for n in (1, 2)]
    assert known_runs(params) is None
    values = messages_of(params)
    assert values is not None
    assert len(values) == 3


def test_messages_of_one_head_share_nothing_that_can_be_changed() -> None:
    made = known_runs({"runs": [{"head": HEAD, "results": [[], []]}]})
    assert made is not None
    made[0].event, made[0].result = "complete", "other"
    made[1].result.append(1)
    assert (made[1].event, made[1].result) == ("update", [1])
    assert made[0].model_dump()["result"] == "other"
