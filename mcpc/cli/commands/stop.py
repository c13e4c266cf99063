"""`mcpc stop`: stop a running task."""

from typing import TYPE_CHECKING

from mcpc.cli.params import Config, Headers, Options, Server, TaskId, TokenEnv, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import steering
else:
    steering = later("mcpc.cli.steering")

__all__ = ["stop"]


def stop(
    task: TaskId,
    server: Server = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Stop a running task, and wait for its end.

    Examples:
      mcpc stop 5d2c6a01
      mcpc stop 5d2c6a01-... --server ws://127.0.0.1:8765/mcp
    """
    steering.stop(steering.Where(task, server, header, token_env, option, config))
