"""What every test may use."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "kits"))

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
