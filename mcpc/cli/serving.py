"""What `mcpc serve` does: a server object at one or more addresses, until a signal."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio

import mcpc
from mcpc.cli.addresses import check_scheme
from mcpc.cli.listening import Listening
from mcpc.cli.loading import load_server
from mcpc.cli.mistakes import COMPLETE, UserMistake, mistakes_told
from mcpc.cli.running import run, until_signal
from mcpc.cli.speech import say
from mcpc.cli.store_option import check_store, choose_store
from mcpc.transport import traits_of
from mcpc.uri import default_address, parse_uri, resolve

__all__ = ["Listening", "place_of", "serve", "serve_at"]

FLAGS = {"allow_remote=True": "--allow-remote", "a token_verifier": "--token-env", "a token verifier": "--token-env"}
"""What transports advise a program to pass, as the command line has it."""


def serve(target: str, uris: Sequence[str], wanted: Callable[[], Listening], store: str | None) -> None:
    """Serve the server that `target` names, at every address; at our own stdin and stdout where there is none."""
    with mistakes_told():
        asked = wanted()
        for uri in uris:
            check_scheme(uri)
        choose_store(store)
        places = [(uri, asked.for_uri(uri)) for uri in uris or (default_address(),)]
        asked.check_used()
        server = load_server(target)

    def opened(served: mcpc.Served) -> None:
        check_store(served.store, store)
        say(f"serving {served.name} {place_of(served)}")

    run(lambda: serve_at(server, places, opened))


async def serve_at(
    server: Any, places: Sequence[tuple[str, dict[str, Any]]], opened: Callable[[mcpc.Served], None]
) -> int:
    """Serve at every place until a signal, or until the client of our stdin leaves.

    Args:
        server: The server.
        places: Addresses, each with its options.
        opened: Told of each address.
    """
    over = anyio.Event()
    addresses: list[mcpc.Served] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wait_for_signal, over)
        async with AsyncExitStack() as stack:
            for uri, options in places:
                served = await _listen(stack, server, uri, options)
                addresses.append(served)
                opened(served)
                tasks.start_soon(_wait_for_end, served, over)
            # Waited for, not cancelled: a cancellation would reach the connections before their last messages are sent.
            await over.wait()
            await addresses[0].wind_down()  # all of the server, before the first address closes
        tasks.cancel_scope.cancel()
    return COMPLETE


async def _listen(stack: AsyncExitStack, server: Any, uri: str, options: dict[str, Any]) -> mcpc.Served:
    """Open one address; what its transport advises is said in flags."""
    try:
        return await stack.enter_async_context(mcpc.listen(server, uri, **options))
    except mcpc.MCPCError as exc:
        text = str(exc)
        for argument, flag in FLAGS.items():
            text = text.replace(argument, flag)
        raise UserMistake(text) from exc


async def _wait_for_signal(over: anyio.Event) -> None:
    await until_signal()
    over.set()


async def _wait_for_end(served: mcpc.Served, over: anyio.Event) -> None:
    await served.finished()
    over.set()


def place_of(served: mcpc.Served) -> str:
    """Where it is served, in words."""
    own = traits_of(resolve(parse_uri(served.uri).scheme)).spawns
    return "on stdin and stdout" if own else f"at {served.uri}"
