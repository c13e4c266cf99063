"""What every test may use."""

import secrets
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "kits"))

from redis_kit import RedisServer, redis_server
from support import ASYNCIO_ONLY, Certificates

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops that the library promises."""
    return request.param


@pytest.fixture(autouse=True)
def both_loops_where_the_transport_has_both(request: pytest.FixtureRequest) -> None:
    """A test of a scheme that is served on asyncio only is not run on trio."""
    found: Any = getattr(request.node, "callspec", None)
    parameters: dict[str, Any] = found.params if found is not None else {}
    if parameters.get("anyio_backend") == "trio" and parameters.get("scheme") in ASYNCIO_ONLY:
        pytest.skip("HTTP is served on asyncio only")


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """Certificates of one authority, made for this run."""
    return Certificates()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """A Redis for all tests of a file."""
    with redis_server("valkey", tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["sqlite", "memory", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind, by its URI."""
    if request.param != "redis":
        return f"{request.param}:{tmp_path}/tasks.db"
    server: RedisServer = request.getfixturevalue("redis")
    return f"{server.uri}?prefix={secrets.token_hex(4)}:"
