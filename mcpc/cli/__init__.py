"""The command line, `mcpc`: one file a family of commands.

It is a user of the library like any other: it holds no rule of the protocol, and
nothing imports it.
"""

from mcpc.cli.app import app, main

__all__ = ["app", "main"]
