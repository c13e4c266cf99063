"""A context that may be left behind: whoever leaves waits so long and no longer, and what went wrong in it is told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from mcpc.server.apart import apart

pytestmark = pytest.mark.anyio


async def test_it_gives_the_value_and_ends_when_it_is_left() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def context() -> AsyncGenerator[str]:
        said.append("entered")
        yield "value"
        said.append("left")

    with anyio.fail_after(60):
        async with apart(context(), patience=5, what="it") as value:
            said.append(value)
    assert said == ["entered", "value", "left"]


@pytest.mark.parametrize("when", ["entering", "leaving"])
async def test_what_it_raises_is_raised(when: str) -> None:
    @asynccontextmanager
    async def context() -> AsyncGenerator[None]:
        if when == "entering":
            raise ValueError(when)
        yield
        raise ValueError(when)

    with anyio.fail_after(60), pytest.raises(ValueError, match=when):
        async with apart(context(), patience=5, what="it"):
            assert when == "leaving"


async def test_where_it_ends_while_it_is_in_use_the_body_is_cancelled() -> None:
    over = anyio.Event()

    @asynccontextmanager
    async def context() -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:

            async def fail() -> None:
                await over.wait()
                raise ValueError("in between")

            group.start_soon(fail)
            yield

    async def use() -> None:
        async with apart(context(), patience=5, what="it"):
            over.set()
            await anyio.sleep_forever()

    with anyio.fail_after(60), pytest.raises(ExceptionGroup):
        await use()
