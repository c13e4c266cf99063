"""The store stays open while the server is served, whatever one of the chores around it does."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest

from mcpc.server import keeper
from mcpc.server.keeper import Keeper
from mcpc.store import Store

pytestmark = pytest.mark.anyio


async def test_a_chore_that_fails_is_begun_again_and_the_store_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "PAUSE", 0.0)
    opened, begun, again = cast("Store", object()), 0, anyio.Event()

    @asynccontextmanager
    async def source() -> AsyncGenerator[Store]:
        yield opened

    async def chore() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise ValueError("not a store's error")
        again.set()
        await anyio.sleep_forever()

    async def begin(store: Store) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        return [chore]

    kept = Keeper(source, begin)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            def spawn(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
                tasks.start_soon(main)

            await kept.open(spawn)
            await again.wait()
            assert kept.store() is opened
            await kept.close()
