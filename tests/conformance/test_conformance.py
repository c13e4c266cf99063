"""When `make conformance` says that it is content."""

from collections import Counter

import pytest

from conformance.summary import Row, report


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"SUCCESS": 84, "INFO": 10}, 0),
        ({"SUCCESS": 85, "SKIPPED": 1}, 0),
        ({"SUCCESS": 83}, 1),
        ({"SUCCESS": 84, "FAILURE": 1}, 1),
        ({}, 1),
    ],
    ids=str,
)
def test_one_run_that_falls_short_is_enough_to_fail(
    counts: dict[str, int], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Row("good", "2026-07-28", Counter(SUCCESS=152), 152)
    assert report([good, Row("judged", "2025-11-25", Counter(counts), 84)]) == code
    shown = capsys.readouterr().out
    assert ("NOT REACHED" in shown) == (code == 1)
    assert "152" in shown


def test_no_run_at_all_is_a_failure() -> None:
    assert report([]) == 1
