"""What `mcpc answer`, `send`, `stop` and `status` do: they reach a task that was left running, and leave again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcpc
from mcpc.cli.asking import answer_of, ask, show_question
from mcpc.cli.connecting import Place, connected
from mcpc.cli.mistakes import COMPLETE, UserMistake
from mcpc.cli.outcome import put_result
from mcpc.cli.remembered import Remembered, find, recall
from mcpc.cli.running import run
from mcpc.cli.speech import printable, put, say
from mcpc.cli.terminal import LineReader
from mcpc.cli.values import assignments, compact, read_json, read_value
from mcpc.messages import prompt_of

__all__ = ["Where", "answer", "send", "status", "stop"]


@dataclass(frozen=True)
class Where:
    """What the command line says of a task and its server."""

    task_id: str
    uri: str | None
    headers: Sequence[str] | None
    token_env: str | None
    options: Sequence[str] | None
    config: "Path | None" = None

    def known(self) -> tuple[Remembered, Place]:
        """The task, and how its server is dialled.

        Raises:
            UserMistake, URIError: see `recall` and `Place.wanted`.
        """
        task = recall(self.task_id, self.uri, self.token_env, str(self.config) if self.config else None)
        return task, Place.wanted(task.uri, self.headers, task.token_env, self.options, task.config)


@asynccontextmanager
async def _attached(where: Where) -> AsyncGenerator[mcpc.TaskHandle]:
    """The handle of a task, once the server has told of it."""
    task, place = where.known()
    async with connected(place, reconnect=False) as client:
        try:
            yield await client.task(task.task_id, tool_name=task.tool_name)
        except mcpc.UnknownTask:
            task.forget()
            raise


def answer(where: Where, text: str | None, prompt_id: str | None) -> None:
    """Answer what a task asks; without a text, ask here."""

    async def main() -> int:
        async with _attached(where) as handle:
            prompt = _open_prompt(handle, prompt_id)
            try:
                value = await ask(prompt, LineReader()) if text is None else answer_of(prompt, text)
            except EOFError:
                raise UserMistake("standard input has ended; nothing was answered") from None
            except ValueError as exc:
                raise UserMistake(f"{exc}; the task asks: {printable(prompt.message)}") from exc
            await handle.answer(prompt.id, value)
        return COMPLETE

    run(main)


def _open_prompt(handle: mcpc.TaskHandle, prompt_id: str | None) -> mcpc.Prompt:
    """The question that is meant.

    Raises:
        UserMistake: there is none, or not only one.
    """
    found = [prompt for prompt in map(prompt_of, handle.prompts.values()) if prompt is not None]
    wanted = [prompt for prompt in found if prompt_id in (None, prompt.id)]
    if not found:
        raise UserMistake(f"the task asks nothing now; it is {handle.status}")
    if len(wanted) != 1:
        listed = "; ".join(f"{prompt.id}: {printable(prompt.message)}" for prompt in found)
        raise UserMistake(f"say with --prompt which question is answered: {listed}")
    return wanted[0]


def send(where: Where, words: Sequence[str]) -> None:
    """Send a value to a running task."""

    async def main() -> int:
        task, place = where.known()
        if task.channel is None:
            raise UserMistake("only who started a task can send to it, and this one was not left here by mcpc call")
        value = _value_of(words)
        async with connected(place, reconnect=False, channel=task.channel) as client:
            await client.task(task.task_id).send(value)
        return COMPLETE

    run(main)


def _value_of(words: Sequence[str]) -> Any:
    """`focus=recent n:=3` as an object; one word as JSON, or as text."""
    if len(words) == 1 and ("=" not in words[0] or words[0].lstrip().startswith(("{", "[", '"'))):
        return read_value(words[0])
    value: dict[str, Any] = {}
    for word in words:
        name, is_json, text = word.partition(":=")
        if is_json and "=" not in name:
            value[name] = read_json(text, f"{name}:=")
        else:
            value |= {key: read_value(each) for key, each in assignments([word], "a value").items()}
    return value


def stop(where: Where) -> None:
    """Stop a task, and wait for its end."""

    async def main() -> int:
        async with _attached(where) as handle:
            await handle.stop()
            async for _ in handle:
                pass
            say(f"the task is {'stopped' if await _was_stopped(handle) else handle.status}")
            task = find(handle.task_id)
            if task is not None:
                task.forget()
        return COMPLETE

    run(main)


async def _was_stopped(handle: mcpc.TaskHandle) -> bool:
    try:
        await handle.result()
    except mcpc.TaskStopped:
        return True
    except mcpc.TaskFailed:
        return False
    return False


def status(where: Where, *, as_json: bool) -> None:
    """Show how a task stands."""

    async def main() -> int:
        async with _attached(where) as handle:
            state = await handle.state()
            if as_json:
                put(compact(state))
            else:
                _show(handle)
                if handle.status == "complete":
                    put_result(await handle.result())
        return COMPLETE

    run(main)


def _show(handle: mcpc.TaskHandle) -> None:
    put(f"{printable(handle.tool_name)}[{handle.task_id[:8]}] {handle.status}")
    for prompt in map(prompt_of, handle.prompts.values()):
        if prompt is not None:
            show_question(prompt, put)
