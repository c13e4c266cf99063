"""What a worker is: how it runs, what it is called with, which of its parameters is the task.

Any callable will do: functions, methods, `functools.partial`, objects with `__call__`, wrappers of any of these, and
generators. Knows nothing of servers and runs nothing.
"""

import functools
import inspect
import types
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from mcpc.errors import MCPCError
from mcpc.server.task import SyncTask, Task

__all__ = ["Worker", "WorkerSignature", "read_worker"]

Worker = Callable[..., Any]

_NOTHING: Any = inspect.Parameter.empty
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class WorkerSignature:
    """What there is to know of a worker before it is called."""

    worker: Worker
    name: str
    description: str
    on_loop: bool
    """Whether it is called on the event loop. All others are called in a thread, whatever they then return."""
    task_name: str | None
    """The parameter that is handed the task."""
    task_type: type[Task] | type[SyncTask]
    """What it is handed."""
    positional: tuple[str, ...]
    """The parameters that are given by place."""
    aliases: dict[str, str]
    """The parameter's name by what callers call it (`Field(alias=…)`)."""
    parameters: inspect.Signature
    """What is left for callers to give, and what the worker returns."""

    def given_by_server(self) -> str | None:
        """The first parameter that a server gives for the call itself: a `Context` of the SDK's or of FastMCP's."""
        for parameter in self.parameters.parameters.values():
            bare = get_origin(parameter.annotation) or parameter.annotation
            if getattr(bare, "__name__", "") == "Context" and bare.__module__.startswith(("mcp.", "fastmcp.")):
                return parameter.name
        return None

    def bind(self, arguments: dict[str, Any], task: Task | SyncTask) -> Callable[[], Any]:
        """The call of the worker with these arguments and this task."""
        named = {self.aliases.get(name, name): value for name, value in arguments.items()}
        if self.task_name is not None:
            named[self.task_name] = task
        placed: list[Any] = []
        for name in self.positional:
            if name not in named:
                break
            placed.append(named.pop(name))
        return functools.partial(self.worker, *placed, **named)


def read_worker(worker: Worker, name: str | None = None, description: str | None = None) -> WorkerSignature:
    """Read a worker.

    Args:
        worker: The callable.
        name: The tool's name, where it is not to be the callable's own.
        description: What the model reads, where it is not to be the docstring.

    Raises:
        MCPCError: it is not callable, its annotations cannot be read, it has no name, or it asks for a task that it
            cannot use.
    """
    if not callable(worker):
        raise MCPCError(f"a worker must be callable, not a {type(worker).__name__}")
    bare = _bare(worker)
    name = name or _name_of(bare)
    signature = _signature_of(worker, name)
    found = _find_task(signature, name)
    body = _body(inspect.unwrap(bare))
    given = [p for p in signature.parameters.values() if p is not found and p.kind not in _VARIADIC]
    by_place = inspect.Parameter.POSITIONAL_ONLY
    everything = [p for p in signature.parameters.values() if p.kind is by_place]
    return WorkerSignature(
        worker=worker,
        name=name,
        description=inspect.getdoc(bare) or "" if description is None else description,
        on_loop=_is_async(_body(bare)),
        task_name=found.name if found is not None else None,
        task_type=_task_type(found, name, is_async=_is_async(body)),
        positional=tuple(p.name for p in everything),
        aliases=dict(pair for p in given for pair in _alias_of(p)),
        parameters=signature.replace(
            parameters=_by_name(given), return_annotation=_returns(signature.return_annotation, body)
        ),
    )


def _bare(worker: Worker) -> Worker:
    """The function inside `functools.partial`."""
    while isinstance(worker, functools.partial):
        worker = cast("functools.partial[Any]", worker).func
    return worker


def _name_of(bare: Worker) -> str:
    name = getattr(bare, "__name__", None) or type(bare).__name__
    if name == "<lambda>":
        raise MCPCError('a lambda has no name of its own: give the tool one, @callbacks.tool("name")')
    return name


def _signature_of(worker: Worker, name: str) -> inspect.Signature:
    try:
        return inspect.signature(worker, eval_str=True)
    except NameError as exc:
        raise MCPCError(f"{name}: an annotation cannot be read: {exc}; it must be importable where it stands") from exc
    except (TypeError, ValueError) as exc:
        raise MCPCError(f"{name}: its parameters cannot be read: {exc}") from exc


def _body(function: Any) -> Any:
    """The function that is run: an object's is its `__call__`."""
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _task_types(annotation: Any) -> set[type]:
    """Which of the two tasks an annotation asks for: bare, optional, or annotated."""
    if annotation in (Task, SyncTask):
        return {annotation}
    origin = get_origin(annotation)
    if origin is Annotated:
        return _task_types(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return {found for member in get_args(annotation) for found in _task_types(member)}
    return set()


def _find_task(signature: inspect.Signature, name: str) -> inspect.Parameter | None:
    """The parameter that is handed the task: by its annotation, or by its name where it has none."""
    parameters = signature.parameters.values()
    found = [p for p in parameters if _task_types(p.annotation)]
    if not found:
        found = [p for p in parameters if p.name == "task" and p.annotation is _NOTHING and p.kind not in _VARIADIC]
    if len(found) > 1:
        raise MCPCError(f"{name}: one parameter can be handed the task, not {' and '.join(p.name for p in found)}")
    return found[0] if found else None


def _task_type(found: inspect.Parameter | None, name: str, *, is_async: bool) -> type[Task] | type[SyncTask]:
    right, wrong = (Task, SyncTask) if is_async else (SyncTask, Task)
    asked = _task_types(found.annotation) if found is not None else set[type]()
    if asked and right not in asked:
        kind = "an async worker takes mcpc.Task" if is_async else "a sync worker takes mcpc.SyncTask"
        raise MCPCError(f"{name}: {kind}, not mcpc.{wrong.__name__}")
    return right


def _alias_of(parameter: inspect.Parameter) -> list[tuple[str, str]]:
    """The alias of a parameter, with its name; none or one."""
    about = [*get_args(parameter.annotation)[1:]] if get_origin(parameter.annotation) is Annotated else []
    fields = [field for field in (*about, parameter.default) if isinstance(field, FieldInfo)]
    return [(field.alias, parameter.name) for field in fields if field.alias][-1:]


def _by_name(given: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters as a tool has them, whose arguments all have names."""
    by_place = inspect.Parameter.POSITIONAL_ONLY
    named = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [p.replace(kind=named) if p.kind is by_place else p for p in given]


def _returns(annotation: Any, body: Any) -> Any:
    """What the worker's result is annotated as. A generator's is what it returns at its end."""
    if inspect.isasyncgenfunction(body):
        return None
    if inspect.isgeneratorfunction(body):
        arguments = get_args(annotation) if get_origin(annotation) is Generator else ()
        return arguments[2] if len(arguments) > 2 else _NOTHING
    return annotation
