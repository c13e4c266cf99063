"""`mcpc send`: send a value to a running task."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import Config, Headers, Options, Server, TaskId, TokenEnv, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import steering
else:
    steering = later("mcpc.cli.steering")

__all__ = ["send"]

Words = Annotated[
    list[str],
    typer.Argument(metavar="VALUE", help="JSON or a text; or KEY=VALUE ..., an object.", show_default=False),
]


def send(
    task: TaskId,
    value: Words,
    server: Server = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Send a value to a running task, which may work on accordingly.

    Only a task that was left here by mcpc call --no-follow can be sent to.

    Examples:
      mcpc send 5d2c6a01 focus=recent
      mcpc send 5d2c6a01 '["a", "b"]'
    """
    steering.send(steering.Where(task, server, header, token_env, option, config), value)
