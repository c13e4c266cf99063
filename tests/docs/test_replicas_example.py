"""`make replicas` in small: servers and workers behind a balancer, killed or restarted in the middle of their work."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "replicas" / "run.py"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", [[], ["--rolling"]], ids=["killed", "restarted"])
def test_every_client_sees_every_number_once_and_one_end_of_each_task(how: list[str]) -> None:
    command = [sys.executable, str(EXAMPLE), "--clients", "5", "--numbers", "40", *how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]] == (["restarted"] * 4 if how else ["killed"] * 2)
    assert said[-1].startswith("seed 0: 5 clients, ")
    assert "every number once, in order, one end each" in said[-1]
