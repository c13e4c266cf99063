"""What an address of each family looks like, with the scheme left open: for a shell's Tab key, so nothing else is here.

Found through the entry-point group `mcpc.examples`. Each is its transport's `Traits.example`, too.
"""

__all__ = ["MEMORY", "SSE", "STDIO", "STREAMABLE_HTTP", "TCP", "UNIX", "WEBSOCKET"]

MEMORY = "{scheme}://"
STDIO = "{scheme}:"
UNIX = "{scheme}:///tmp/mcp.sock"
TCP = "{scheme}://127.0.0.1:8765"
WEBSOCKET = "{scheme}://127.0.0.1:8765/mcp"
STREAMABLE_HTTP = "{scheme}://127.0.0.1:8765/mcp"
SSE = "{scheme}://127.0.0.1:8765/sse"
