"""An address of our own for each transport: on this machine, at any free port."""

from pathlib import Path

__all__ = ["own_addresses"]


def own_addresses(directory: Path) -> dict[str, str]:
    """Where to serve, by scheme; a socket file is put into `directory`. `stdio:` is the process that a client runs."""
    return {
        "memory": "memory://mcpc",
        "stdio": "stdio:",
        "unix": f"unix://{directory / 'mcpc.sock'}",
        "tcp": "tcp://127.0.0.1:0",
        "ws": "ws://127.0.0.1:0/mcp",
        "http": "http://127.0.0.1:0/mcp",
        "sse+http": "sse+http://127.0.0.1:0/sse",
    }
