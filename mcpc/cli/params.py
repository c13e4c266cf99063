"""The options and arguments that several commands take."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from mcpc.cli.completing import complete_address, complete_call, complete_server
from mcpc.cli.speech import printable

__all__ = [
    "AllowRemote",
    "AsJson",
    "Cert",
    "Config",
    "Headers",
    "Key",
    "MaybeUri",
    "Named",
    "Options",
    "Pairs",
    "Server",
    "Session",
    "Store",
    "TaskId",
    "TokenEnv",
    "ToolName",
    "Uri",
    "Verbose",
]


class _Warnings(logging.Handler):
    """Shows the library's warnings on stderr, as long as the program that is served says nothing of logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.lastResort is not None and not logging.getLogger().handlers:
            logging.lastResort.handle(record)


class _Printable(logging.Formatter):
    """Other libraries log what peers say as it is; it steers no terminal here."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


_warnings = _Warnings(logging.WARNING)


def _set_verbose(wanted: bool) -> bool:
    ours = logging.getLogger("mcpc")
    ours.addHandler(_warnings)
    if wanted:
        handler = logging.StreamHandler()
        handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.DEBUG, handlers=[handler])
        ours.setLevel(logging.DEBUG)
    return wanted


# --- a server ---

Uri = Annotated[
    str | None,
    typer.Argument(
        metavar="URI",
        help="Where the server is, or its name in a configuration.",
        show_default=False,
        autocompletion=complete_server,
    ),
]
MaybeUri = Annotated[
    str | None,
    typer.Argument(
        metavar="URI",
        help="Where the server is; for a task that was left here, it is remembered.",
        show_default=False,
        autocompletion=complete_address,
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URI|NAME",
        help="Where the server is; for a task that was left here, it is remembered.",
        autocompletion=complete_server,
    ),
]
Named = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="NAME",
        help="A server of the configuration, in place of the URI.",
        autocompletion=complete_server,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Servers by name (mcpServers). [default: $MCPC_CONFIG, or mcp.json here]",
        show_default=False,
    ),
]
TaskId = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="The task's id, as mcpc call --no-follow wrote it, or its beginning.", show_default=False
    ),
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="NAME=VALUE", help="A header of the request ('NAME: VALUE' too); may be repeated."
    ),
]
TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="VAR", help="The environment variable that holds the bearer token."),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="An option of the transport (see: mcpc transports); may be repeated.",
    ),
]

# --- a call ---

ToolName = Annotated[
    str | None, typer.Argument(metavar="TOOL", help="The tool.", show_default=False, autocompletion=complete_call)
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Its arguments, checked against the tool's schema: text where it takes text, else JSON. "
        "KEY:=VALUE is JSON always, and so is an object in braces.",
        show_default=False,
        autocompletion=complete_call,
    ),
]
Session = Annotated[
    str | None,
    typer.Option("--session", metavar="NAME", help="The conversation that the task belongs to. [default: default]"),
]

# --- listening ---

AllowRemote = Annotated[bool, typer.Option("--allow-remote", help="Bind to an address that other machines can reach.")]
Cert = Annotated[Path | None, typer.Option("--ssl-cert", help="The certificate (PEM), for wss, https and sse+https.")]
Key = Annotated[Path | None, typer.Option("--ssl-key", help="Its key, where it is in a file of its own.")]

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="Where its tasks outlive the process: sqlite:tasks.db, redis://host:6379/0. [default: $MCPC_STORE]",
        show_default=False,
    ),
]

# --- speaking ---

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write debug logs to stderr.", callback=_set_verbose, is_eager=True)
]
