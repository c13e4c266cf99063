"""Every bound of a server: what is none is refused when it is given."""

from dataclasses import fields
from typing import Any

import pytest

from mcpc.server.limits import Limits


@pytest.mark.parametrize("bound", fields(Limits), ids=lambda each: each.name)
def test_a_bound_is_at_least_one_or_no_time_at_all(bound: Any) -> None:
    name, default = bound.name, bound.default
    least: Any = 0.0 if isinstance(default, float) else 1
    assert getattr(Limits(**{name: least}), name) == least
    below: Any = -0.001 if isinstance(default, float) else 0
    with pytest.raises(ValueError, match=f"{name} is out of range"):
        Limits(**{name: below})
