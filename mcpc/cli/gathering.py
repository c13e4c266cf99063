"""What `mcpc bridge --config` does: every server of a configuration behind one address, until a signal."""

from collections.abc import Callable
from pathlib import Path

import mcpc
from mcpc.cli.listening import Listening
from mcpc.cli.mistakes import UserMistake, mistakes_told
from mcpc.cli.running import run
from mcpc.cli.serving import place_of, serve_at
from mcpc.cli.speech import say
from mcpc.uri import prepare

__all__ = ["Listening", "gather"]


def gather(listen_uri: str, wanted: Callable[[], Listening], config: Path | None, *, unfit: str | None) -> None:
    """Serve, at one address, all servers of a configuration.

    Args:
        listen_uri: The address.
        wanted: Reads what the command line says of listening.
        config: The configuration.
        unfit: An option that was given, and is for one server only.
    """
    with mistakes_told():
        if config is None:
            raise UserMistake("say where the server is; or, with --config FILE, let all servers of a file be bridged")
        if unfit is not None:
            raise UserMistake(f"{unfit} is for one server; say it in {config} for each, or name the server too")
        asked = wanted()
        options = asked.for_uri(listen_uri)
        asked.check_used()
        prepare(listen_uri, "listen", options)
        gateway = mcpc.Gateway(config, status_verifier=options.get("token_verifier"))

    def opened(served: mcpc.Served) -> None:
        names = ", ".join(status.name for status in gateway.status())
        say(f"bridging {len(gateway.status())} servers {place_of(served)}: {names}")

    async def serve() -> int:
        async with gateway:
            return await serve_at(gateway.server, [(listen_uri, options)], opened)

    run(serve)
