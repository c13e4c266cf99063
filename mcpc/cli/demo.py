"""`mcpc demo`: one background tool, served over every transport here at once, followed over each."""

import shlex
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from mcpc.cli.common import COMPLETE, FAILED, VerboseOption, exit_code_of, run, say, until_signal
from mcpc.cli.demo_view import Screen, make_screen
from mcpc.cli.places import own_addresses
from mcpc.client import Client, TaskHandle
from mcpc.errors import MCPCError, URIError
from mcpc.messages import MCPCMessage, Prompt, prompt_of
from mcpc.server import listen
from mcpc.uri import parse_uri, resolve

__all__ = ["Gate", "Lane", "demo"]

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


class Gate:
    """Where all wait until the last has come, so that they start together."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._open = anyio.Event()

    async def arrive(self) -> None:
        """Come, and wait for the others."""
        self.leave()
        await self._open.wait()

    def leave(self) -> None:
        """One less to wait for."""
        self._missing -= 1
        if self._missing == 0:
            self._open.set()


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

    async def run(self, seconds: float, gate: Gate, screen: Screen) -> None:
        """Connect, wait for the others, start the task and follow it to its end."""
        options: dict[str, Any] = {"errlog": None} if self.scheme == "stdio" else {}
        client = Client(self.uri, provider="mcpc-demo", **options)
        client.on_prompt(self._answer_with(screen))
        try:
            async with client:
                self.status = "ready"
                await gate.arrive()
                await self._follow(client, seconds, screen)
        except MCPCError as exc:
            self._fail(exc)
            gate.leave()

    async def _follow(self, client: Client, seconds: float, screen: Screen) -> None:
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
            self._fail(exc)
        self.seconds = anyio.current_time() - start
        self.ended = True

    def _fail(self, exc: Exception) -> None:
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

    def _answer_with(self, screen: Screen) -> Any:
        """Somebody who reads the prompt first, and then answers it."""

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
        gate = Gate(len(lanes))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(screen.keep_fresh)
            async with anyio.create_task_group() as running:
                for lane in lanes:
                    running.start_soon(lane.run, seconds, gate, screen)
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

    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcpc-")))
    places = own_addresses(directory)
    del places["sse+http"]  # the older form of http, and one row more than a small terminal has
    for scheme, uri in places.items():
        try:
            resolve(parse_uri(uri).scheme)
            # Over stdio a client starts its server itself, so there is nothing to serve here.
            served = None if scheme == "stdio" else await stack.enter_async_context(listen(server, uri))
        except (URIError, MCPCError) as exc:
            say(f"{scheme} is left out: {exc}")
            continue
        yield Lane(scheme, f"stdio:{STDIO_CHILD}" if served is None else served.uri)
