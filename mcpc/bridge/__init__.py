"""Any transport in, any transport out: clients at one address reach the server at another.

The bridge knows JSON-RPC (ids, tokens, who waits for what) and nothing of what
tools, tasks or callbacks are: they cross because every message does.
"""

from mcpc.bridge.serving import bridge, bridging

__all__ = ["bridge", "bridging"]
