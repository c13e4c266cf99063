"""The board: which tasks are open and which questions wait, whatever was missed in between."""

from typing import Any

import pytest

from mcpc.agents.board import Board
from mcpc.messages import MCPCMessage


def task_message(event: str, task: str, result: Any = None) -> MCPCMessage:
    return MCPCMessage(event=event, session_id="s", task_id=task, tool_name="work", result=result)


def asks(task: str, prompt: str) -> MCPCMessage:
    return task_message("update", task, {"prompt": {"id": prompt, "message": "?"}})


def told(event: str, result: Any) -> MCPCMessage:
    return MCPCMessage(type="server_event", event=event, session_id="*", result=result)


def board(*tasks: str) -> Board:
    made = Board()
    for task in tasks:
        made.follow(task_message("created", task), asks_model=False)
    return made


def test_a_task_waits_while_a_question_of_it_is_open() -> None:
    found = board("a")
    for prompt in ("one", "two"):
        found.follow(asks("a", prompt), asks_model=True)
    found.follow(task_message("update", "a", 1), asks_model=False)
    assert found.open["a"].status == "waiting"
    found.answered(found.questions["one"])
    assert found.open["a"].status == "waiting"
    found.answered(found.questions["two"])
    assert found.open["a"].status == "running"


def test_an_end_closes_the_task_and_its_questions_and_no_others() -> None:
    found = board("a", "b")
    found.follow(asks("a", "one"), asks_model=True)
    found.follow(asks("b", "two"), asks_model=True)
    found.follow(task_message("complete", "a"), asks_model=False)
    assert list(found.open) == ["b"]
    assert list(found.questions) == ["two"]


@pytest.mark.parametrize(
    ("states", "lost"),
    [
        ([{"taskId": "a", "status": "running"}], ["b"]),
        ([{"taskId": "a", "status": "complete"}, {"taskId": "b", "status": "waiting"}], ["a"]),
        ([], ["a", "b"]),
        (None, []),
        ("nonsense", []),
        ([1, None], ["a", "b"]),
    ],
)
def test_after_a_gap_the_tasks_that_the_server_no_longer_runs_are_told_as_lost(states: Any, lost: list[str]) -> None:
    found = board("a", "b")
    ends = list(found.missed(told("gap", {"tasks": states})))
    assert [end.task_id for end in ends] == lost
    assert {end.event for end in ends} <= {"failed"}
    assert list(found.open) == [task for task in ("a", "b") if task not in lost]


def test_when_the_connection_is_lost_for_good_every_task_is() -> None:
    found = board("a", "b")
    assert [end.task_id for end in found.missed(told("lost", None))] == ["a", "b"]
    assert not found.open


def test_another_event_loses_nothing() -> None:
    found = board("a")
    assert list(found.missed(told("file_arrived", {"tasks": []}))) == []
