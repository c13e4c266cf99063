"""`unix:` and `tcp:`: newline-framed JSON-RPC over stream sockets."""

from mcpc_transports.sockets.tcp import TcpTransport
from mcpc_transports.sockets.unix import UnixTransport

__all__ = ["TcpTransport", "UnixTransport"]
