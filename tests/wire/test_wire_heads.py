"""Messages made without validation are the messages that validation would have made."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.messages import MCPCMessage
from mcpc.wire.heads import MAX_HEADS, KnownHeads


def value(result: Any = None, **changed: Any) -> dict[str, Any]:
    """A decoded message."""
    head = {"type": "task", "event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", "protocol": "mcpc"}
    return {**head, "result": result, **changed}


def knowing(*values: dict[str, Any]) -> KnownHeads:
    """Heads that have seen these values and will find no other one good."""
    allowed = list(values)
    heads = KnownHeads(lambda value: value in allowed)
    for each in values:
        heads.messages([each])
    return heads


def made(result: Any) -> MCPCMessage:
    messages = knowing(value()).messages([value(result)])
    assert messages is not None
    return messages[0]


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda deeper: st.lists(deeper), max_leaves=4)
)
def test_a_message_made_of_a_known_head_equals_the_validated_one(result: Any) -> None:
    validated = MCPCMessage.model_validate(value(result))
    message = made(result)
    assert message == validated
    assert message.model_dump() == validated.model_dump()
    assert message.model_dump_json() == validated.model_dump_json(), "in the same order too"
    assert message.model_fields_set == validated.model_fields_set


def test_such_a_message_can_be_copied_pickled_and_shown() -> None:
    message = made({"n": 1})
    for other in (
        copy.copy(message),
        copy.deepcopy(message),
        message.model_copy(),
        pickle.loads(pickle.dumps(message)),
    ):
        assert other == message
    assert "result={'n': 1}" in repr(message)


def test_changing_one_message_changes_no_other() -> None:
    first, second = knowing(value()).messages([value(1), value(2)]) or []
    first.result, first.event = "changed", "complete"
    assert (second.result, second.event) == (2, "update")
    assert second.model_fields_set == first.model_fields_set == set(value())


@pytest.mark.parametrize(
    "other",
    [
        value(event="complete"),
        value(session_id="another"),
        value(protocol="other"),
        value(extra=1),
        {name: member for name, member in value().items() if name != "tool_name"},
        {**{name: member for name, member in value().items() if name != "result"}, "other": 1},
        value(task_id=["t"]),
        value(task_id=None),
        value(type=1),
        [1],
        "text",
        7,
        None,
    ],
)
def test_what_has_another_head_is_left_to_validation(other: Any) -> None:
    assert knowing(value()).messages([value(1), other]) is None


@pytest.mark.parametrize("other", [None, [], "text", value(extra=1), {"event": "update"}])
def test_what_is_no_whole_message_is_not_asked_about(other: Any) -> None:
    assert KnownHeads(lambda value: True).messages([other]) is None


def test_a_head_is_asked_about_once_and_a_bad_one_each_time() -> None:
    asked: list[Any] = []

    def is_good(found: dict[str, Any]) -> bool:
        asked.append((found["task_id"], found["result"]))
        return found["task_id"] != "bad"

    heads = KnownHeads(is_good)
    assert len(heads.messages([value(n, task_id=t) for n in range(3) for t in "ab"]) or []) == 6
    assert heads.messages([value(3, task_id="a"), value(4, task_id="bad"), value(5, task_id="c")]) is None
    assert heads.messages([value(6, task_id="bad")]) is None
    assert asked == [("a", 0), ("b", 0), ("bad", 4), ("bad", 6)]


def test_heads_are_forgotten_beyond_the_limit_and_learnt_again() -> None:
    asked: list[str] = []

    def is_good(found: dict[str, Any]) -> bool:
        asked.append(found["task_id"])
        return True

    heads = KnownHeads(is_good)
    for number in range(MAX_HEADS + 1):
        assert heads.messages([value(task_id=str(number))]) is not None
    assert len(asked) == MAX_HEADS + 1
    for known in (str(MAX_HEADS), "0"):
        assert heads.messages([value(task_id=known)]) is not None
    assert asked[-2:] == [str(MAX_HEADS), "0"]
