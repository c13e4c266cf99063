"""Each module logs under its own name, below `mcpc`, and nothing is heard that nobody asked for."""

import ast
import importlib
import logging
import subprocess
import sys

import pytest

from house_kit import MODULES, tree_of
from mcpc.logs import logger_of

LOGGING = [module for module in MODULES if "logger_of" in MODULES[module].read_text("utf-8")]


@pytest.mark.parametrize("module", [name for name in LOGGING if name != "mcpc.logs"])
def test_a_module_logs_under_its_own_name(module: str) -> None:
    room = vars(importlib.import_module(module))
    found = {name: value for name, value in room.items() if isinstance(value, logging.Logger)}
    own = module.replace("mcpc_transports", "mcpc.transports").replace("mcpc_stores", "mcpc.stores")
    assert found
    assert [logger.name for logger in found.values() if not logger.name.startswith("mcpc.")] == []
    assert "logger" not in found or found["logger"].name == own


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("mcpc.logs", "mcpc.cli.params")])
def test_no_module_makes_a_logger_of_another_name(module: str) -> None:
    calls = [ast.unparse(node) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    assert [call for call in calls if "getLogger" in call] == []


def test_an_adapter_s_logger_is_one_of_ours() -> None:
    assert logger_of("mcpc_transports.http.client").name == "mcpc.transports.http.client"
    assert logger_of("mcpc_stores.redis.bells").name == "mcpc.stores.redis.bells"
    assert logger_of("mcpc.server.host").name == "mcpc.server.host"
    assert logger_of("mcpc_transports.http").parent is not logging.getLogger()


@pytest.mark.parametrize(("asks", "heard"), [("", ""), ("logging.basicConfig(); ", "ERROR:mcpc.server.host:here\n")])
def test_a_program_that_asks_for_nothing_hears_nothing(asks: str, heard: str) -> None:
    code = f"import logging; {asks}from mcpc.logs import logger_of; logger_of('mcpc.server.host').error('here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200)
    assert (done.stderr, done.stdout) == (heard, "")
