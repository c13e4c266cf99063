"""The error that a client raises is the one that its server refused with, and the tasks extension's words are read."""

from typing import Any

import pytest

from mcpc.errors import InputRefused, MCPCError, PromptError, ServerStopping, TaskEnded, TaskStopped, UnknownTask
from mcpc.wire.reasons import error_of, reason_of, reason_to
from mcpc.wire.sep2663 import REQUIRED_CAPABILITIES, acknowledged_ids, requires_tasks, wanted_ids

ODD: list[Any] = [None, 1, "text", [], {}, {"reason": None}, {"reason": []}, {"requiredCapabilities": []}]


@pytest.mark.parametrize("kind", [TaskEnded, InputRefused, PromptError, UnknownTask, ServerStopping])
def test_a_reason_comes_back_as_the_error_it_stands_for(kind: type[MCPCError]) -> None:
    found = error_of("why", reason_to(kind("why")))
    assert type(found) is kind
    assert str(found) == "why"


@pytest.mark.parametrize("closed", [True, False])
def test_a_refused_answer_says_whether_another_would_be_taken(closed: bool) -> None:
    found = error_of("why", reason_to(PromptError("why", closed=closed)))
    assert isinstance(found, PromptError)
    assert found.closed is closed


def test_an_error_without_a_name_gives_no_reason() -> None:
    assert reason_to(TaskStopped("why")) is None


@pytest.mark.parametrize("data", ODD, ids=repr)
def test_the_data_of_a_strangers_error_gives_no_reason(data: Any) -> None:
    assert reason_of(data) is None
    assert error_of("why", data) is None
    assert not requires_tasks(data)


def test_a_reason_that_nobody_knows_names_no_error() -> None:
    assert reason_of({"reason": "weather"}) == "weather"
    assert error_of("why", {"reason": "weather"}) is None


def test_the_refusal_of_who_did_not_declare_the_extension_is_read_back() -> None:
    assert requires_tasks(REQUIRED_CAPABILITIES)


@pytest.mark.parametrize("params", [{}, {"notifications": None}, {"notifications": []}, {"notifications": {}}])
def test_who_asks_for_no_tasks_wants_none_and_is_promised_none(params: dict[str, Any]) -> None:
    assert wanted_ids(params) is None
    assert acknowledged_ids(params) == []


def test_the_tasks_that_are_asked_for_and_promised_are_read() -> None:
    params = {"notifications": {"taskIds": ["a", "b"]}}
    assert wanted_ids(params) == ["a", "b"]
    assert acknowledged_ids(params) == ["a", "b"]
    assert acknowledged_ids({"notifications": {"taskIds": "a"}}) == []
