"""What the suite found, as a table, and whether that is enough."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "report"]


@dataclass(frozen=True)
class Row:
    """One run of the suite."""

    what: str
    revision: str
    counts: Counter[str]
    """How many checks ended how, in the suite's words."""
    expected: int
    """How many must pass, and no other may fail."""

    @property
    def is_good(self) -> bool:
        """Whether as many passed as must, and none failed."""
        return self.counts["SUCCESS"] >= self.expected > 0 and not self.counts["FAILURE"]


def report(rows: Sequence[Row]) -> int:
    """Print the table; the exit code: 1 where a run fell short, or there was none."""
    table = Table("what", "revision", "passed", "of", "failed", "skipped", "")
    for row in rows:
        numbers = (row.counts["SUCCESS"], row.expected, row.counts["FAILURE"], row.counts["SKIPPED"])
        table.add_row(row.what, row.revision, *map(str, numbers), "good" if row.is_good else "NOT REACHED")
    Console(width=100).print(table)
    return 0 if rows and all(row.is_good for row in rows) else 1
