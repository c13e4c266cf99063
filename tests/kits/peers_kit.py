"""What the tests with other people's clients and servers share."""

import os

import pytest

__all__ = ["ONLY_BY_MAKE_PEERS"]

ONLY_BY_MAKE_PEERS = pytest.mark.skipif(os.environ.get("MCPC_PEERS") != "1", reason="run by `make peers`")
"""For a test that fetches packages of its own."""
