"""`--store`: where a server that is loaded keeps its tasks, as far as its own code does not say it."""

import os

import mcpc
from mcpc.cli.mistakes import UserMistake

__all__ = ["check_store", "choose_store"]

VARIABLE = "MCPC_STORE"
"""Read by `mcpc.MCPCHelper` where it is told of no store."""


def choose_store(uri: str | None) -> None:
    """Let servers that are loaded from now on have this store; None leaves it to them and to the environment.

    Raises:
        URIError: the address cannot be used.
    """
    if uri is not None:
        mcpc.open_store(uri)  # an address that cannot be used is told of before anything is imported
        os.environ[VARIABLE] = uri


def check_store(actual: str | None, wanted: str | None) -> None:
    """See that a server has the store that was asked for.

    Raises:
        UserMistake: its code gives it another one.
    """
    if wanted is not None and actual != wanted:
        raise UserMistake("--store: the server's own code gives it another store; leave one of the two out")
