"""A result on stdout: in colours on a terminal, else as text or JSON."""

from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter

from mcpc.cli.speech import printable, put
from mcpc.cli.values import as_json

__all__ = ["put_result"]


def put_result(result: Any) -> None:
    """Write what a task came to."""
    console = Console()
    if isinstance(result, str):
        put(printable(result, lines=True) if console.is_terminal else result)
    elif console.is_terminal:
        console.print(JSONHighlighter()(as_json(result, indent=2)), soft_wrap=True)
    else:
        put(as_json(result, indent=2))
