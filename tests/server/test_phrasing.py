"""What a task says, encoded: bounded in bytes, and what cannot be sent becomes a failure that says so."""

import json
from typing import Any

import pytest

import mcpc
from mcpc.server.phrasing import Phrasing
from mcpc.tasks import TaskState

STATE = TaskState("t", "work", "s", "owner", 0.0, 0.0)
HEAD = {"type": "task", "session_id": "s", "task_id": "t", "tool_name": "work", "protocol": "mcpc"}


def phrasing(max_message_size: int = 10_000) -> Phrasing:
    return Phrasing(STATE, max_message_size)


@pytest.mark.parametrize("result", [None, 1, "text", [1], {"a": {"b": None}}])
def test_a_message_is_the_head_of_its_task_and_the_result(result: Any) -> None:
    says = phrasing()
    for event in ("update", "complete", "update"):
        assert json.loads(says.encode(event, result)) == {**HEAD, "event": event, "result": result}


def test_a_message_may_be_as_large_as_the_limit_and_no_larger() -> None:
    size = len(phrasing().encode("update", "x"))
    assert phrasing(size).encode("update", "x")
    with pytest.raises(mcpc.MessageError, match=f"over the limit of {size}"):
        phrasing(size).encode("update", "xx")


def test_an_end_that_can_be_sent_is_sent() -> None:
    ending = phrasing().ending("complete", {"rows": 1})
    assert (ending.event, ending.result, ending.error) == ("complete", {"rows": 1}, None)
    assert json.loads(ending.data)["result"] == {"rows": 1}


def test_an_end_that_is_too_large_is_a_failure_that_says_so() -> None:
    ending = phrasing(400).ending("complete", "x" * 1000)
    assert ending.event == "failed"
    assert ending.result["error"] == "MessageError"
    assert "over the limit of 400" in ending.result["message"]


def test_numbers_that_json_lacks_do_not_throw_the_rest_away() -> None:
    ending = phrasing().ending("complete", {"rows": 3, "mean": float("nan")})
    assert ending.event == "failed"
    assert ending.result["result"] == {"rows": 3, "mean": "nan"}
    assert "result.mean" in ending.result["message"]
    assert json.loads(ending.data)["result"] == ending.result
