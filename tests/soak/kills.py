"""kill -9 at each named step × each policy × both ways to sync × so many seeds: `kills.py --seeds 20`.

What has passed is noted in a file, and left out the next time: a run may be broken off. Prints a table.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import anyio

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/kits"))

from killing import LIVES, POLICIES, Killing, Servers, lives_of, servers  # noqa: E402

SYNCS = ("normal", "full")
NOTES = ROOT / ".work/kills.txt"

Case = tuple[int, str, str, str]
"""Seed, step, policy, sync."""


def main() -> int:
    """Run what has not passed yet; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="kills at the same time")
    parser.add_argument("--notes", type=Path, default=NOTES, help="where it stands what has passed")
    parser.add_argument("--again", action="store_true", help="forget what has passed")
    options = parser.parse_args()
    if options.again:
        options.notes.unlink(missing_ok=True)
    options.notes.parent.mkdir(parents=True, exist_ok=True)
    options.notes.touch()
    cases = list(cases_of(options.seeds))
    passed = set(options.notes.read_text().splitlines())
    failed: list[Case] = []
    left = [case for case in cases if repr(case) not in passed]
    with ProcessPoolExecutor(options.jobs, initializer=_start) as pool, options.notes.open("a") as notes:
        for case, why in zip(left, pool.map(attempt, left), strict=True):
            if why is None:
                print(repr(case), file=notes, flush=True)
            else:
                failed.append(case)
                print(f"FAILED {case}: {why}", flush=True)
    print(table(cases, failed))
    return min(len(failed), 1)


def cases_of(seeds: int) -> Iterable[Case]:
    """All cases. A task that fails with its process is never claimed by another."""
    for case in product(range(seeds), LIVES, POLICIES, SYNCS):
        if case[1:3] != ("claim", "fail"):
            yield case


_servers: Servers | None = None
"""What starts the servers of this process."""


def _start() -> None:
    global _servers
    _servers = _open.enter_context(servers())


_open = ExitStack()


def attempt(case: Case) -> str | None:
    """One kill; what went wrong, or None."""
    seed, step, policy, sync = case
    most = LIVES["after append"] if LIVES[step] == 1 and step in ("claim", "reap") else LIVES[step]
    n = random.Random(f"{seed} {step} {policy} {sync}").randint(1, most)
    try:
        anyio.run(one, step, n, policy, sync)
    except BaseException as exc:
        return f"at time {n}: {exc!r} {getattr(exc, 'exceptions', '')}"
    return None


async def one(step: str, n: int, policy: str, sync: str) -> None:
    """One case."""
    assert _servers is not None
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(120):
        await Killing(_servers, f"{folder}/tasks.db?sync={sync}", lives_of(step, n)).run(policy)


def table(cases: list[Case], failed: list[Case]) -> str:
    """How many of each step, policy and sync have passed."""
    all_of, bad = (Counter(case[1:] for case in some) for some in (cases, failed))
    columns = list(product(POLICIES, SYNCS))
    head = f"{'step':14}" + "".join(f"{f'{policy} {sync}':>16}" for policy, sync in columns)
    rows = [
        f"{step:14}"
        + "".join(
            f"{f'{all_of[key] - bad[key]}/{all_of[key]}' if all_of[key] else '-':>16}"
            for policy, sync in columns
            for key in [(step, policy, sync)]
        )
        for step in LIVES
    ]
    return "\n".join([head, *rows, f"{len(cases)} cases, {len(failed)} failed"])


if __name__ == "__main__":
    sys.exit(main())
