"""Many servers as one: `Gateway` starts and watches them, and is a server whose tools are theirs, prefixed.

It is a client of each and a server to all, and has no words of its own on the wire.
"""

from mcpc.gateway.gateway import Gateway
from mcpc.gateway.status import ServerStatus

__all__ = ["Gateway", "ServerStatus"]
