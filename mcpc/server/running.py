"""`run`: serving as all that a thread does, most often the main one."""

import signal
import threading
from collections.abc import Mapping
from typing import Any, Literal, Unpack

import anyio

from mcpc.detached import loop_runs
from mcpc.ending import ProcessEnd
from mcpc.options import ListenOptions, merged
from mcpc.server.serving import KEYWORDS, Told, serve
from mcpc.transport import URI
from mcpc.uri import default_address, prepare

__all__ = ["run"]

IN_A_LOOP = (
    "mcpc.run() starts an event loop, and one runs here already (a notebook, an async function): "
    "write `await mcpc.serve(server, uri)`, or `async with mcpc.listen(server, uri)`"
)


def run(
    server: Any,
    uri: str | URI | None = None,
    *,
    backend: Literal["asyncio", "trio"] = "asyncio",
    on_listening: Told | None = None,
    transport_options: Mapping[str, Any] | None = None,
    **options: Unpack[ListenOptions],
) -> None:
    """Serve `server` at `uri`, blocking, until Ctrl-C or SIGTERM (or, over `stdio:`, until the client leaves).

    In a thread other than the main one there are no signals: it then serves until the process ends, so make the
    thread a daemon. To stop it earlier, use `serve` in an event loop of your own, and cancel it.

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        uri: Where; this process's own stdin and stdout (`stdio:`), where it is left out.
        backend: The event loop.
        on_listening: Called with the address that can be dialled (the real port), once it can be.
        transport_options: More of them, for a transport whose options are not among `ListenOptions`.
        options: The transport's options for listening.

    Raises:
        URIError, ListenFailed, MCPCError, TypeError: see `listen`.
        RuntimeError: an event loop runs here already, as in a notebook.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    address = default_address() if uri is None else uri
    given = merged(options, transport_options)
    prepare(address, "listen", given, KEYWORDS)
    if loop_runs():
        raise RuntimeError(IN_A_LOOP)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            if in_main_thread:
                tasks.start_soon(_until_signal, tasks.cancel_scope)
            try:
                await serve(server, address, on_listening=on_listening, transport_options=given)
            except Exception as exc:
                failures.append(exc)
            finally:
                if in_main_thread:  # elsewhere the process goes on
                    end.begin()
            tasks.cancel_scope.cancel()

    failures: list[Exception] = []
    end = ProcessEnd()
    anyio.run(main, backend=backend)
    end.over()
    if failures:
        raise failures[0]


async def _until_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return
