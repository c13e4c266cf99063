"""The questions of a task: open until they are answered, refused or closed, each answered once, and bounded."""

from typing import Any

import pytest

import mcpc
from mcpc.clock import SYSTEM_CLOCK
from mcpc.server.questions import Questions
from mcpc.tasks import Prompt, Status, TaskRegistry, TaskState

pytestmark = pytest.mark.anyio


class Asking:
    """A task with its questions, and how often it changed."""

    def __init__(self, max_open: int = 10) -> None:
        registry = TaskRegistry(SYSTEM_CLOCK, max_running=1, time_to_live=1, max_ended=1)
        self.state: TaskState = registry.start(owner="o", tool_name="n", session_id="s", task_id=None, principal=None)
        self.changes = 0
        self.questions = Questions(self.state, registry, max_open, self._changed)

    def _changed(self) -> None:
        self.changes += 1


async def test_a_task_waits_while_a_question_is_open_and_runs_on_when_it_is_answered() -> None:
    task = Asking()
    asked = task.questions.ask(Prompt("p", "Which?", ["a", "b"], None))
    assert (task.state.status, list(task.state.prompts)) == (Status.WAITING, ["p"])
    task.questions.answer("p", "a")
    assert asked.answered.is_set()
    assert asked.answer == "a"
    assert (task.state.status, task.state.prompts, task.changes) == (Status.RUNNING, {}, 2)


async def test_with_two_open_one_answer_leaves_it_waiting() -> None:
    task = Asking()
    task.questions.ask(Prompt("p", "One?"))
    task.questions.ask(Prompt("q", "Two?"))
    task.questions.answer("p", 1)
    assert (task.state.status, list(task.state.prompts)) == (Status.WAITING, ["q"])
    task.questions.refuse("q", "decline")
    assert task.state.status is Status.RUNNING


@pytest.mark.parametrize(
    ("choices", "schema", "wrong", "right"),
    [
        (["a", "b"], None, "c", "b"),
        (None, {"type": "integer"}, "1", 1),
        ([0, 1], None, True, 1),  # equal in Python, and not in JSON
        ([False], None, 0, False),
        (None, {"enum": [0, 1]}, True, 1),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(
    choices: Any, schema: Any, wrong: Any, right: Any
) -> None:
    task = Asking()
    asked = task.questions.ask(Prompt("p", "Which?", choices, schema))
    with pytest.raises(mcpc.PromptError, match="the answer"):
        task.questions.answer("p", wrong)
    assert (task.state.status, asked.answered.is_set()) == (Status.WAITING, False)
    task.questions.answer("p", right)
    assert asked.answer == right


async def test_a_second_answer_and_one_to_a_question_that_is_not_open_are_refused() -> None:
    task = Asking()
    asked = task.questions.ask(Prompt("p", "Which?"))
    task.questions.answer("p", 1)
    with pytest.raises(mcpc.PromptError, match="has been answered"):
        task.questions.answer("p", 2)
    task.questions.close(asked)
    with pytest.raises(mcpc.PromptError, match="no such open prompt"):
        task.questions.answer("p", 3)
    task.questions.refuse("p", "decline")  # too late, and no harm
    assert (asked.answer, asked.refused) == (1, None)


async def test_as_many_are_open_as_may_be_and_an_answered_one_counts_until_its_worker_runs_on() -> None:
    task = Asking(max_open=1)
    asked = task.questions.ask(Prompt("p", "Which?"))
    task.questions.answer("p", 1)
    with pytest.raises(mcpc.PromptError, match="1 prompts are open"):
        task.questions.ask(Prompt("q", "And?"))
    task.questions.close(asked)
    task.questions.ask(Prompt("q", "And?"))


async def test_a_question_that_is_open_is_not_asked_again_and_what_is_no_schema_is_not_asked() -> None:
    task = Asking()
    task.questions.ask(Prompt("p", "Which?"))
    with pytest.raises(mcpc.PromptError, match="is being asked already"):
        task.questions.ask(Prompt("p", "Which?"))
    with pytest.raises(mcpc.PromptError, match="not a JSON schema"):
        task.questions.ask(Prompt("q", "Which?", None, {"type": "nothing"}))
    assert list(task.state.prompts) == ["p"]


async def test_when_nobody_waits_any_more_the_question_is_closed() -> None:
    task = Asking()
    task.questions.close(task.questions.ask(Prompt("p", "Which?")))
    assert (task.state.status, task.state.prompts, task.changes) == (Status.RUNNING, {}, 2)


async def test_when_the_task_shall_stop_whoever_waits_goes_on_without_an_answer() -> None:
    task = Asking()
    asked = [task.questions.ask(Prompt(name, "Which?")) for name in "pq"]
    task.questions.end()
    assert all(each.answered.is_set() and each.answer is None for each in asked)
    assert task.state.prompts == {}
