"""`python -m mcpc.testing [URI]`: a peer of the contract's checks in a process of its own.

It serves `stdio:`, or the address given, whose dialable form it then writes to
its stdout as one line. A `stdio:` peer ends with its connection; any other when
its stdin ends.
"""

import argparse
import json
import sys
from typing import Any

import anyio
import anyio.to_thread

from mcpc.testing.peers import PeerEndpoint
from mcpc.transport import traits_of
from mcpc.uri import listen_at, parse_uri, resolve


async def serve(uri: str, options: dict[str, Any]) -> None:
    """Serve the checks' peers at `uri`."""
    endpoint = PeerEndpoint(own_process=True)
    async with listen_at(uri, endpoint, **options) as listener:
        if traits_of(resolve(parse_uri(uri).scheme)).spawns:
            await endpoint.idle.wait()
        else:
            sys.stdout.write(f"{listener.uri}\n")
            sys.stdout.flush()
            await anyio.to_thread.run_sync(sys.stdin.read)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m mcpc.testing", description="A peer of the transport contract's checks."
    )
    parser.add_argument("uri", help="address to serve")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the listener, as a JSON object")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="event loop to run on")
    arguments = parser.parse_args()
    anyio.run(serve, arguments.uri, arguments.options, backend=arguments.backend)


if __name__ == "__main__":
    main()
