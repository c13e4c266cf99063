"""kill -9 at each named step × each policy × both ways to sync × so many seeds: `kills.py --seeds 20`."""

import argparse
import random
import sys
import tempfile
from itertools import product
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))

from killing import Killing
from mcpc.testing.store_faults import STEPS

MOST = {"enter": 1, "end": 1, "checkpoint": 12, "receipt": 10, "before append": 10, "after append": 10}
"""At the how manieth time at the most a server dies there: one task comes to each step so often."""


def main() -> int:
    """Run them all; how many failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    cases = list(product(range(seeds), [step for step in STEPS if step in MOST], ("fail", "restart", "resume")))
    failed = runs = 0
    for (seed, step, policy), sync in product(cases, ("normal", "full")):
        n = random.Random(f"{seed} {step} {policy} {sync}").randint(1, MOST[step])
        runs += 1
        try:
            anyio.run(one, step, n, policy, sync)
        except Exception as exc:
            failed += 1
            print(f"FAILED seed {seed}: {step} ({n}) × {policy} × {sync}: {exc!r}", flush=True)
    print(f"{runs} kills, {failed} failed")
    return min(failed, 1)


async def one(step: str, n: int, policy: str, sync: str) -> None:
    """One kill."""
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(120):
        await Killing(f"{folder}/tasks.db?sync={sync}", step, n).run(policy)


if __name__ == "__main__":
    sys.exit(main())
