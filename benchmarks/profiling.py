"""From samples to microseconds a callback: what `--profile` prints."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.runner import Result

__all__ = ["profile_table"]

SHOWN = 25


def profile_table(folder: Path, results: Mapping[str, Result]) -> str:
    """For each case and side: the functions by their own time, in microseconds a callback (and with what they call)."""
    parts: list[str] = []
    for result in results.values():
        case = result.case
        for side in ("client", "server"):
            file = folder / f"{case.scenario}-{case.transport}.{side}.json"
            spent = result.rounds[-1].get(f"{side}_cpu_us") if result.rounds else None
            if spent and file.exists():
                parts.append(f"{case.key}, {side}: {spent:.2f} µs a callback\n")
                parts += _lines(json.loads(file.read_text()), spent)
    return "\n".join(parts)


def _lines(samples: Mapping[str, Any], spent: float) -> list[str]:
    total: Mapping[str, float] = samples["total"]
    return [
        f"  {share * spent:6.2f}  {total.get(name, share) * spent:6.2f}  {name}"
        for name, share in list(samples["own"].items())[:SHOWN]
    ]
