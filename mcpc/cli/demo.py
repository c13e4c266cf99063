"""`mcpc demo`: one background tool, served over every transport here at once, followed over each."""

import shlex
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from mcpc.cli.common import COMPLETE, FAILED, VerboseOption, exit_code_of, run, say, until_signal
from mcpc.cli.demo_view import Screen, make_screen
from mcpc.client import Client, TaskHandle
from mcpc.errors import MCPCError, URIError
from mcpc.messages import MCPCMessage, Prompt, prompt_of
from mcpc.server import listen
from mcpc.uri import parse_uri, resolve

__all__ = ["Lane", "demo"]

FILES_PER_SECOND = 600
"""Updates of one task in a second: easy to carry, and more than an eye can follow."""

THINKING = 0.7
"""Seconds that the one who answers the prompt takes, so that the question can be read."""

STDIO_CHILD = shlex.join([sys.executable, "-m", "mcpc", "serve", "mcpc.cli.demo_server:server", "stdio:"])


def demo(
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, max=600, help="How long each task works.")] = 4.0,
    verbose: VerboseOption = False,
) -> None:
    """See callbacks arrive: one background tool over every transport at once.

    Real sockets and a real child process; they are gone when it ends. One
    task asks a question and is answered, one is redirected on its way. The
    exit code is 0 when every update of every task arrived, in order.

    Examples:
      mcpc demo
      mcpc demo --seconds 20
    """
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


class Lane:
    """One transport: its address, its client, its task, and what came of it."""

    def __init__(self, scheme: str, uri: str) -> None:
        self.scheme = scheme
        self.uri = uri
        self.asks = False
        self.is_redirected = False
        self.updates = 0
        self.in_order = True
        self.lost = 0
        self.progress = 0.0
        self.status = "connecting"
        self.seconds = 0.0
        self.result: Any = None
        self.failure: str | None = None
        self.ended = False
        self._last = 0

    @property
    def flawless(self) -> bool:
        """Whether everything arrived, once and in order."""
        return self.failure is None and self.in_order and self.lost == 0

    async def run(self, client: Client, seconds: float, screen: Screen) -> None:
        """Start the task and follow it to its end."""
        files = int(FILES_PER_SECOND * seconds)
        start = anyio.current_time()
        try:
            handle = await client.start_task(
                "index_files", {"files": files, "seconds": seconds, "confirm": self.asks}, overflow="block"
            )
            async for message in handle:
                self._take(message)
                if self.is_redirected and self.progress > 0.3:
                    self.is_redirected = False
                    await self._redirect(handle, screen)
            self.result = await handle.result()
            self.lost = self.result["indexed"] - self.updates
        except MCPCError as exc:
            self.fail(exc)
        self.seconds = anyio.current_time() - start
        self.ended = True

    def fail(self, exc: Exception) -> None:
        """It came to nothing."""
        self.failure = self.status = str(exc)
        self.ended = True

    def _take(self, message: MCPCMessage) -> None:
        prompt = prompt_of(message)
        if prompt is not None:
            self.status = f"? {prompt.message}"
        elif message.event == "update":
            self.updates += 1
            self.in_order = self.in_order and message.result["n"] == self._last + 1
            self._last = message.result["n"]
            self.status = message.result["status"]
            self.progress = message.result["progress"] / 100
        elif message.event == "complete":
            self.status = "complete"

    async def _redirect(self, handle: TaskHandle, screen: Screen) -> None:
        await handle.send({"focus": "recent"})
        screen.note(f"{self.scheme}: told the running task to focus on recent files")

    def answer_with(self, screen: Screen) -> Any:
        """A handler that answers the task's prompt like somebody who reads it first."""

        async def answer(prompt: Prompt) -> Any:
            screen.note(f"{self.scheme}: the task asks: {prompt.message}")
            await anyio.sleep(THINKING)
            assert prompt.choices
            screen.note(f"{self.scheme}: answered {prompt.choices[0]!r}")
            return prompt.choices[0]

        return answer


async def _show(seconds: float) -> int:
    async with AsyncExitStack() as stack:
        lanes = [lane async for lane in _serve_all(stack)]
        _cast(lanes)
        screen = stack.enter_context(make_screen(lanes))
        clients = await _connect_all(stack, lanes, screen)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(screen.keep_fresh)
            async with anyio.create_task_group() as running:
                for lane, client in clients:
                    running.start_soon(lane.run, client, seconds, screen)
            tasks.cancel_scope.cancel()
    screen.summarize()
    return COMPLETE if lanes and all(lane.flawless for lane in lanes) else FAILED


def _cast(lanes: Sequence[Lane]) -> None:
    """Who asks, and who is redirected: not the same one, where there are two."""
    names = {lane.scheme: lane for lane in lanes}
    asks = names.get("ws") or lanes[0]
    redirected = names.get("unix") or lanes[-1]
    asks.asks = True
    redirected.is_redirected = True


async def _serve_all(stack: AsyncExitStack) -> AsyncGenerator[Lane]:
    """Serve the tool over each transport that is installed."""
    from mcpc.cli.demo_server import server

    directory = Path(await stack.enter_async_context(_directory()))
    places = {
        "memory": "memory://demo",
        "stdio": "stdio:",
        "unix": f"unix://{directory / 'demo.sock'}",
        "tcp": "tcp://127.0.0.1:0",
        "ws": "ws://127.0.0.1:0/mcp",
        "http": "http://127.0.0.1:0/mcp",
    }
    for scheme, uri in places.items():
        try:
            resolve(parse_uri(uri).scheme)
            # Over stdio a client starts its server itself, so there is nothing to serve here.
            served = None if scheme == "stdio" else await stack.enter_async_context(listen(server, uri))
        except (URIError, MCPCError) as exc:
            say(f"{scheme} is left out: {exc}")
            continue
        yield Lane(scheme, f"stdio:{STDIO_CHILD}" if served is None else served.uri)


@asynccontextmanager
async def _directory() -> AsyncGenerator[str]:
    with tempfile.TemporaryDirectory(prefix="mcpc-") as name:
        yield name


async def _connect_all(stack: AsyncExitStack, lanes: Sequence[Lane], screen: Screen) -> list[tuple[Lane, Client]]:
    """A client for each lane; one that cannot connect does not keep the others from it."""
    clients: list[tuple[Lane, Client]] = []
    for lane in lanes:
        client = Client(lane.uri, provider="mcpc-demo")
        client.on_prompt(lane.answer_with(screen))
        try:
            await stack.enter_async_context(client)
        except MCPCError as exc:
            lane.fail(exc)
            continue
        lane.status = "connected"
        clients.append((lane, client))
    return clients
