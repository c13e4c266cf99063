"""How the examples are run: both sides in one process, or either alone.

python examples/prompts.py                                   both, over a WebSocket
python examples/prompts.py unix:///tmp/example.sock          both, over that address
python examples/prompts.py stdio:                            the server as a child process
python examples/prompts.py --serve tcp://127.0.0.1:9000      the server alone
python examples/prompts.py --connect tcp://127.0.0.1:9000    the client alone
"""

import argparse
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

import mcpc


def main(server: Any, conversation: Callable[[mcpc.Client], Awaitable[None]]) -> None:
    """Run an example as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("uri", nargs="?", default="ws://127.0.0.1:0/mcp")
    parser.add_argument("--serve", metavar="URI")
    parser.add_argument("--connect", metavar="URI")
    wanted = parser.parse_args()
    if wanted.serve:
        mcpc.run(server, wanted.serve)
    elif wanted.connect or wanted.uri == "stdio:":
        itself = f"stdio:{shlex.join([sys.executable, sys.argv[0], '--serve', 'stdio:'])}"
        anyio.run(talk, wanted.connect or itself, conversation)
    else:
        anyio.run(serve_and_talk, server, wanted.uri, conversation)


async def talk(uri: str, conversation: Callable[[mcpc.Client], Awaitable[None]]) -> None:
    async with mcpc.Client(uri) as client:
        await conversation(client)


async def serve_and_talk(server: Any, uri: str, conversation: Callable[[mcpc.Client], Awaitable[None]]) -> None:
    async with mcpc.listen(server, uri) as listener:
        await talk(listener.uri, conversation)
