"""kill -9 of a server at each named step of its store: contiguous, one end, nothing that was shown is lost."""

from pathlib import Path

import anyio
import pytest

from killing import Killing
from mcpc.testing.store_faults import STEPS

pytestmark = pytest.mark.anyio

CASES = [
    ("enter", "resume", 1),
    ("before append", "fail", 5),
    ("after append", "resume", 5),
    ("receipt", "restart", 5),
    ("checkpoint", "resume", 4),
    ("end", "fail", 1),
]
"""One of each step; all of them, with every policy, are `make kills`. A claim is one of the second server's."""


def test_each_step_has_its_case() -> None:
    assert {step for step, _, _ in CASES} == {*STEPS} - {"claim"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("step", "policy", "n"), CASES)
async def test_a_server_that_dies_there_loses_nothing(step: str, policy: str, n: int, tmp_path: Path) -> None:
    with anyio.fail_after(90):
        await Killing(f"{tmp_path}/tasks.db", step, n).run(policy)
