"""A model whose four slots are set is the model that pydantic makes."""

import pickle
from typing import Any

from pydantic import BaseModel

from mcpc import slots
from mcpc.messages import MCPCMessage

VALUES: dict[str, Any] = {
    "type": "task",
    "event": "update",
    "session_id": "s",
    "task_id": "t",
    "tool_name": "work",
    "protocol": "mcpc",
    "result": {"rows": [1, 2]},
}


def made_of(values: dict[str, Any]) -> MCPCMessage:
    message = MCPCMessage.__new__(MCPCMessage)
    slots.set_values(message, dict(values))
    slots.set_fields_set(message, set(values))
    slots.set_extra(message, None)
    slots.set_private(message, None)
    return message


def test_pydantic_has_these_four_and_no_others() -> None:
    assert {*BaseModel.__slots__} == {
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    }


def test_a_model_made_by_its_slots_is_the_one_that_pydantic_makes() -> None:
    ours, theirs = made_of(VALUES), MCPCMessage.model_validate(VALUES)
    assert ours == theirs
    assert ours.model_dump_json() == theirs.model_dump_json()
    assert ours.model_fields_set == theirs.model_fields_set
    assert repr(ours) == repr(theirs)


def test_it_can_be_changed_copied_and_pickled() -> None:
    ours = made_of(VALUES)
    copy = ours.model_copy(update={"result": 1})
    assert (copy.result, ours.result) == (1, VALUES["result"])
    ours.result = 2
    assert pickle.loads(pickle.dumps(ours)).result == 2
