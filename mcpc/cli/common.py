"""What the commands share: options, how a command runs, how it speaks and how it ends."""

import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, cast, get_type_hints

import anyio
import typer
from mcp.shared.exceptions import MCPError
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from mcpc.errors import MCPCError
from mcpc.transport import Transport
from mcpc.uri import prepare

__all__ = [
    "COMPLETE",
    "FAILED",
    "MISTAKE",
    "HeaderOption",
    "JsonOption",
    "OptionOption",
    "OutputEnded",
    "TokenOption",
    "UserMistake",
    "VerboseOption",
    "assignments",
    "check_types",
    "compact",
    "connect_options",
    "exit_code_of",
    "mistakes_told",
    "printable",
    "put",
    "read_value",
    "run",
    "say",
    "say_error",
    "token_from",
    "until_signal",
]

logger = logging.getLogger("mcpc")

COMPLETE, FAILED, MISTAKE = 0, 1, 2
"""Exit codes; an interrupted command ends with 128 and the signal's number, as shells have it."""

READER_LEFT = 141
"""The exit code where nobody reads our stdout any more: that of SIGPIPE, which not every system has."""


class UserMistake(Exception):
    """The command cannot do what it was told; the message says why, to the user."""


class OutputEnded(Exception):
    """Nobody can be told the answer."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"stdout cannot be written: {cause.strerror}")
        self.reader_left = isinstance(cause, BrokenPipeError)


# --- speaking: the answer on stdout, everything else on stderr ---


def put(text: str) -> None:
    """A line of the answer.

    Raises:
        OutputEnded: stdout cannot be written; its reader has left, or the disk is full.
    """
    try:
        typer.echo(text)
    except OSError as exc:
        raise OutputEnded(exc) from exc


def say(text: str) -> None:
    """A line for whoever watches."""
    typer.echo(text, err=True)


def say_error(text: str) -> None:
    """What went wrong."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(text, err=True)


def printable(text: str, *, lines: bool = False) -> str:
    """Text from a server as it may go to a terminal: what would steer the terminal is shown, not obeyed.

    Args:
        text: The text.
        lines: Keep line breaks and tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def compact(value: Any) -> str:
    """A JSON value in one line."""
    return json.dumps(value, ensure_ascii=False)


# --- options ---


def _set_verbose(wanted: bool) -> bool:
    if wanted:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("mcpc").setLevel(logging.DEBUG)
    return wanted


HeaderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="NAME=VALUE", help="A header of the request ('NAME: VALUE' too); may be repeated."
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token-env", metavar="VAR", help="The environment variable that holds the bearer token."),
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="An option of the transport (see: mcpc transports); may be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write debug logs to stderr.", callback=_set_verbose, is_eager=True)
]


def read_value(text: str) -> Any:
    """A value as it was typed: JSON where it is JSON, else the text."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def assignments(items: Sequence[str] | None, what: str, *, secret: bool = False) -> dict[str, str]:
    """`NAME=VALUE` items as a dictionary.

    Args:
        items: The items.
        what: What they are, for the error.
        secret: Keep them out of the error.

    Raises:
        UserMistake: one has no name or no `=`, or a name comes twice.
    """
    found: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserMistake(f"{what} must look like NAME=VALUE" + ("" if secret else f", not {item!r}"))
        if name in found:
            raise UserMistake(f"{what} {name!r} is given twice")
        found[name] = value
    return found


def token_from(variable: str) -> str:
    """The token in an environment variable.

    Raises:
        UserMistake: it is not set, or empty.
    """
    token = os.environ.get(variable)
    if not token:
        raise UserMistake(f"--token-env: the environment variable {variable!r} is not set, or is empty")
    return token


def connect_options(
    uri: str, headers: Sequence[str] | None, token_env: str | None, options: Sequence[str] | None
) -> dict[str, Any]:
    """The options for connecting to `uri` that the command line gave.

    Raises:
        UserMistake: they cannot be read.
        URIError: the address cannot be used, or its transport does not take one of them.
    """
    chosen: dict[str, Any] = {name: read_value(text) for name, text in assignments(options, "--option").items()}
    if headers:
        chosen["headers"] = assignments([_header(text) for text in headers], "--header", secret=True)
    if token_env is not None:
        chosen["token"] = token_from(token_env)
    _, transport = prepare(uri, "connect", chosen)
    check_types(transport, "connect", chosen)
    return chosen


def _header(text: str) -> str:
    """A header as `NAME=VALUE`, also where it was written `NAME: VALUE`: no name has either sign in it."""
    name, colon, value = text.partition(":")
    return f"{name.strip()}={value.strip()}" if colon and "=" not in name else text


def check_types(transport: Transport, method: str, options: Mapping[str, Any]) -> None:
    """See that options are of the types that the transport says it takes.

    Raises:
        UserMistake: one is not. The message never shows a value: it may be a secret.
    """
    hints = _hints(getattr(transport, method))
    for name, value in options.items():
        try:
            adapter = TypeAdapter[Any](hints[name], config=ConfigDict(arbitrary_types_allowed=True))
            adapter.validate_python(value)
        except ValidationError as exc:
            raise UserMistake(f"--option {name}: {exc.errors()[0]['msg']}") from exc
        except (KeyError, PydanticUserError, SchemaError):
            continue  # no hint, or one that cannot be checked


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError:  # some are for type checkers only
        return {}


# --- running ---


@contextmanager
def mistakes_told() -> Generator[None]:
    """Turn a mistake into one line on stderr and its exit code; a fault of ours keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(exit_code_of(signal.SIGINT)) from None
    except Exception as exc:
        cause = _the_one(exc)
        if isinstance(cause, typer.Exit):
            raise cause from None
        if isinstance(cause, OutputEnded):
            _discard_output()  # what is left in its buffer would fail again at exit
        if isinstance(cause, OutputEnded) and cause.reader_left:
            raise typer.Exit(READER_LEFT) from None  # `mcpc ... | head` wants no word about it
        text = _explanation(cause)
        if text is None:
            raise cause from cause.__cause__
        logger.debug("the command failed", exc_info=cause)
        say_error(text)
        raise typer.Exit(MISTAKE) from None


def run(main: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run a command to its end and exit with its code."""
    with mistakes_told():
        code = anyio.run(main)
    raise typer.Exit(code)


def exit_code_of(number: int) -> int:
    """The exit code of a command that a signal ended."""
    return 128 + number


async def until_signal() -> int:
    """Wait for Ctrl-C or SIGTERM; which it was."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return number
    raise AssertionError("the signals ended")


def _discard_output() -> None:
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _the_one(exc: BaseException) -> BaseException:
    """The one error inside nested groups of one."""
    while isinstance(exc, BaseExceptionGroup):
        inside = cast("tuple[BaseException, ...]", exc.exceptions)
        if len(inside) != 1:
            break
        exc = inside[0]
    return cast("BaseException", exc)


def _explanation(exc: BaseException) -> str | None:
    """What to tell the user; None where the fault is ours."""
    if isinstance(exc, MCPError):
        return f"the server refused: {exc.message}"
    if isinstance(exc, MCPCError | UserMistake | OutputEnded):
        return str(exc)
    return None
