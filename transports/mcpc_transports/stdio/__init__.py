"""`stdio:`: newline-framed JSON-RPC over the pipes of a process."""

from mcpc_transports.stdio.transport import StdioTransport

__all__ = ["DEFAULT_ADDRESS", "StdioTransport"]

DEFAULT_ADDRESS = "stdio:"
"""Where a server is served that is told no address: whoever runs it is its client."""
