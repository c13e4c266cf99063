"""A client by a server's name in a configuration reaches that server, with what the file says of it."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from mcpc import ConfigError

pytestmark = pytest.mark.anyio

APP = """
import os
import mcpc
from mcp.server import MCPServer

server = MCPServer("named", log_level="WARNING")

@server.tool()
def where() -> str:
    return os.getcwd() + " " + os.environ["GREETING"]

mcpc.run(server, "stdio:")
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHOM", "you")
    (tmp_path / "app.py").write_text(APP)
    entry = {
        "command": sys.executable,
        "args": [str(tmp_path / "app.py")],
        "env": {"GREETING": "hello ${WHOM}"},
        "cwd": str(tmp_path),
    }
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"named": entry, "other": {"url": "ws://127.0.0.1:1/mcp"}}}))
    return path


def text_of(result: Any) -> str:
    return result.content[0].text


async def test_a_named_command_is_run_in_its_directory_with_its_variables(config: Path) -> None:
    with anyio.fail_after(60):
        async with mcpc.Client.from_config(config, "named") as client:
            assert text_of(await client.call_tool("where")) == f"{config.parent} hello you"


def test_what_is_given_by_name_wins_over_the_file_and_scripts_have_it_too(config: Path) -> None:
    with mcpc.SyncClient.from_config(config, "named", env={"GREETING": "hi"}, provider="test") as client:
        assert text_of(client.call_tool("where")) == f"{config.parent} hi"


def test_a_mistake_is_told_before_anything_is_opened(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no server 'name' .*did you mean 'named'"):
        mcpc.Client.from_config(config, "name")
    with pytest.raises(mcpc.UnknownOption, match="does not take 'headers'"):
        mcpc.Client.from_config({"servers": {"a": {"url": "tcp://127.0.0.1:1", "headers": {"a": "b"}}}})
