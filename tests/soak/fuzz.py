"""Each parser under mutated input for a while: `python tests/soak/fuzz.py [--seconds N] [--seed N] [PARSER ...]`.

Of what fails the smallest case is shown; it belongs into a test.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import given, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))

from parsers_kit import PARSERS, chunked

MOST_BYTES = 4096
"""Of randomness for one input."""


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Try one parser; how many inputs it was given.

    Raises:
        Exception: what the parser raised and does not document.
    """
    parser, seeds = PARSERS[name]

    @settings(database=None, deadline=None)
    @given(chunked(seeds))
    def attempt(chunks: list[bytes]) -> None:
        try:
            parser(chunks)
        except Exception:
            print(f"{name}: {chunks!r}", file=sys.stderr)
            raise

    target: Any = attempt
    chance, count, until = random.Random(seed), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        target.hypothesis.fuzz_one_input(chance.randbytes(chance.randint(1, MOST_BYTES)))
        count += 1
    return count


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="for each parser (60)")
    options.add_argument("--seed", type=int, default=1, help="of the inputs (1)")
    options.add_argument("parsers", nargs="*", default=list(PARSERS), help="which (all)")
    given_options = options.parse_args()
    for name in given_options.parsers:
        print(f"{name}: {fuzz(name, given_options.seconds, given_options.seed)} inputs, nothing is wrong", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
