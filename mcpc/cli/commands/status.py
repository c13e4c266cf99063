"""`mcpc status`: how a task stands."""

from typing import TYPE_CHECKING

from mcpc.cli.params import AsJson, Config, Headers, Options, Server, TaskId, TokenEnv, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import steering
else:
    steering = later("mcpc.cli.steering")

__all__ = ["status"]


def status(
    task: TaskId,
    server: Server = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Show how a task stands: its status, what it asks, its result.

    Examples:
      mcpc status 5d2c6a01
      mcpc status 5d2c6a01-... --server ws://127.0.0.1:8765/mcp --json
    """
    steering.status(steering.Where(task, server, header, token_env, option, config), as_json=as_json)
