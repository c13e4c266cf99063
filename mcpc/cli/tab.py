"""What typer shall not do at a Tab, as a shell waits for it: colour its texts, and check what is not yet written.

For the one it would import rich, for the other pydantic, which takes longer than all the rest. A typer that has no such
place for its checks is left as it is.
"""

import sys
from importlib import import_module
from typing import Any

__all__ = ["at_a_tab"]

CHECKS = "build_runtime_param"
"""Makes, in `typer.core`, what turns the words of a parameter into its value."""


class _AsTyped:
    """Takes the words as they are."""

    def __init__(self, description: Any) -> None:
        pass

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter."""
        return () if value is None and (param.multiple or param.nargs == -1) else value


def at_a_tab() -> None:
    """Prepare for completing.

    Raises:
        ModuleNotFoundError: there is no typer.
    """
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None
    core: Any = import_module("typer.core")
    if hasattr(core, CHECKS):
        setattr(core, CHECKS, _AsTyped)
