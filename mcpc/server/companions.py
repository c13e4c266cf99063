"""Companion tools: a model in a host that waits only seconds looks after its tasks with them.

They are ordinary tools of the server, registered once, and only where a tool hands out its tasks.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp_types import CallToolResult, TextContent

from mcpc.errors import PromptError, TaskError
from mcpc.server.answers import error_result
from mcpc.server.call import current_call, current_principal
from mcpc.server.execution import Execution
from mcpc.server.handed import HandedTasks, News
from mcpc.wire.jsontext import encode_json

__all__ = ["Companions", "describe_task", "handle_answer"]

MAX_TOLD = 100
"""Entries in one answer."""

Tool = Callable[..., Awaitable[CallToolResult]]


def describe_task(execution: Execution, news: News, since: int) -> dict[str, Any]:
    """A task as a model is told of it: how it stands, and what is new since a number."""
    state = execution.state
    told = news.after(since)
    shown = told[:MAX_TOLD]
    described: dict[str, Any] = {
        "task_id": state.task_id,
        "tool_name": state.tool_name,
        "status": str(state.status),
        "news": [entry.describe() for entry in shown],
        "since": shown[-1].number if shown else max(since, news.head),
    }
    if missed := (told[0].number if told else news.head + 1) - since - 1:
        described["missed"] = missed
    if state.prompts:
        described["questions"] = [
            {"id": key, "message": prompt.message, "choices": prompt.choices, "schema": prompt.schema}
            for key, prompt in state.prompts.items()
        ]
    if state.ended and len(told) == len(shown):
        described["result"] = state.result
    return described


def handle_answer(execution: Execution, news: News, called: str) -> CallToolResult:
    """What a plain call is answered with whose task goes on.

    Args:
        execution: The task.
        news: What it has told.
        called: The name that its tool was called by: a server that mounts another puts its own word before each name.
    """
    tool_name = execution.state.tool_name
    prefix = called.removesuffix(tool_name) if called.endswith(tool_name) else ""
    told = describe_task(execution, news, 0)
    task_id = execution.state.task_id
    news_tool, *others = (f"{prefix}task_{what}" for what in ("news", "answer", "send", "stop"))
    text = (
        f"{told['tool_name']} goes on in the background as task {task_id}. "
        f'Call {news_tool} with task_id "{task_id}" and since {told["since"]} to wait for its news and its result; '
        f"{others[0]} answers its questions, {others[1]} changes what it does, {others[2]} stops it. "
        f"So far: {encode_json(told).decode()}"
    )
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=told)


class Companions:
    """The companion tools of one server, which another may mount: then they reach that one's tasks.

    Args:
        handed: The tasks that they reach.
        after: Seconds for which one of them waits at the most.
    """

    def __init__(self, handed: HandedTasks, after: float) -> None:
        self._own = handed
        self._after = after

    @property
    def _handed(self) -> HandedTasks:
        call = current_call.get()
        return self._own if call is None or call.handed is None else call.handed

    def tools(self) -> dict[str, Tool]:
        """The tools by name."""
        return {
            "task_news": self._news_tool(),
            "task_answer": self._answer_tool(),
            "task_send": self._send_tool(),
            "task_stop": self._stop_tool(),
        }

    def _news_tool(self) -> Tool:
        async def task_news(task_id: str, since: int = 0) -> CallToolResult:
            """Wait some seconds for news of a background task: its updates, log entries and questions after the number
            `since` (as the last answer gave it), its status, and its result once it has ended. Call it again until the
            status is complete or failed.
            """
            return await self._told(task_id, since, wait=True)

        return task_news

    def _answer_tool(self) -> Tool:
        async def task_answer(task_id: str, answer: Any, question_id: str = "") -> CallToolResult:
            """Answer a question that a background task asks. `question_id` is needed only where several are open."""
            return await self._steered(task_id, lambda execution: _answer(execution, answer, question_id))

        return task_answer

    def _send_tool(self) -> Tool:
        async def task_send(task_id: str, input: Any) -> CallToolResult:  # noqa: A002 - the word that the model reads
            """Send something to a background task while it runs, to change what it does."""
            return await self._steered(task_id, lambda execution: execution.give(input))

        return task_send

    def _stop_tool(self) -> Tool:
        async def task_stop(task_id: str) -> CallToolResult:
            """Stop a background task. One that has ended is left as it is."""
            return await self._steered(task_id, lambda execution: self._handed.stop(execution.state))

        return task_stop

    async def _steered(self, task_id: str, steer: Callable[[Execution], None]) -> CallToolResult:
        try:
            execution, news = self._handed.get(task_id, current_principal())
            before = news.head
            steer(execution)
        except TaskError as exc:
            return error_result(f"{type(exc).__name__}: {exc}")
        return await self._told(task_id, before, wait=True)

    async def _told(self, task_id: str, since: int, *, wait: bool) -> CallToolResult:
        try:
            execution, news = self._handed.get(task_id, current_principal())
        except TaskError as exc:
            return error_result(f"{type(exc).__name__}: {exc}")
        with anyio.move_on_after(self._after):
            while not news.after(since) and not execution.state.ended:
                await news.wait()
        told = describe_task(execution, news, since)
        return CallToolResult(
            content=[TextContent(type="text", text=encode_json(told).decode())], structured_content=told
        )


def _answer(execution: Execution, answer: Any, question_id: str) -> None:
    open_prompts = execution.state.prompts
    if not question_id and len(open_prompts) > 1:
        raise PromptError(f"several questions are open; name one: {', '.join(open_prompts)}")
    execution.answer(question_id or next(iter(open_prompts), ""), answer)
