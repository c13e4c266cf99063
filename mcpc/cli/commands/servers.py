"""`mcpc servers`: the servers that a configuration names."""

from typing import TYPE_CHECKING

from mcpc.cli.params import AsJson, Config, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import configured
else:
    configured = later("mcpc.cli.configured")

__all__ = ["servers"]


def servers(config: Config = None, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """List the servers that a configuration names.

    It is an mcp.json as Claude Desktop, FastMCP (mcpServers) and VS Code
    (servers) have it. Each server is reached by its name with --server NAME, or
    where an address is taken. Nothing is run or dialled here, and variables
    (${NAME}, ${NAME:-default}) are shown as they are written.

    Examples:
      mcpc servers
      mcpc servers --config ~/.config/Claude/claude_desktop_config.json
      mcpc tools --config mcp.json --server shop
    """
    configured.show_servers(config, as_json=as_json)
