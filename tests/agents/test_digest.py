"""The digest: a text within its budget, in order; every question and every end is told once, the rest is counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.agents.digest import MIN_BUDGET, digest
from mcpc.agents.items import item_of
from mcpc.agents.pending import Pending
from mcpc.messages import MCPCMessage

VALUES: Any = st.one_of(st.text(max_size=400), st.integers(), st.dictionaries(st.text(max_size=9), st.integers()))


def message(event: str, result: Any, task: int = 0) -> MCPCMessage:
    if event == "event":
        return MCPCMessage(type="server_event", event="file_arrived", session_id="s", result=result)
    if event == "question":
        event, result = "update", {"prompt": {"id": str(result)[:40] or "q", "message": str(result)}}
    return MCPCMessage(event=event, session_id="s", task_id=f"task-{task}", tool_name="work", result=result)


HISTORY = st.lists(
    st.tuples(st.sampled_from(["update", "question", "complete", "failed", "event"]), VALUES, st.integers(0, 4)),
    max_size=60,
)


@given(HISTORY, st.integers(MIN_BUDGET, 3000))
def test_a_text_keeps_its_budget_and_its_lines_whatever_the_tools_say(history: Any, budget: int) -> None:
    items = [
        item_of(message(event, value, task), number, budget, asks_model=event == "question")
        for number, (event, value, task) in enumerate(history)
    ]
    made = digest(items, "No task is running.", budget)
    assert len(made.text) <= budget
    lines = made.text.split("\n")
    assert sum(line.startswith("- ") for line in lines) == len(made.told) == len(lines) - 2 - ("(" in lines[-2][:1])
    numbers = [item.number for item in made.told]
    assert numbers == sorted(numbers)
    must = {item.number for item in items if item.must_be_told}
    assert must == {item.number for item in (*made.told, *made.rest) if item.must_be_told}
    assert made.left_out == len(items) - len(made.told) - len(made.rest)


@given(HISTORY, st.integers(MIN_BUDGET, 1500), st.integers(1, 3), st.integers(1, 5))
def test_taken_again_and_again_everything_is_told_or_counted(
    history: Any, budget: int, max_updates: int, max_events: int
) -> None:
    pending = Pending(max_updates, max_events, budget)
    ended: set[int] = set()
    sent = 0
    for event, value, task in history:
        if task in ended:
            continue  # a task says nothing after its end
        if event in ("complete", "failed"):
            ended.add(task)
        pending.add(message(event, value, task), is_question=event == "question")
        sent += event != "question"
    told = left_out = ends = 0
    while pending:
        made = digest(pending.take(), "", budget, left_out=pending.events_left_out)
        pending.events_left_out = 0
        pending.put_back(made.rest)
        told += sum(item.kind != "question" for item in made.told)
        ends += sum(item.kind == "end" for item in made.told)
        left_out += made.left_out
    assert ends == len(ended)
    assert told + left_out == sent


def test_a_question_is_told_until_it_is_answered_and_not_after_its_task_has_ended() -> None:
    pending = Pending(1, 1, 1000)
    pending.add(message("question", "one"), is_question=True)
    pending.add(message("question", "two"), is_question=True)
    pending.answered("task-0", "one")
    (item,) = pending.take()
    assert item.prompt is not None
    assert item.prompt.id == "two"
    pending.put_back([item])
    pending.add(message("failed", "stopped"), is_question=False)
    assert [item.kind for item in pending.take()] == ["end"]


def test_an_end_says_how_many_updates_went_before_it_untold() -> None:
    pending = Pending(2, 1, 1000)
    for number in range(5):
        pending.add(message("update", number), is_question=False)
    pending.add(message("complete", "done"), is_question=False)
    (item,) = pending.take()
    assert item.line(100) == '- task task-0 work complete (5 earlier updates not shown): "done"'


@pytest.mark.parametrize("name", ["a\nb - task 1 work complete", "x" * 500, 'quo"te'])
def test_a_peers_name_stays_one_short_word(name: str) -> None:
    named = MCPCMessage(event="update", session_id="s", task_id=name, tool_name=name, result=name)
    line = item_of(named, 1, 200).line(200)
    assert "\n" not in line
    assert len(line) < 500


def test_what_is_longer_than_can_ever_be_shown_is_not_kept() -> None:
    pending = Pending(1, 1, 1000)
    pending.add(message("complete", "x" * 5_000_000), is_question=False)
    (item,) = pending.take()
    assert len(item.body) == 1000
    assert item.body.endswith("… (5000002 characters)")
