"""`mcpc call`: run a tool as a task, and follow it."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import AsJson, Config, Headers, Named, Options, Pairs, Session, TokenEnv, ToolName, Uri, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import calling, naming
else:
    naming = later("mcpc.cli.naming")
    calling = later("mcpc.cli.calling")

__all__ = ["call"]

JsonArgs = Annotated[
    str | None, typer.Option("--json-args", metavar="JSON", help="Arguments as one JSON object, sent as it is.")
]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow/--no-follow",
        help="Wait for the end, or write the task's id once it has started, and leave (see: mcpc watch --task).",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the same call where it was cut off, if it was; until its end was shown."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Stop the task after so long a silence; what it says renews it, and its open question waits.",
        min=0.001,
    ),
]
MaxTimeout = Annotated[
    float | None,
    typer.Option("--max-timeout", metavar="SECONDS", help="Stop the task after so long, whatever comes.", min=0.001),
]


def call(
    uri: Uri = None,
    tool: ToolName = None,
    arguments: Pairs = None,
    json_args: JsonArgs = None,
    follow: Follow = True,
    resume: Resume = False,
    timeout: Timeout = None,
    max_timeout: MaxTimeout = None,
    session: Session = None,
    server: Named = None,
    config: Config = None,
    header: Headers = None,
    token_env: TokenEnv = None,
    option: Options = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Call a tool and follow it to its end.

    Progress and status go to stderr, the result to stdout. What the task asks
    is asked here, and read from stdin. Ctrl-C stops the task on the server and
    waits for its end; once more leaves at once. With --json every message
    of the task is a line of JSON on stdout. With --resume a call that was
    cut off (a killed shell, a lost machine) may be typed again: it is not
    made twice, and goes on after what was shown.

    Exit codes: 0 complete, 1 failed or timed out, 2 a mistake or no connection,
    130 interrupted.

    Examples:
      mcpc call ws://127.0.0.1:8765/mcp process_data data_id=42
      mcpc call unix:///tmp/app.sock resize size=3 tags='["a", "b"]'
      mcpc call app.py:server count n=100 --json
      mcpc call "stdio:python app.py" count 'n:=100'
      mcpc call ws://127.0.0.1:8765/mcp process_data data_id=42 --resume
      mcpc call --config mcp.json --server shop count_stock shelves=8
      mcpc call https://host/mcp report --json-args '{"year": 2026}' \\
          --token-env TOKEN
    """
    place, name, words = naming.where_and_what(server, (uri, tool, *(arguments or ())))
    calling.call(
        lambda: calling.Place.wanted(place, header, token_env, option, config),
        lambda: calling.Arguments.wanted(place, words, json_args),
        calling.Manner(name, session or "default", follow, as_json, resume, timeout, max_timeout),
    )
