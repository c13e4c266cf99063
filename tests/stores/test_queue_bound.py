"""How many tasks of a tool may wait for a worker: one suite, over every store."""

import pytest

from mcpc.errors import DuplicateTask, TooManyTasks
from mcpc.store_uri import open_store
from mcpc.stored import NewTask, StoreLimits, channel_id

pytestmark = pytest.mark.anyio

LIMITS = StoreLimits(max_queued=3, max_tasks_per_channel=4)
ONE, TWO = channel_id("one"), channel_id("two")


@pytest.fixture
def uri(store: str) -> str:
    return store


def waiting(task_id: str, channel: str, tool: str = "sort", key: str | None = None) -> NewTask:
    return NewTask(task_id, channel, tool, "default", b"{}", on_interrupt="restart", max_attempts=9, key=key)


async def test_as_many_as_may_wait_for_a_worker_and_one_more_is_refused_wherever_it_is_entered(uri: str) -> None:
    async with open_store(uri, limits=LIMITS) as here, open_store(uri, limits=LIMITS) as there:
        for channel in (ONE, TWO):
            await here.open(channel, principal=None)
        for number in range(3):
            store, channel = ((here, ONE), (there, TWO))[number % 2]
            await store.enter(waiting(f"task {number}", channel, key=f"key {number}"), runner=None)
        for store in (here, there):
            with pytest.raises(TooManyTasks) as caught:
                await store.enter(waiting("one more", TWO), runner=None)
            assert (caught.value.limit, caught.value.value) == ("max_queued", 3)
        assert await here.task("one more") is None
        known = await there.enter(waiting("again", ONE, key="key 0"), runner=None)
        assert (known.task_id, known.is_new) == ("task 0", False)
        assert (await here.enter(waiting("other tool", ONE, tool="count"), runner=None)).is_new
        claimed = await here.claim("r", ["sort"])
        assert claimed is not None
        assert (await there.enter(waiting("one more", TWO), runner=None)).is_new


async def test_a_task_that_is_to_run_again_is_not_refused(uri: str) -> None:
    async with open_store(uri, limits=LIMITS) as store:
        for channel in (ONE, TWO):
            await store.open(channel, principal=None)
        await store.enter(waiting("first", ONE), runner=None)
        claimed = await store.claim("r", ["sort"])
        assert claimed is not None
        for number in range(3):
            await store.enter(waiting(f"task {number}", TWO), runner=None)
        await store.release(claimed[0])
        found = {(await store.claim("r", ["sort"]) or claimed)[1].task_id for _ in range(4)}
        assert found == {"first", "task 0", "task 1", "task 2"}


async def test_what_a_client_s_own_limit_refuses_takes_no_place_in_the_queue(uri: str) -> None:
    limits = StoreLimits(max_queued=3, max_tasks_per_channel=1)
    async with open_store(uri, limits=limits) as store:
        for channel in (ONE, TWO):
            await store.open(channel, principal=None)
        await store.enter(waiting("task", ONE), runner=None)
        for number in range(5):
            with pytest.raises(TooManyTasks) as caught:
                await store.enter(waiting(f"refused {number}", ONE), runner=None)
            assert caught.value.limit == "max_tasks_per_channel"
        assert (await store.enter(waiting("theirs", TWO), runner=None)).is_new


async def test_a_start_that_is_said_twice_leaves_its_task_in_the_queue(uri: str) -> None:
    async with open_store(uri, limits=LIMITS) as here, open_store(uri, limits=LIMITS) as there:
        await here.open(ONE, principal=None)
        assert (await here.enter(waiting("task", ONE, key="key"), runner=None)).is_new
        again = await there.enter(waiting("task", ONE, key="key"), runner=None)
        assert (again.task_id, again.is_new) == ("task", False)
        claimed = await there.claim("r", ["sort"])
        assert claimed is not None
        assert claimed[1].task_id == "task"


async def test_a_start_with_an_id_in_use_leaves_the_other_s_task_in_the_queue(uri: str) -> None:
    async with open_store(uri, limits=LIMITS) as store:
        for channel in (ONE, TWO):
            await store.open(channel, principal=None)
        await store.enter(waiting("task", ONE), runner=None)
        with pytest.raises(DuplicateTask):
            await store.enter(waiting("task", ONE), runner=None)
        with pytest.raises(DuplicateTask):
            await store.enter(waiting("task", TWO), runner=None)
        claimed = await store.claim("r", ["sort"])
        assert claimed is not None
        assert claimed[1].channel == ONE
        assert await store.claim("r", ["sort"]) is None
        assert (await store.enter(waiting("next", TWO), runner=None)).is_new


async def test_a_refused_id_takes_no_place_in_the_queue(uri: str) -> None:
    async with open_store(uri, limits=LIMITS) as store:
        for channel in (ONE, TWO):
            await store.open(channel, principal=None)
        await store.enter(waiting("task", ONE, tool="count"), runner=None)
        for _ in range(5):
            with pytest.raises(DuplicateTask):
                await store.enter(waiting("task", TWO), runner=None)
        for number in range(3):
            assert (await store.enter(waiting(f"task {number}", TWO), runner=None)).is_new
