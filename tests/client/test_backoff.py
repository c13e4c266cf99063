"""Waits that grow: at random below a bound that doubles, up to a largest one, and from the first after a success."""

import threading

import anyio
import pytest

from mcpc.client.backoff import Backoff

pytestmark = pytest.mark.anyio


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    ours, asleep = threading.get_ident(), anyio.sleep

    async def sleep(seconds: float) -> None:
        if threading.get_ident() != ours:  # a server that another test has left in a thread
            await asleep(seconds)
            return
        waits.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return waits


async def test_the_bound_doubles_up_to_the_largest(slept: list[float]) -> None:
    backoff = Backoff(first=0.1, maximum=1.0, random=lambda: 1.0)
    for _ in range(6):
        await backoff.wait()
    assert slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff.failures == 6


async def test_a_wait_is_at_random_between_nothing_and_the_bound(slept: list[float]) -> None:
    numbers = iter([0.0, 0.5])
    backoff = Backoff(first=1.0, maximum=8.0, random=lambda: next(numbers))
    await backoff.wait()
    await backoff.wait()
    assert slept == [0.0, 1.0]


async def test_after_a_success_it_begins_again_with_the_first(slept: list[float]) -> None:
    backoff = Backoff(first=1.0, maximum=8.0, random=lambda: 1.0)
    await backoff.wait()
    await backoff.wait()
    backoff.succeeded()
    await backoff.wait()
    assert slept == [1.0, 2.0, 1.0]


async def test_after_thousands_of_failures_it_still_waits(slept: list[float]) -> None:
    backoff = Backoff(first=0.1, maximum=5.0, random=lambda: 1.0)
    backoff.failures = 100_000
    await backoff.wait()
    assert slept == [5.0]
