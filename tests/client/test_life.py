"""The life of a connection: made in a stated time, made again with growing waits, and not where we are not wanted."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import pytest

import mcpc
from mcpc.client.backoff import Backoff
from mcpc.client.life import ConnectionState, Life, Steps

pytestmark = pytest.mark.anyio


def life_with(
    connection: Any,
    begin: Any = None,
    *,
    backoff: Backoff | None = None,
    open_timeout: float = 60,
    report: Callable[[ConnectionState], None] = lambda _: None,
) -> Life:
    async def nothing(group: anyio.abc.TaskGroup) -> None:
        """Nothing is to be begun."""

    steps = Steps(connection, begin or nothing, lambda: False, report)
    return Life(steps, backoff or Backoff(first=0.0), open_timeout)


@asynccontextmanager
async def quiet() -> AsyncGenerator[None]:
    yield


async def silent(group: anyio.abc.TaskGroup) -> None:
    """A handshake that is never answered."""
    await anyio.sleep_forever()


async def test_a_handshake_that_is_not_answered_ends_in_the_stated_time() -> None:
    life = life_with(quiet, silent, open_timeout=0.01)
    with anyio.fail_after(60), pytest.raises(mcpc.ConnectFailed, match="did not answer"):
        await life.hold_first(anyio.TASK_STATUS_IGNORED)


async def test_a_handshake_that_ends_as_its_time_does_makes_no_connection_that_is_gone_at_once() -> None:
    reports = list[ConnectionState]()

    async def as_its_time_ends(group: anyio.abc.TaskGroup) -> None:
        with anyio.CancelScope(shield=True):  # so the time is over, and nothing was cut short by that
            await anyio.sleep(0.05)

    life = life_with(quiet, as_its_time_ends, open_timeout=0.01, report=reports.append)
    with anyio.fail_after(60), pytest.raises(mcpc.ConnectFailed, match="did not answer"):
        await life.hold_first(anyio.TASK_STATUS_IGNORED)
    assert not reports


async def test_reconnecting_to_a_silent_server_is_bounded_as_a_whole() -> None:
    life = life_with(quiet, silent, open_timeout=60)
    with anyio.fail_after(60):
        assert not await life.hold_next(0.01)


async def test_a_refusal_is_not_tried_again() -> None:
    dials = 0

    @asynccontextmanager
    async def refused() -> AsyncGenerator[None]:
        nonlocal dials
        dials += 1
        raise mcpc.ConnectRefused("401")
        yield

    with anyio.fail_after(60), pytest.raises(mcpc.ConnectRefused):
        await life_with(refused).hold_next(60)
    assert dials == 1


async def test_the_wait_grows_while_connections_do_not_last() -> None:
    backoff = Backoff(first=0.0)

    async def drops(group: anyio.abc.TaskGroup) -> None:
        life.end_connection()

    life = life_with(quiet, drops, backoff=backoff)
    with anyio.fail_after(60):
        for count in (1, 2, 3):
            await life.hold_next(60)
            assert backoff.failures == count
