"""Tasks that are ended together, and fail one by one."""

import logging

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from mcpc.server.crew import Crew

pytestmark = pytest.mark.anyio

ERRORS = [ValueError("row 17"), SystemExit(3), GeneratorExit("closed"), BaseExceptionGroup("g", [SystemExit(1)])]


@pytest.mark.parametrize("in_a_thread", [False, True])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_one_that_fails_is_logged_and_the_others_go_on(
    error: BaseException, in_a_thread: bool, caplog: pytest.LogCaptureFixture
) -> None:
    crew = Crew()
    go_on, went_on = anyio.Event(), anyio.Event()

    def fail() -> None:
        raise error

    async def bad() -> None:
        try:
            await (anyio.to_thread.run_sync(fail) if in_a_thread else anyio.lowlevel.checkpoint())
            fail()
        finally:
            go_on.set()

    async def good() -> None:
        await go_on.wait()
        went_on.set()
        await anyio.sleep_forever()

    with anyio.fail_after(60), caplog.at_level(logging.ERROR):
        crew.spawn(good)
        crew.spawn(bad)
        await went_on.wait()
        crew.cancel()
        await crew.ended()
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


async def test_all_are_cancelled_together_and_waited_for() -> None:
    crew = Crew()
    ended: list[int] = []
    begun = [anyio.Event() for _ in range(3)]

    async def main(number: int) -> None:
        try:
            begun[number].set()
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    with anyio.fail_after(60):
        for number in range(3):
            crew.spawn(lambda number=number: main(number))
        for event in begun:
            await event.wait()
        assert not crew.is_ending
        crew.cancel()
        await crew.ended()
    assert sorted(ended) == [0, 1, 2]
    assert crew.is_ending


async def test_one_that_comes_too_late_is_cancelled_where_it_first_waits() -> None:
    crew = Crew()
    seen: list[str] = []
    over = anyio.Event()

    async def late() -> None:
        try:
            seen.append("began")
            await anyio.sleep_forever()
        finally:
            over.set()

    with anyio.fail_after(60):
        crew.cancel()
        await crew.ended()
        crew.spawn(late)
        await over.wait()
    assert seen == ["began"]
