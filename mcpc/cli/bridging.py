"""What `mcpc bridge` does: an address served by the server at another, until a signal."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio

import mcpc
from mcpc.cli.addresses import check_scheme
from mcpc.cli.connecting import Place
from mcpc.cli.listening import Listening
from mcpc.cli.mistakes import COMPLETE, mistakes_told
from mcpc.cli.running import run, until_signal
from mcpc.cli.speech import say
from mcpc.transport import EndingListener, Listener, until_finished
from mcpc.uri import prepare

__all__ = ["Listening", "Place", "bridge"]


def bridge(listen_uri: str, wanted: Callable[[], Listening], target: Callable[[], Place], *, shared: bool) -> None:
    """Serve, at one address, the server at another."""
    with mistakes_told():
        asked = wanted()
        check_scheme(listen_uri)
        options = asked.for_uri(listen_uri)
        asked.check_used()
        prepare(listen_uri, "listen", options)
        place = target()
    run(lambda: _bridge(listen_uri, options, place, shared))


async def _bridge(listen_uri: str, options: Mapping[str, Any], place: Place, shared: bool) -> int:
    """Serve until a signal, or until the client of our stdin leaves."""
    opened = mcpc.bridging(listen_uri, place.uri, shared=shared, listen_options=options, connect_options=place.options)
    async with opened as listener, anyio.create_task_group() as tasks:
        own = isinstance(listener, EndingListener)
        say(f"bridging {'on stdin and stdout' if own else f'at {listener.uri}'}")
        tasks.start_soon(_leave, listener, tasks.cancel_scope)
        await until_signal()
        tasks.cancel_scope.cancel()
    return COMPLETE


async def _leave(listener: Listener, scope: anyio.CancelScope) -> None:
    await until_finished(listener)
    scope.cancel()
