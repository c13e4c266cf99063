"""People install us beside other packages: the resolver must not take old versions of those for our sake.

A dry run: nothing is installed. uv reads the package index.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from peers_kit import ONLY_BY_MAKE_PEERS

pytestmark = ONLY_BY_MAKE_PEERS

ROOT = Path(__file__).resolve().parents[2]

BESIDE = {
    "openai-agents": ["openai-agents"],
    "google-adk": ["google-adk"],
    "openai[realtime]": ["openai"],
    "pydantic-ai": ["pydantic-ai"],
    "fastmcp": ["fastmcp"],
    "langchain langchain-core langgraph langchain-openai": ["langchain", "langchain-core", "langgraph"],
}
"""What is installed beside us, and the packages of it that count."""


def resolved(*requirements: str) -> dict[str, str]:
    """What uv would install, by name."""
    command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "-"]
    done = subprocess.run(
        [*command, "--python", sys.executable],
        input="\n".join(requirements),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[.*?\])?==(\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("packages", BESIDE)
def test_beside_us_others_are_installed_in_their_newest_versions(packages: str) -> None:
    alone = resolved(*packages.split())
    together = resolved(*packages.split(), f"mcpc[cli] @ {ROOT.as_uri()}")
    names = BESIDE[packages]
    assert {name: together[name] for name in names} == {name: alone[name] for name in names}
    assert together["mcp"].startswith("2.")
