"""An address as it was typed: what it stands for, and what may have been meant by one that is none."""

import re
import shlex
import sys
from pathlib import Path

import mcpc
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.places import is_twin, newest, own_addresses
from mcpc.transport import traits_of
from mcpc.uri import default_address, example_of, parse_uri, resolve, schemes

__all__ = ["address_of", "check_scheme", "command_address", "is_command", "likely"]

HERE = "127.0.0.1:8765"
"""The host and port of an example (`Traits.example`)."""

MOST = 3
"""Addresses that are suggested in place of one, at the most."""

FILE = re.compile(r"[^:]+\.py(?::[A-Za-z_][\w.]*)?")
"""`app.py` or `app.py:server`: a server in a file, which is run for this one command."""

HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):\d{1,5}(?:/\S*)?")
"""`127.0.0.1:8000`, `localhost:8000/mcp`: a host and a port, and no word of how to speak to it."""

ALONE = re.compile(r"localhost|\d{1,3}(?:\.\d{1,3}){3}")
"""A host, and no port."""

PORT = re.compile(r"\d{2,5}")
"""A port, and nothing else."""


def address_of(text: str) -> str:
    """The address that was meant.

    Raises:
        UserMistake: it has no scheme, and the message says which it may be; or it is a file that is not there.
    """
    if FILE.fullmatch(text):
        _check_file(text)
        return command_address(default_address(), text)
    check_scheme(text)
    if ":" not in text and Path(f"{text}.py").is_file():
        raise UserMistake(f"{text!r} is no address: did you mean {text}.py?")
    return text


def check_scheme(text: str) -> None:
    """Whoever says where, but not how, is told how it may be.

    Raises:
        UserMistake: it is a host and a port, or one of them.
    """
    host, slash, path = text.partition("/")
    if PORT.fullmatch(text) or ALONE.fullmatch(host):
        whole = f"127.0.0.1:{text}" if PORT.fullmatch(text) else f"{host}:PORT{slash}{path}"
    elif HOST.fullmatch(text):
        whole = text
    else:
        return
    place, _, path = whole.partition("/")
    *tries, last = [_at(known, place, path) for known in _likeliest_first(f"/{path}")]
    raise UserMistake(f"{text!r} does not say how to speak to it: did you mean {', '.join(tries)} or {last}?")


def _check_file(text: str) -> None:
    """See that the file is there, before a process is started that would say the same.

    Raises:
        UserMistake: it is not.
    """
    path = text if text.endswith(".py") else text.rpartition(":")[0]
    if not Path(path).is_file():
        command = f"; a command is written as {default_address() + text!r}" if " " in path else ""
        raise UserMistake(f"there is no file {path!r}{command}")


def likely(address: str) -> str:
    """`did you mean …?` for an address at which somebody answers, but not as expected; nothing where none is likely.

    In the way whose usual path it has; else with another path where the usual one is missing; else in the other ways in
    which one can be spoken to.
    """
    scheme, _, rest = address.partition("://")
    if HOST.fullmatch(rest) is None:
        return ""
    place, _, path = rest.partition("/")
    usual = _at(scheme, place, "")
    if usual.rstrip("/") == address.rstrip("/"):
        tries = [_at(known, place, "") for known in _over_networks() if known != scheme][:MOST]
    else:
        tries = [_at(known, place, path) for known in _usual_at(f"/{path}", scheme)] or [usual]
    return f"did you mean {' or '.join(tries)}?" if tries else ""


def command_address(own: str, target: str) -> str:
    """The address of a server that a client runs, which serves `target` at its own stdin and stdout (`own`)."""
    return own + shlex.join([sys.executable, "-m", "mcpc", "serve", target, own])


def is_command(address: str) -> bool:
    """Whether it is a command that is run. What cannot be understood is none."""
    try:
        return traits_of(resolve(parse_uri(address).scheme)).spawns
    except mcpc.MCPCError:
        return False


def _over_networks() -> list[str]:
    """The schemes whose addresses have a host and a port: those with a path first, of these the newer."""
    known = own_addresses(Path())
    new = newest(known)
    found = [scheme for scheme in known if HERE in example_of(scheme)]
    return sorted(found, key=lambda scheme: (example_of(scheme).endswith(HERE), scheme not in new, scheme))


def _likeliest_first(path: str) -> list[str]:
    """Those schemes; where a path is usual for some, these come first."""
    return sorted(_over_networks(), key=lambda scheme: not _has_path(scheme, path))


def _usual_at(path: str, scheme: str) -> list[str]:
    """The schemes for which a path is usual that is not for this one; with TLS as it is, or without."""
    if _has_path(scheme, path):
        return []
    return [known for known in schemes() if is_twin(known) == is_twin(scheme) and _has_path(known, path)]


def _has_path(scheme: str, path: str) -> bool:
    """Whether a path ends as it usually does in a scheme's addresses."""
    usual = example_of(scheme).partition(HERE)[2]
    return bool(usual) and path.rstrip("/").endswith(usual)


def _at(scheme: str, place: str, path: str) -> str:
    """An address of a scheme at a host and port, with the path where it has one."""
    before, _, usual = example_of(scheme).partition(HERE)
    return f"{before}{place}{f'/{path}' if usual and path else usual}"
