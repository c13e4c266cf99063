"""A result on stdout: in colours on a terminal, else as text or JSON."""

import json
from typing import Any

from rich.console import Console

from mcpc.cli.speech import printable, put

__all__ = ["put_result"]


def put_result(result: Any) -> None:
    """Write what a task came to."""
    console = Console()
    if isinstance(result, str):
        put(printable(result, lines=True) if console.is_terminal else result)
    elif console.is_terminal:
        console.print_json(data=result, ensure_ascii=False)
    else:
        put(json.dumps(result, indent=2, ensure_ascii=False))
