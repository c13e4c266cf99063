"""The store that fails on purpose fails as it is told, and in no other way."""

from pathlib import Path

import anyio
import pytest

from mcpc.errors import StoreFull, StoreUnavailable
from mcpc.store_uri import STORES, open_store, register_store
from mcpc.stored import Appended, Entry, Fenced, NewTask, StoreLimits, channel_id
from mcpc.testing import FaultyStore, check_store

pytestmark = pytest.mark.anyio

CHANNEL = channel_id("faulty")


@pytest.fixture
def plan() -> FaultyStore:
    plan = FaultyStore("memory")
    register_store("faulty", plan, replace=True)
    return plan


async def test_without_a_fault_it_keeps_the_contract(plan: FaultyStore) -> None:
    await check_store("faulty:sound")


async def test_it_takes_the_options_of_the_store_inside(tmp_path: Path) -> None:
    with STORES.restored():
        register_store("faulty", FaultyStore("sqlite"), replace=True)
        async with open_store(f"faulty:{tmp_path}/tasks.db?sync=full", limits=StoreLimits(max_inputs=3)) as store:
            assert store.limits.max_inputs == 3
            assert store.shared


async def test_a_lost_reply_is_settled_by_a_retry(plan: FaultyStore) -> None:
    async with open_store("faulty:") as store:
        await store.open(CHANNEL, principal=None)
        plan.lost_replies = 1.0
        entry = Entry(CHANNEL, "w", 1, [b"1"])
        with pytest.raises(StoreUnavailable, match="reply was lost"):
            await store.append([entry])
        plan.lost_replies = 0.0
        assert await store.append([entry]) == [Appended(1, 0, False)]
        page = await store.read(CHANNEL, 0, max_messages=9, max_bytes=9)
        assert page is not None
        assert page.messages == [b"1"]


async def test_down_and_full_stop_what_they_should(plan: FaultyStore) -> None:
    async with open_store("faulty:") as store:
        await store.open(CHANNEL, principal=None)
        plan.full = True
        with pytest.raises(StoreFull):
            await store.append([Entry(CHANNEL, "w", 1, [b"1"])])
        assert await store.read(CHANNEL, 0, max_messages=9, max_bytes=9) is None
        plan.down = True
        with pytest.raises(StoreUnavailable):
            await store.read(CHANNEL, 0, max_messages=9, max_bytes=9)
        assert plan.calls == {"open": 1, "append": 1, "read": 2}


async def test_a_fenced_task_s_entries_do_not_land_and_others_do(plan: FaultyStore) -> None:
    async with open_store("faulty:") as store:
        await store.open(CHANNEL, principal=None)
        claim = (await store.enter(NewTask("t", CHANNEL, "tool", "s", b""), runner="r")).claim
        plan.fenced.add("t")
        batch = [Entry(CHANNEL, "w", 1, [b"1"], claim=claim), Entry(CHANNEL, "v", 1, [b"2"])]
        assert await store.append(batch) == [Fenced(), Appended(1, 0, False)]


async def test_named_steps_are_reached_in_order() -> None:
    reached: list[str] = []
    steps = ("before append", "after append", "receipt", "checkpoint", "end", "enter", "claim")
    plan = FaultyStore("memory", at={step: lambda step=step: reached.append(step) for step in steps})
    register_store("faulty", plan, replace=True)
    async with open_store("faulty:") as store:
        await store.open(CHANNEL, principal=None)
        await store.enter(NewTask("t", CHANNEL, "tool", "s", b""), runner=None)
        claimed = await store.claim("r", ["tool"])
        assert claimed is not None
        list(await store.append([Entry(CHANNEL, "w", 1, [], claim=claimed[0], checkpoint=b"c")]))
        await store.append([Entry(CHANNEL, "w", 2, [b"end"], claim=claimed[0], end="complete")])
    order = ["enter", "claim", "before append", "after append", "checkpoint", "receipt"]
    assert reached == [*order, "before append", "after append", "end"]


async def test_a_slow_store_takes_its_time_and_can_be_cancelled(plan: FaultyStore) -> None:
    async with open_store("faulty:") as store:
        await store.open(CHANNEL, principal=None)
        plan.delay = 3600.0
        with anyio.move_on_after(0.01) as scope:
            await store.append([Entry(CHANNEL, "w", 1, [b"1"])])
        assert scope.cancelled_caught
