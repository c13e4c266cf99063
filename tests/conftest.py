"""What every test may use."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import Certificates  # noqa: E402 - beside this file


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops that the library promises."""
    return request.param


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """Certificates of one authority, made for this run."""
    return Certificates()
