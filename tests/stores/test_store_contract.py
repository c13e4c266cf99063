"""Every store of ours keeps the contract, on both event loops."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcpc.testing import StoreCheck, StoreSubject, check_store, store_checks

pytestmark = pytest.mark.anyio

STORES = {
    "memory": "memory:{name}",
    "sqlite": "sqlite:{folder}/tasks.db",
    "sqlite full": "sqlite:{folder}/tasks.db?sync=full",
}


@pytest.fixture(params=STORES)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSubject:
    return StoreSubject(STORES[request.param].format(name=tmp_path.name, folder=tmp_path))


@pytest.mark.parametrize("check", store_checks().values(), ids=store_checks())
async def test_a_store_keeps_the_contract(check: StoreCheck, subject: StoreSubject) -> None:
    await check(subject)


def test_every_promise_has_a_clause() -> None:
    assert {check.invariant for check in store_checks().values()} == set(range(1, 13))


async def test_the_whole_contract_runs_in_one_call() -> None:
    await check_store("memory:whole")


async def test_an_unknown_clause_is_refused() -> None:
    with pytest.raises(ValueError, match="no such clause: nonsense"):
        await check_store("memory:whole", only=["nonsense"])


async def test_only_the_chosen_clauses_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []

    def noting(name: str, whole: Callable[..., object]) -> Callable[..., object]:
        async def note(check: StoreCheck, subject: StoreSubject) -> None:
            run.append(check.name)

        return note

    monkeypatch.setattr(StoreCheck, "__call__", noting("", StoreCheck.__call__))
    await check_store("memory:some", only=["a_task_ends_once", "a_retry_changes_nothing"], skip=["a_task_ends_once"])
    assert run == ["a_retry_changes_nothing"]
