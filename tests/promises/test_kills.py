"""kill -9 of a server at each named step of its store: contiguous, one end, nothing that was shown is lost."""

import os
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from killing import LIVES, Killing, Servers, lives_of, servers
from mcpc.testing.store_faults import STEPS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches processes that are not its children"),
]

CASES = [
    ("enter", "resume", 1),
    ("before append", "fail", 5),
    ("after append", "resume", 5),
    ("receipt", "restart", 5),
    ("checkpoint", "resume", 4),
    ("before signal", "resume", 1),
    ("signal", "restart", 1),
    ("end", "fail", 1),
    ("claim", "resume", 8),
    ("reap", "fail", 3),
]
"""One of each step; all of them, with every policy and both ways to sync, are `make kills`."""


def test_each_step_has_its_case() -> None:
    assert {step for step, _, _ in CASES} == {*STEPS} == {*LIVES}


@pytest.fixture(scope="module")
def starting() -> Generator[Servers]:
    with servers() as found:
        yield found


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("step", "policy", "n"), CASES)
async def test_a_server_that_dies_there_loses_nothing(
    step: str, policy: str, n: int, tmp_path: Path, starting: Servers
) -> None:
    with anyio.fail_after(280):
        await Killing(starting, f"{tmp_path}/tasks.db", lives_of(step, n)).run(policy)
