"""Ports that nobody uses, for those who must know theirs before they are there."""

import secrets
import socket

__all__ = ["free_port"]

FIRST, LAST = 10_000, 32_000
"""The system gives none of these to whoever asks for any: what is free here is not taken by chance a moment later."""


def free_port() -> int:
    """A port on 127.0.0.1 that nobody uses."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
