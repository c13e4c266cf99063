"""What `mcpc servers` does: it lists what a configuration names."""

from pathlib import Path

import mcpc
from mcpc.cli.config_file import configuration
from mcpc.cli.mistakes import UserMistake, mistakes_told
from mcpc.cli.speech import printable, put, say
from mcpc.cli.values import compact

__all__ = ["show_servers"]


def show_servers(chosen: Path | None, *, as_json: bool) -> None:
    """List the servers of a configuration, each with its address or with what is wrong with it."""
    with mistakes_told():
        path = configuration(chosen)
        if path is None:
            raise UserMistake("there is no mcp.json here; name one with --config FILE, or in MCPC_CONFIG")
        found = mcpc.named_servers(path)
        rows = [(server.name, *_address(server)) for server in found]
        if as_json:
            put(compact([{"name": name, "uri": uri, "problem": problem} for name, uri, problem in rows]))
            return
        width = max((len(printable(name)) for name, _, _ in rows), default=0)
        for name, uri, problem in rows:
            put(f"{printable(name):<{width}}  {printable(uri or f'({problem})')}")
        if not rows:
            say(f"{path} names no servers")


def _address(server: mcpc.NamedServer) -> tuple[str | None, str | None]:
    """Where it is, as it is written; or what is wrong."""
    try:
        return server.written_uri, None
    except mcpc.ConfigError as exc:
        return None, str(exc).rpartition(f"server {server.name!r}: ")[2]
