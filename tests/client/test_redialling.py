"""`Redialling`: for how long something is tried again."""

from dataclasses import dataclass

import pytest

from mcpc.client import redialling
from mcpc.client.redialling import Redialling
from own_anyio import replace_for


@dataclass
class Dials:
    reconnect: bool = True
    reconnect_timeout: float | None = 60.0


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    replace_for(redialling, monkeypatch, current_time=lambda: clock.now)
    return clock


def test_it_is_over_at_the_timeout_after_the_first_failure_in_a_row(clock: Clock) -> None:
    again = Redialling(Dials())
    assert not again.is_over
    clock.now = 59.9
    assert not again.is_over
    again.succeeded()
    clock.now = 100.0
    assert not again.is_over
    clock.now = 160.0
    assert again.is_over


def test_it_is_over_at_once_where_nothing_is_dialled_again_and_never_without_a_timeout(clock: Clock) -> None:
    assert Redialling(Dials(reconnect=False)).is_over
    patient = Redialling(Dials(reconnect_timeout=None))
    assert not patient.is_over
    clock.now = 1e9
    assert not patient.is_over
