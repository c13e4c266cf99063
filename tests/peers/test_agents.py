"""An agent of each framework, with its own fake model: start, update, question, answer, end, and then it acts.

The recipes of `docs/agents.md`. Each runs in an environment of its own, where mcpc is installed beside the framework.
"""

import json
import subprocess
from pathlib import Path

import pytest

from locked_kit import Locked
from peers_kit import AGENTS, ONLY_BY_MAKE_PEERS

pytestmark = ONLY_BY_MAKE_PEERS

HERE = Path(__file__).parent / "agents"


def lives_it(framework: str, *arguments: str) -> tuple[dict[str, str], str]:
    """What an agent of that framework has brought about and was told; and what it wrote beside that."""
    python = Locked.of(f"agent_{framework}", beside=True).ready()
    argv = [python, f"agent_{framework}.py", *arguments]
    done = subprocess.run(argv, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1]), done.stderr


@pytest.mark.parametrize("framework", AGENTS)
def test_an_agent_hears_answers_and_acts(framework: str) -> None:
    came, _ = lives_it(framework)
    assert came["present"] == ["users", "copies: no", "orders"], "it answered, and made what was missing"
    told = came["told"]
    assert 'migrate update: {"created":"users"}' in told
    assert "Keep the old copies?" in told
    assert 'migrate complete: {"missing":["orders"]}' in told
    assert told.endswith('{"missing":[]}\nNo task is running.')


def test_news_that_come_during_a_run_of_pydantic_ai_are_enqueued_into_it() -> None:
    came, said = lives_it("pydantic_ai", "enqueue")
    assert said.splitlines()[0] == "in one run: True", "the question was answered in the run that was going on"
    assert came["present"] == ["users", "copies: no", "orders"]
