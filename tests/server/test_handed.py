"""Tasks that were handed to plain callers: their news numbered and bounded, and each its owner's alone."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.server import handed
from mcpc.server.handed import HandedTasks, News

pytestmark = pytest.mark.anyio


class Present:
    """Told who is there."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def begin(self, task_id: str) -> None:
        self.told.append(("begin", task_id))

    def seen(self, task_id: str) -> None:
        self.told.append(("seen", task_id))


def execution(task_id: str, principal: Any = None) -> Any:
    return SimpleNamespace(state=SimpleNamespace(task_id=task_id, principal=principal), ended=anyio.Event())


async def test_news_are_numbered_and_read_after_a_number() -> None:
    news = News()
    news.add("update", 1)
    news.add("log", {"level": "info"})
    assert [entry.describe() for entry in news.after(1)] == [{"number": 2, "kind": "log", "value": {"level": "info"}}]
    assert [entry.number for entry in news.after(0)] == [1, 2]
    assert (news.after(2), news.head) == ([], 2)


async def test_the_oldest_make_room_in_count_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MAX_ENTRIES", 3)
    monkeypatch.setattr(handed, "MAX_BYTES", 20)
    news = News()
    for number in range(4):
        news.add("update", number)
    assert [entry.number for entry in news.after(0)] == [2, 3, 4]
    news.add("update", "x" * 16)  # 18 bytes: with two of one byte it is 20
    assert [entry.number for entry in news.after(0)] == [3, 4, 5]
    news.add("update", "x" * 100)  # over the bound alone, and kept
    assert [entry.number for entry in news.after(0)] == [6]


async def test_who_waits_for_news_is_woken_by_the_next() -> None:
    news = News()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(news.wait)
            await anyio.wait_all_tasks_blocked()
            news.add("update", 1)


async def test_a_foreign_task_looks_like_an_unknown_one() -> None:
    presence: Any = Present()
    tasks, news = HandedTasks(60, presence, lambda state: None), News()
    ours = execution("t", "alice")
    tasks.add(ours, news)
    assert tasks.get("t", "alice") == (ours, news)
    errors: list[str] = []
    for task_id, principal in (("t", "bob"), ("t", None), ("u", "alice")):
        with pytest.raises(mcpc.UnknownTask) as unknown:
            tasks.get(task_id, principal)
        errors.append(str(unknown.value))
    assert len(set(errors)) == 1
    assert presence.told == [("begin", "t"), ("seen", "t")]  # a stranger is no sign of life


async def test_a_task_is_forgotten_some_time_after_its_end() -> None:
    presence: Any = Present()
    tasks, ended = HandedTasks(0, presence, lambda state: None), execution("t")
    tasks.add(ended, News())
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(tasks.expire, ended)
            await anyio.wait_all_tasks_blocked()
            tasks.get("t", None)
            ended.ended.set()
    with pytest.raises(mcpc.UnknownTask):
        tasks.get("t", None)
