"""What `mcpc demo` does: it serves one tool over every transport here, and follows a task over each at once."""

import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

import mcpc
from mcpc.cli.addresses import command_address, is_command
from mcpc.cli.demo.lane import Gate, Lane
from mcpc.cli.demo.server import server
from mcpc.cli.demo.view import make_screen
from mcpc.cli.mistakes import COMPLETE, FAILED, exit_code_of
from mcpc.cli.places import newest, own_addresses
from mcpc.cli.running import run, until_signal
from mcpc.cli.speech import say

__all__ = ["show_demo"]

TARGET = "mcpc.cli.demo.server:server"


def show_demo(seconds: float) -> None:
    """Run the demo."""
    run(lambda: _demo(seconds))


async def _demo(seconds: float) -> int:
    """Run it; Ctrl-C leaves nothing behind either."""
    code = FAILED
    interrupted_by = 0

    async def obey_signals() -> None:
        nonlocal interrupted_by
        interrupted_by = await until_signal()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey_signals)
        code = await _show(seconds)
        tasks.cancel_scope.cancel()
    return exit_code_of(interrupted_by) if interrupted_by else code


async def _show(seconds: float) -> int:
    async with AsyncExitStack() as stack:
        lanes = [lane async for lane in _serve_all(stack)]
        _cast(lanes)
        screen = stack.enter_context(make_screen(lanes))
        gate = Gate(len(lanes))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(screen.keep_fresh)
            async with anyio.create_task_group() as running:
                for lane in lanes:
                    running.start_soon(lane.run, seconds, gate, screen.note)
            tasks.cancel_scope.cancel()
    screen.summarize()
    return COMPLETE if lanes and all(lane.flawless for lane in lanes) else FAILED


def _cast(lanes: Sequence[Lane]) -> None:
    """Who asks, and who is redirected: not the same one, where there are two."""
    asks, redirected = lanes[2 * len(lanes) // 3], lanes[len(lanes) // 3]
    asks.asks = True
    redirected.is_redirected = True


async def _serve_all(stack: AsyncExitStack) -> AsyncGenerator[Lane]:
    """Serve the tool over each transport that is installed."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcpc-")))
    for scheme, uri in newest(own_addresses(directory)).items():  # with the older forms, rows for a larger terminal
        if is_command(uri):
            # A client starts its server itself, so there is nothing to serve here.
            yield Lane(scheme, command_address(uri, TARGET))
            continue
        try:
            served = await stack.enter_async_context(mcpc.listen(server, uri))
        except mcpc.MCPCError as exc:
            say(f"{scheme} is left out: {exc}")
            continue
        yield Lane(scheme, served.uri)
