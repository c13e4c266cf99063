"""Modules that are imported when something of them is first asked for: what is rarely needed costs nothing else."""

from importlib import import_module
from typing import Any

__all__ = ["later"]


class _Later:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


def later(name: str) -> Any:
    """The module `name`, imported when something of it is first asked for.

    Its importer says `from … import …` too, for type checkers, so that the arrow can be seen.
    """
    return _Later(name)
