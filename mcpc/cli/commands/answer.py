"""`mcpc answer`: answer what a task asks."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import Config, Headers, Options, Server, TaskId, TokenEnv, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import steering
else:
    steering = later("mcpc.cli.steering")

__all__ = ["answer"]

Value = Annotated[
    str | None,
    typer.Argument(
        metavar="ANSWER",
        help="A choice or its number, a text, or JSON. Without it, it is asked here.",
        show_default=False,
    ),
]
PromptId = Annotated[str | None, typer.Option("--prompt", metavar="ID", help="Which question, where several are open.")]


def answer(
    task: TaskId,
    text: Value = None,
    prompt: PromptId = None,
    server: Server = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Answer what a running task asks.

    Exit codes: 0 the server took the answer, 2 a mistake, or it did not.

    Examples:
      mcpc answer 5d2c6a01 "Ant Ltd"
      mcpc answer 5d2c6a01 2
      mcpc answer 5d2c6a01-... --server ws://127.0.0.1:8765/mcp
    """
    steering.answer(steering.Where(task, server, header, token_env, option, config), text, prompt)
