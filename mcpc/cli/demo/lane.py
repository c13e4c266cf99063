"""One transport of the demo: its client, its task, and what came of it. Knows nothing of how that is shown."""

from collections.abc import Callable
from typing import Any

import anyio

import mcpc
from mcpc.messages import prompt_of
from mcpc.uri import resolve, transport_options

__all__ = ["Gate", "Lane"]

FILES_PER_SECOND = 600
"""Updates of one task in a second: easy to carry, and more than an eye can follow."""

THINKING = 0.7
"""Seconds that the one who answers the prompt takes, so that the question can be read."""


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
        self.updates: int = 0
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

    async def run(self, seconds: float, gate: Gate, note: Callable[[str], None]) -> None:
        """Connect, wait for the others, start the task and follow it to its end."""
        known = transport_options(resolve(self.scheme), "connect")
        options: dict[str, Any] = {"errlog": None} if "errlog" in known else {}
        client = mcpc.Client(self.uri, provider="mcpc-demo", **options)
        client.on_prompt(self._answer_with(note))
        try:
            async with client:
                self.status = "ready"
                await gate.arrive()
                await self._follow(client, seconds, note)
        except mcpc.MCPCError as exc:
            self._fail(exc)
            gate.leave()

    async def _follow(self, client: mcpc.Client, seconds: float, note: Callable[[str], None]) -> None:
        files = int(FILES_PER_SECOND * seconds)
        start = anyio.current_time()
        try:
            handle = await client.start_task(
                "index_files", {"files": files, "seconds": seconds, "confirm": self.asks}, overflow="block"
            )
            async for message in handle:
                self._take(message)
                if self.is_redirected and self.progress > 0.3:
                    self.is_redirected: bool = False
                    await self._redirect(handle, note)
            self.result = await handle.result()
            self.lost: int = self.result["indexed"] - self.updates
        except mcpc.MCPCError as exc:
            self._fail(exc)
        self.seconds: float = anyio.current_time() - start
        self.ended = True

    def _fail(self, exc: Exception) -> None:
        """It came to nothing."""
        self.failure = self.status = str(exc)
        self.ended: bool = True

    def _take(self, message: mcpc.MCPCMessage) -> None:
        prompt = prompt_of(message)
        if prompt is not None:
            self.status = f"? {prompt.message}"
        elif message.event == "update":
            self.updates += 1
            self.in_order: bool = self.in_order and message.result["n"] == self._last + 1
            self._last = message.result["n"]
            self.status = message.result["status"]
            self.progress: float = message.result["progress"] / 100
        elif message.event == "complete":
            self.status: str = "complete"

    async def _redirect(self, handle: mcpc.TaskHandle, note: Callable[[str], None]) -> None:
        await handle.send({"focus": "recent"})
        note(f"{self.scheme}: told the running task to focus on recent files")

    def _answer_with(self, note: Callable[[str], None]) -> Any:
        """Somebody who reads the prompt first, and then answers it."""

        async def answer(prompt: mcpc.Prompt) -> Any:
            note(f"{self.scheme}: the task asks: {prompt.message}")
            await anyio.sleep(THINKING)
            assert prompt.choices
            note(f"{self.scheme}: answered {prompt.choices[0]!r}")
            return prompt.choices[0]

        return answer
