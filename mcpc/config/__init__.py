"""Servers by name: what a configuration file (`mcpServers`) says of each, as an address and its options.

The format is the one of Claude Desktop, VS Code (`servers`) and FastMCP. Nothing is dialled and nothing is run here.
"""

from mcpc.config.entry import NamedServer
from mcpc.config.servers import named_server, named_servers

__all__ = ["NamedServer", "named_server", "named_servers"]
