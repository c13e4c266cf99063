"""Messages made without validation are the messages that validation would have made."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.heads import MAX_HEADS, KnownHeads
from mcpc.messages import MCPCMessage


def value(result: Any = None, **changed: Any) -> dict[str, Any]:
    """A decoded message."""
    head = {"type": "task", "event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", "protocol": "mcpc"}
    return {**head, "result": result, **changed}


def knowing(*values: dict[str, Any]) -> KnownHeads:
    heads = KnownHeads()
    for each in values:
        heads.learn(each)
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
def test_what_is_no_whole_message_is_not_learnt(other: Any) -> None:
    assert knowing(other).messages([other]) is None


def test_heads_are_forgotten_beyond_the_limit_and_learnt_again() -> None:
    heads = knowing(*(value(task_id=str(number)) for number in range(MAX_HEADS)))
    assert heads.messages([value(task_id="0")]) is not None
    heads.learn(value(task_id="one more"))
    assert heads.messages([value(task_id="one more")]) is not None
    assert heads.messages([value(task_id="0")]) is None
    heads.learn(value(task_id="0"))
    assert heads.messages([value(task_id="0")]) is not None
