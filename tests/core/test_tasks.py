"""Tasks: which moves are legal, and whose task is whose."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic_core import to_json

from mcpc.clock import Clock
from mcpc.errors import DuplicateTask, TaskEnded, TooManyTasks, UnknownTask
from mcpc.tasks import FIELDS, FINAL, TRANSITIONS, Move, Prompt, Status, TaskRegistry, TaskState

PATHS: dict[Status, list[Move]] = {
    Status.RUNNING: [],
    Status.WAITING: [Move.ASK],
    Status.STOPPING: [Move.STOP],
    Status.COMPLETE: [Move.COMPLETE],
    Status.FAILED: [Move.FAIL],
}
"""How to get to each status."""

MOVES = st.lists(st.sampled_from(Move), max_size=15)


class Time:
    """The time, as a test wants it: on the wall and steadily, both going on together unless one is set alone."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.shift = 0.0
        """By how much the wall clock is wrong."""
        self.clock = Clock(lambda: self.now + self.shift, lambda: self.now)


def registry(time: Time | None = None, **limits: int) -> TaskRegistry:
    return TaskRegistry((time or Time()).clock, **limits)


def start(tasks: TaskRegistry, task_id: str | None = None, owner: str = "me") -> TaskState:
    return tasks.start(owner=owner, tool_name="tool", session_id="session", task_id=task_id)


# --- the table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "move"), [*product(Status, Move)])
def test_a_move_leads_where_the_table_says_or_is_refused(status: Status, move: Move) -> None:
    tasks = registry()
    record = start(tasks)
    for step in PATHS[status]:
        tasks.move(record, step)
    assert record.status is status
    if (legal := TRANSITIONS[status].get(move)) is not None:
        assert tasks.move(record, move) is legal
        assert record.status is legal
        return
    with pytest.raises(TaskEnded, match=f"{status}.*{move}"):
        tasks.move(record, move)
    assert record.status is status, "a refused move changes nothing"


def test_the_table_speaks_of_every_status_and_lets_no_move_out_of_a_final_one() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {Status.COMPLETE, Status.FAILED} == FINAL
    for status in FINAL:
        assert TRANSITIONS[status] == {Move.STOP: status}
    for status in set(Status) - FINAL:
        assert {Move.STOP, Move.COMPLETE, Move.FAIL} <= set(TRANSITIONS[status])


def test_a_stopping_task_may_not_ask_but_may_still_end_either_way() -> None:
    tasks = registry()
    record = start(tasks)
    tasks.move(record, Move.STOP)
    with pytest.raises(TaskEnded):
        tasks.move(record, Move.ASK)
    assert tasks.move(record, Move.UPDATE) is Status.STOPPING
    assert tasks.move(record, Move.COMPLETE) is Status.COMPLETE


@settings(max_examples=100, deadline=None, database=None)
@given(MOVES)
def test_a_task_ends_once_whatever_the_order_of_moves(moves: list[Move]) -> None:
    tasks = registry()
    record = start(tasks)
    endings: list[Move] = []
    for move in moves:
        try:
            tasks.move(record, move)
        except TaskEnded:
            continue
        if move in (Move.COMPLETE, Move.FAIL):
            endings.append(move)
    assert len(endings) == record.ended
    if endings:
        assert record.status == {Move.COMPLETE: Status.COMPLETE, Move.FAIL: Status.FAILED}[endings[0]]


def test_stopping_a_task_that_has_ended_changes_nothing() -> None:
    time = Time()
    tasks = registry(time)
    record = start(tasks)
    tasks.move(record, Move.COMPLETE)
    time.now += 5
    assert tasks.move(record, Move.STOP) is Status.COMPLETE
    assert (record.updated_at, record.kept_for) == (1000.0, 300.0)


def test_each_move_is_timed() -> None:
    time = Time()
    tasks = registry(time, time_to_live=60)
    record = start(tasks)
    assert (record.created_at, record.updated_at, record.kept_for) == (1000.0, 1000.0, None)
    time.now = 1010.0
    tasks.move(record, Move.UPDATE)
    assert (record.updated_at, record.kept_for) == (1010.0, None)
    time.now = 1020.0
    tasks.move(record, Move.FAIL)
    assert (record.created_at, record.updated_at, record.kept_for) == (1000.0, 1020.0, 60)


# --- a task as data ---------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
PROMPTS = st.builds(
    Prompt, TEXTS, TEXTS, st.none() | st.lists(PLAIN, max_size=3), st.none() | st.dictionaries(TEXTS, PLAIN, max_size=2)
)
MESSAGES = st.none() | PLAIN.map(lambda value: json.dumps({"result": value}).encode())
STATES = st.builds(
    TaskState,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    created_at=st.floats(0, 2e9),
    updated_at=st.floats(0, 2e9),
    principal=st.none() | TEXTS | st.tuples(TEXTS, TEXTS),
    arguments=st.none() | st.dictionaries(TEXTS, PLAIN, max_size=3),
    status=st.sampled_from(Status),
    prompts=st.lists(PROMPTS, max_size=3).map(lambda prompts: {p.prompt_id: p for p in prompts}),
    last_update=MESSAGES,
    ending=MESSAGES,
    error=st.none() | st.dictionaries(TEXTS, PLAIN, max_size=3),
    answer=st.none() | st.dictionaries(st.text(), st.booleans()).map(to_json),
    heard=st.none() | st.dictionaries(TEXTS, st.integers(0, 9), min_size=1, max_size=3),
    kept_for=st.none() | st.floats(0, 1e6),
)


@settings(max_examples=100, deadline=None, database=None)
@given(STATES)
def test_a_state_passes_through_json_and_comes_back_the_same(state: TaskState) -> None:
    copy = TaskState.from_plain(json.loads(json.dumps(state.to_plain())))
    for name in FIELDS:
        assert getattr(copy, name) == getattr(state, name), name
    assert type(copy.status) is Status
    assert (copy.last_message, copy.result, copy.ended) == (state.last_message, state.result, state.ended)


def test_a_state_that_a_newer_version_made_is_refused() -> None:
    plain = start(registry()).to_plain()
    with pytest.raises(ValueError, match="version 2"):
        TaskState.from_plain({**plain, "version": 2})


# --- the registry -----------------------------------------------------------------------------------------------


def test_a_task_without_an_id_gets_one_of_its_own() -> None:
    tasks = registry()
    assert len({start(tasks).task_id for _ in range(5)}) == 5


def test_the_limit_on_running_tasks_holds_at_it_and_one_past_it() -> None:
    tasks = registry(max_running=2)
    first, _ = start(tasks), start(tasks)
    with pytest.raises(TooManyTasks, match="2 tasks are running"):
        start(tasks)
    assert (tasks.running, len(tasks)) == (2, 2)
    tasks.move(first, Move.COMPLETE)
    start(tasks)
    assert (tasks.running, len(tasks)) == (2, 3)


def test_an_id_in_use_is_refused_as_long_as_it_is_remembered() -> None:
    time = Time()
    tasks = registry(time, time_to_live=10)
    record = start(tasks, "x")
    with pytest.raises(DuplicateTask):
        start(tasks, "x")
    with pytest.raises(DuplicateTask):
        start(tasks, "x", owner="somebody else")
    tasks.move(record, Move.COMPLETE)
    with pytest.raises(DuplicateTask):
        start(tasks, "x")
    time.now += 10
    assert start(tasks, "x") is not record


def test_the_error_of_a_duplicate_does_not_show_whose_it_is() -> None:
    tasks = registry()
    start(tasks, "secret-id", owner="secret-owner")
    with pytest.raises(DuplicateTask) as caught:
        start(tasks, "secret-id")
    assert "secret" not in str(caught.value)


def test_a_foreign_task_looks_exactly_like_an_unknown_one() -> None:
    tasks = registry()
    mine, theirs = start(tasks, "mine"), start(tasks, "theirs", owner="them")
    assert tasks.get("me", "mine") is mine
    assert tasks.get("them", "theirs") is theirs
    with pytest.raises(UnknownTask) as foreign:
        tasks.get("me", "theirs")
    with pytest.raises(UnknownTask) as unknown:
        tasks.get("me", "nothing")
    assert type(foreign.value) is type(unknown.value)
    assert foreign.value.args == unknown.value.args
    assert str(foreign.value) == str(unknown.value)
    assert foreign.value.__cause__ is unknown.value.__cause__ is None


def test_each_owner_sees_the_tasks_it_started_in_that_order() -> None:
    tasks = registry()
    mine = [start(tasks, "1"), start(tasks, "2")]
    theirs = start(tasks, "3", owner="them")
    mine.append(start(tasks, "4"))
    assert tasks.of("me") == mine
    assert tasks.of("them") == [theirs]
    assert tasks.of("nobody") == []
    assert list(tasks) == [mine[0], mine[1], theirs, mine[2]]
    assert tasks.find("3") is theirs
    assert tasks.find("5") is None


def test_an_ended_task_is_remembered_for_its_time_to_live_and_no_longer() -> None:
    time = Time()
    tasks = registry(time, time_to_live=10)
    record, running = start(tasks), start(tasks)
    tasks.move(record, Move.COMPLETE)
    time.now += 9.99
    assert tasks.get("me", record.task_id) is record
    time.now += 0.01
    with pytest.raises(UnknownTask):
        tasks.get("me", record.task_id)
    time.now += 10**6
    assert tasks.get("me", running.task_id) is running, "a running task is never forgotten"


def test_an_expired_task_is_gone_by_every_way_of_asking() -> None:
    time = Time()
    tasks = registry(time, time_to_live=10)
    tasks.move(start(tasks, "x"), Move.COMPLETE)
    time.now += 10
    assert (tasks.of("me"), tasks.find("x"), len(tasks), list(tasks)) == ([], None, 0, [])


def test_of_too_many_ended_tasks_the_first_ended_is_forgotten() -> None:
    tasks = registry(max_ended=2)
    records = [start(tasks, name) for name in "abc"]
    for name in (1, 0, 2):
        tasks.move(records[name], Move.COMPLETE)
    assert tasks.get("me", "a") is records[0]
    assert tasks.get("me", "c") is records[2]
    with pytest.raises(UnknownTask):
        tasks.get("me", "b")


@pytest.mark.parametrize("jump", [-(10.0**9), -3600.0, 3600.0, 10.0**9])
def test_a_jump_of_the_wall_clock_expires_nothing_and_keeps_nothing(jump: float) -> None:
    time = Time()
    tasks = registry(time, time_to_live=10)
    record = start(tasks, "x")
    time.shift = jump
    tasks.move(record, Move.COMPLETE)
    time.shift = 0.0
    time.now += 9.99
    assert tasks.find("x") is record
    time.shift = jump
    assert tasks.find("x") is record
    time.now += 0.01
    assert tasks.find("x") is None


def test_a_forgotten_task_is_gone_and_can_be_forgotten_again() -> None:
    tasks = registry()
    ended, running = start(tasks, "ended"), start(tasks, "running")
    tasks.move(ended, Move.COMPLETE)
    for _ in range(2):
        tasks.forget(ended)
        tasks.forget(running)
    assert (len(tasks), tasks.running, tasks.of("me")) == (0, 0, [])


def test_a_forgotten_task_that_ends_later_does_not_count() -> None:
    tasks = registry(max_running=1)
    record = start(tasks)
    tasks.forget(record)
    tasks.move(record, Move.COMPLETE)
    assert tasks.running == 0
    start(tasks)
    with pytest.raises(TooManyTasks):
        start(tasks)


def test_forgetting_a_task_does_not_forget_another_that_has_its_id_now() -> None:
    tasks = registry()
    old = start(tasks, "x")
    tasks.forget(old)
    new = start(tasks, "x")
    tasks.forget(old)
    assert tasks.get("me", "x") is new


class RegistryMachine(RuleBasedStateMachine):
    """A registry beside plain lists, with a clock that only goes forward."""

    LIMIT, ENDED, LIFE = 3, 2, 10.0

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.tasks = TaskRegistry(self.time.clock, max_running=self.LIMIT, time_to_live=self.LIFE, max_ended=self.ENDED)
        self.running: list[TaskState] = []
        self.ended: list[tuple[TaskState, float]] = []

    def forget(self) -> None:
        self.ended = [(r, at) for r, at in self.ended if at + self.LIFE > self.time.now][-self.ENDED :]

    @rule(owner=st.sampled_from("ab"), task_id=st.sampled_from("vwxyz"))
    def start(self, owner: str, task_id: str) -> None:
        self.forget()
        in_use = {record.task_id for record in self.running} | {record.task_id for record, _ in self.ended}
        if len(self.running) >= self.LIMIT:
            with pytest.raises(TooManyTasks):
                start(self.tasks, task_id, owner)
        elif task_id in in_use:
            with pytest.raises(DuplicateTask):
                start(self.tasks, task_id, owner)
        else:
            self.running.append(start(self.tasks, task_id, owner))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), move=st.sampled_from(Move))
    def move_a_running_one(self, data: st.DataObject, move: Move) -> None:
        record = data.draw(st.sampled_from(self.running))
        if move not in TRANSITIONS[record.status]:
            with pytest.raises(TaskEnded):
                self.tasks.move(record, move)
            return
        self.tasks.move(record, move)
        if record.ended:
            self.running.remove(record)
            self.ended.append((record, self.time.now))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), move=st.sampled_from(Move))
    def move_an_ended_one(self, data: st.DataObject, move: Move) -> None:
        record, _ = data.draw(st.sampled_from(self.ended))
        before = record.status
        if move is Move.STOP:
            assert self.tasks.move(record, move) is before
        else:
            with pytest.raises(TaskEnded):
                self.tasks.move(record, move)
        assert record.status is before

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.time.now += seconds

    @rule(owner=st.sampled_from("ab"), task_id=st.sampled_from("vwxyz"))
    def get(self, owner: str, task_id: str) -> None:
        self.forget()
        known = {r.task_id: r for r in [*self.running, *(r for r, _ in self.ended)] if r.owner == owner}
        if task_id in known:
            assert self.tasks.get(owner, task_id) is known[task_id]
        else:
            with pytest.raises(UnknownTask, match=r"^unknown task$"):
                self.tasks.get(owner, task_id)

    @invariant()
    def counts_what_runs(self) -> None:
        assert self.tasks.running == len(self.running)


TestRegistryAgainstAModel = RegistryMachine.TestCase
TestRegistryAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
