"""An `anyio` of one module's own, so that what a test replaces there stays as it is for servers in other threads."""

from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import pytest

__all__ = ["replace_for"]


def replace_for(module: ModuleType, monkeypatch: pytest.MonkeyPatch, **names: Any) -> None:
    """Let that module alone find these in place of anyio's."""
    monkeypatch.setattr(module, "anyio", SimpleNamespace(**{**vars(anyio), **names}))
