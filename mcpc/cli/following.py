"""A task followed to its end: its messages shown, its questions asked here, Ctrl-C carried to the server."""

from typing import Any

import anyio
from mcp import MCPError

import mcpc
from mcpc.cli.asking import ask
from mcpc.cli.mistakes import exit_code_of
from mcpc.cli.running import until_signal
from mcpc.cli.terminal import LineReader
from mcpc.cli.values import read_value
from mcpc.cli.views import View
from mcpc.messages import prompt_of

__all__ = ["Follower", "Interruption"]


class Follower:
    """Follows one task.

    Args:
        handle: The task.
        view: Where it is shown.
        as_json: Whether answers are read as JSON, without a word.
        ours: Whether the task is ours: then it is stopped where nobody is there any more to answer it.
    """

    def __init__(self, handle: mcpc.TaskHandle, view: View, *, as_json: bool, ours: bool = True) -> None:
        self._handle = handle
        self._view = view
        self._as_json = as_json
        self._ours = ours
        self._lines = LineReader()
        self._one_question = anyio.Lock()
        self.unanswered: mcpc.Prompt | None = None
        """What was asked when nobody was there any more to answer; one of ours is stopped for it."""

    async def follow(self) -> None:
        """Show what comes, and ask what is asked, to the end."""
        async with anyio.create_task_group() as tasks:
            async for message in self._handle:
                self._view.show(message)
                prompt = prompt_of(message)
                if prompt is not None:
                    tasks.start_soon(self._ask, prompt)
            tasks.cancel_scope.cancel()
        self._view.close()

    async def _ask(self, prompt: mcpc.Prompt) -> None:
        """Ask until the server takes the answer; without anybody to ask, stop the task."""
        async with self._one_question:
            try:
                while not await self._is_answered(prompt):
                    pass
            except EOFError:
                self.unanswered = prompt
                if self._ours:
                    await self._handle.stop()

    async def _is_answered(self, prompt: mcpc.Prompt) -> bool:
        """Ask once; whether nobody waits for another answer.

        Raises:
            EOFError: standard input has ended.
        """
        answer = await self._read_answer(prompt)
        try:
            await self._handle.answer(prompt.id, answer)
        except mcpc.PromptError as exc:
            self._view.note(f"  {exc}")
            return not str(exc).startswith("the answer")  # else it was answered already, or timed out
        except mcpc.MCPCError as exc:
            self._view.note(f"  the answer came too late: {exc}")
        return True

    async def _read_answer(self, prompt: mcpc.Prompt) -> Any:
        if self._as_json:
            return read_value(await self._lines.read_line())
        self._view.pause()
        return await ask(prompt, self._lines)


class Interruption:
    """What Ctrl-C means while a task is followed: the first one stops it on the server, the next one ends us."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._number = 0
        self.handle: mcpc.TaskHandle | None = None
        """The task, once there is one."""
        self.is_away = False
        """Whether the connection is lost: then nobody can be told to stop."""

    @property
    def exit_code(self) -> int:
        """That of the signal; 0 where there was none."""
        return exit_code_of(self._number) if self._number else 0

    async def wait(self, scope: anyio.CancelScope) -> None:
        """Obey the signals; where nothing is left to stop, cancel `scope`."""
        self._number = await until_signal()
        if self.handle is not None and not self.handle.ended:
            if self.is_away:
                self._view.note("the task could not be stopped: the connection was lost")
            else:
                await self._stop(self.handle)
        scope.cancel()

    async def _stop(self, handle: mcpc.TaskHandle) -> None:
        self._view.note("stopping the task (Ctrl-C again to leave at once) ...")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_to_stop, handle, tasks.cancel_scope)
            self._number = await until_signal()
            tasks.cancel_scope.cancel()

    async def _ask_to_stop(self, handle: mcpc.TaskHandle, scope: anyio.CancelScope) -> None:
        try:
            await handle.stop()
        except (mcpc.MCPCError, MCPError) as exc:
            if not handle.ended:  # else it ended while the server was asked, and the client is closing
                self._view.note(f"the task could not be stopped: {exc}")
            scope.cancel()
