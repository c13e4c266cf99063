"""`mcpc tools`: what a server has."""

from typing import TYPE_CHECKING

from mcpc.cli.params import AsJson, Config, Headers, Named, Options, TokenEnv, Uri, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import listing, naming
else:
    naming = later("mcpc.cli.naming")
    listing = later("mcpc.cli.listing")

__all__ = ["tools"]


def tools(
    uri: Uri = None,
    server: Named = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """List the tools of a server.

    Examples:
      mcpc tools ws://127.0.0.1:8765/mcp
      mcpc tools "stdio:python app.py" --json
      mcpc tools https://host/mcp --header X-Team=blue --token-env TOKEN
      mcpc tools --config mcp.json --server shop
    """
    place = naming.where(uri, server)
    listing.show_tools(lambda: listing.Place.wanted(place, header, token_env, option, config), as_json=as_json)
