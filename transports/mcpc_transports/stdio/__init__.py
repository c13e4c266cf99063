"""`stdio:`: newline-framed JSON-RPC over the pipes of a process."""

from mcpc_transports.stdio.transport import StdioTransport

__all__ = ["StdioTransport"]
