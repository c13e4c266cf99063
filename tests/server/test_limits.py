"""Every bound of a server: what is none is refused when it is given."""

from dataclasses import fields
from typing import Any

import pytest

from mcpc.server.limits import Limits

OTHERS = ("client_share", "lease")


@pytest.mark.parametrize(
    "bound", [each for each in fields(Limits) if each.name not in OTHERS], ids=lambda each: each.name
)
def test_a_bound_is_at_least_one_or_no_time_at_all(bound: Any) -> None:
    name, default = bound.name, bound.default
    least: Any = 0.0 if isinstance(default, float) else 1
    assert getattr(Limits(**{name: least}), name) == least
    below: Any = -0.001 if isinstance(default, float) else 0
    with pytest.raises(ValueError, match=f"{name} is out of range"):
        Limits(**{name: below})


@pytest.mark.parametrize("value", [0.0, 0.099, -1.0, float("nan")])
def test_a_lease_is_at_least_a_tenth_of_a_second(value: float) -> None:
    with pytest.raises(ValueError, match="lease is out of range"):
        Limits(lease=value)
    assert Limits(lease=0.1).lease == 0.1


@pytest.mark.parametrize("value", [0.0, 1.001, float("nan")])
def test_a_client_s_share_is_a_part(value: float) -> None:
    with pytest.raises(ValueError, match="client_share is out of range"):
        Limits(client_share=value)
    assert Limits(client_share=1.0).client_share == 1.0


def test_what_is_no_number_is_no_bound() -> None:
    with pytest.raises(ValueError, match="task_ttl is out of range"):
        Limits(task_ttl=float("nan"))
