"""What a model can do with background tasks, as plain async functions from text to text."""

from collections.abc import Awaitable, Callable
from functools import update_wrapper
from inspect import signature
from typing import Any, cast

from mcp.shared.exceptions import MCPError

from mcpc.agents.board import Board
from mcpc.agents.items import clipped, short_id, word
from mcpc.agents.news import News
from mcpc.agents.values import answer_value, arguments_of, input_value
from mcpc.client import Client, TaskHandle
from mcpc.errors import MCPCError, PromptError, TaskEnded, UnknownTask
from mcpc.messages import Prompt

__all__ = ["MAX_WAIT", "Toolbox"]

MAX_WAIT = 300.0
"""Seconds that a model may wait for news at the most."""

ToolFn = Callable[..., Awaitable[str]]


class Toolbox:
    """The functions that a model is given.

    Args:
        client: Whose server's tools are started.
        board: The open tasks and questions.
        session_id: The conversation that tasks belong to.
        wait: Waits so many seconds for news.
        answered: Told of a question that is closed.
        limit: Characters of an answer at the most.
    """

    def __init__(
        self,
        client: Client,
        board: Board,
        *,
        session_id: str,
        wait: Callable[[float], Awaitable[News | None]],
        answered: Callable[[Prompt], None],
        limit: int,
    ) -> None:
        self._client = client
        self._board = board
        self._session_id = session_id
        self._wait = wait
        self._answered = answered
        self._limit = limit
        self._handles: dict[str, TaskHandle] = {}
        """The open tasks: a handle is what they are steered by, and whoever began one may not have kept it."""

    def functions(self) -> list[ToolFn]:
        """The functions, each with a docstring and annotations."""
        methods: list[ToolFn] = [
            self.start_task,
            self.send_to_task,
            self.answer_question,
            self.stop_task,
            self.wait_for_news,
            self.list_tasks,
        ]
        return [self._plain(method) for method in methods]

    def _plain(self, method: ToolFn) -> ToolFn:
        """A method as a function of its own, that tells a mistake instead of raising."""

        async def function(*args: Any, **kwargs: Any) -> str:
            try:
                return clipped(await method(*args, **kwargs), self._limit)
            except (MCPCError, MCPError, ValueError) as exc:
                return clipped(f"error: {exc}", self._limit)

        update_wrapper(function, method)
        shown = cast("Any", function)
        del shown.__wrapped__  # a framework that follows it finds `self`
        shown.__signature__ = signature(method)
        return function

    def hold(self, task_id: str) -> None:
        """Keep the handle of a task that has begun, so that it can be steered."""
        handle = self._client.tasks.get(task_id)
        if handle is not None:
            self._handles[task_id] = handle

    def let_go(self, task_id: str) -> None:
        """The task has ended."""
        self._handles.pop(task_id, None)

    async def start_task(self, tool: str, arguments: str = "{}") -> str:
        """Start a tool in the background. It answers at once; what becomes of it comes as news.

        Args:
            tool: The tool's name, as list_tasks shows it.
            arguments: Its arguments, as a JSON object.
        """
        values = arguments_of(arguments)
        # The inbox reads the messages, so what waits in the handle is for nobody and may go.
        handle = await self._client.start_task(
            tool, values, session_id=self._session_id, capacity=1, overflow="drop_oldest"
        )
        if handle.ended:
            return f"task {short_id(handle.task_id)} has ended already; its result is in the news"
        self._handles[handle.task_id] = handle
        return f"started task {short_id(handle.task_id)}"

    async def send_to_task(self, task: str, message: str) -> str:
        """Send something to a running task, to change what it does.

        Args:
            task: The task's id, or its beginning.
            message: What to send: a text, or a JSON object.
        """
        handle = self._handle(task)
        await handle.send(input_value(message))
        return f"sent to task {short_id(handle.task_id)}"

    async def answer_question(self, question: str, answer: str) -> str:
        """Answer a question that a task asks.

        Args:
            question: The question's id, as the news give it.
            answer: The answer: one of the choices, or a value of the schema as JSON, or a text.
        """
        prompt = self._board.questions.get(question)
        if prompt is None:
            return f"error: no open question has the id {word(question)}; {self._open_questions()}"
        try:
            await self._handle(prompt.task_id or "").answer(prompt.id, answer_value(answer, prompt))
        except (TaskEnded, UnknownTask):
            self._answered(prompt)
            raise
        except PromptError as exc:
            if "no such" in str(exc) or "has been answered" in str(exc):
                self._answered(prompt)
            raise
        self._answered(prompt)
        return "answered"

    async def stop_task(self, task: str) -> str:
        """Stop a running task. Its end comes as news.

        Args:
            task: The task's id, or its beginning.
        """
        handle = self._handle(task)
        await handle.stop()
        return f"task {short_id(handle.task_id)} was asked to stop"

    async def wait_for_news(self, seconds: float = 30.0) -> str:
        """Wait until a task ends or asks, or something else happens, and read what there is.

        Args:
            seconds: How long to wait at the most, up to 300.
        """
        news = await self._wait(min(max(float(seconds), 0.0), MAX_WAIT))
        return str(news) if news is not None else f"No news. {self._running()}"

    async def list_tasks(self) -> str:
        """List the tasks that run, the open questions, and the tools that can be started."""
        listed = await self._client.list_tools()
        tools = [f"- {word(tool.name)}: {_one_line(tool.description)} {_parameters(tool)}" for tool in listed.tools]
        return "\n".join((self._running(), self._open_questions(), "Tools that can be started:", *tools))

    def _running(self) -> str:
        tasks = self._board.open.values()
        named = [f"{short_id(task.task_id)} {word(task.tool_name)} ({task.status})" for task in tasks]
        return f"Running: {', '.join(named)}." if named else "No task is running."

    def _open_questions(self) -> str:
        named = [f"{word(each.id)} of {short_id(each.task_id or '')}" for each in self._board.questions.values()]
        return f"Open questions: {', '.join(named)}." if named else "No question is open."

    def _handle(self, given: str) -> TaskHandle:
        """The handle of a running task, by its id or the beginning of one.

        Raises:
            ValueError: there is none, or more than one.
        """
        given = given.strip()
        found = [task_id for task_id in self._board.open if given and task_id.startswith(given)]
        if len(found) != 1:
            what = "no running task has" if not found else f"{len(found)} running tasks have"
            raise ValueError(f"{what} an id that begins with {word(given)}. {self._running()}")
        task_id = found[0]
        known = self._handles.get(task_id) or self._client.tasks.get(task_id)
        return known or self._client.task(task_id, session_id=self._session_id)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())[:200]


def _parameters(tool: Any) -> str:
    schema: dict[str, Any] = tool.input_schema
    properties: Any = schema.get("properties")
    names = list(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else []
    return f"(arguments: {', '.join(map(word, names))})" if names else "(no arguments)"
