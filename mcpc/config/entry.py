"""One server of a configuration: its members, checked, as an address and the options to dial it with."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn, cast

from mcpc.config.variables import expanded
from mcpc.errors import ConfigError, MCPCError
from mcpc.transport import traits_of
from mcpc.uri import default_address, parse_uri, resolve, schemes

__all__ = ["NamedServer", "entry_of"]

OLDER_PATH = "/sse"
"""The path by which FastMCP tells the older transport, where no word does."""

KINDS = ("type", "transport")
"""The members that say which transport it is: as VS Code has it, and as FastMCP does."""

MEMBERS = ("command", "args", "env", "cwd", "url", "headers", "auth", *KINDS)
"""What is read. Others (`disabled`, `description`, `timeout` …) are for other programs, and passed over."""

Value = Callable[[str, str], str]
"""From a text and where it stands to what it becomes."""


@dataclass(frozen=True)
class NamedServer:
    """A server as a configuration names it."""

    name: str
    where: str = field(repr=False)
    """The configuration, for messages."""
    entry: Any = field(repr=False)
    """As it is written there: it may hold secrets."""

    @property
    def uri(self) -> str:
        """Its address.

        Raises:
            ConfigError: the entry is no server's, or a variable is missing.
        """
        return self._address(expanded)

    @property
    def written_uri(self) -> str:
        """Its address with its variables as they are written; of a URL, no password is shown.

        Raises:
            ConfigError: the entry is no server's.
        """
        if "command" not in self._members() and "${" in str(self._members().get("url")):
            return self._text("url", _as_written)  # what its scheme is may be a variable's to say
        written = self._address(_as_written)
        return written if "command" in self._members() else str(parse_uri(written))

    @property
    def options(self) -> dict[str, Any]:
        """What is to be dialled with: `env` and `cwd` of a command, `headers` and `token` of a URL.

        Raises:
            ConfigError: a member is of the wrong type, or a variable is missing.
        """
        found: dict[str, Any] = {}
        for name in ("env", "headers"):
            if name in self._members():
                found[name] = self._texts(name)
        if "cwd" in self._members():
            found["cwd"] = self._text("cwd", expanded)
        if "auth" in self._members():
            found["token"] = self._token()
        return found

    def _address(self, value: Value) -> str:
        members = self._members()
        if "envFile" in members:
            self._wrong("envFile is not read; set its variables in 'env'")
        if "command" in members and "url" in members:
            self._wrong("it has both a command and a url; a server has one of them")
        if "command" in members:
            return self._command(value)
        if "url" not in members:
            self._wrong(f"it has neither a command nor a url{_meant(members)}")
        return _at(self._text("url", value), self._kind(), self._wrong)

    def _command(self, value: Value) -> str:
        own = default_address()
        words = traits_of(resolve(parse_uri(own).scheme)).named
        if self._kind() not in (None, *words):
            self._wrong(f"it has a command, and {self._kind()!r} needs a url")
        arguments = self._members().get("args", [])
        if not isinstance(arguments, list):
            self._wrong("'args' must be a list of texts")
        program = self._text("command", value)
        if not program:
            self._wrong("its command is empty")
        argv = [self._checked(f"args[{n}]", each, value) for n, each in enumerate(cast("list[Any]", arguments))]
        return own + shlex.join([program, *argv])

    def _kind(self) -> str | None:
        """The word for its transport; None where there is none."""
        for name in KINDS:
            if name in self._members():
                return self._text(name, _as_written)
        return None

    def _token(self) -> str:
        auth = self._text("auth", expanded)
        if auth == "oauth":
            self._wrong("'auth': OAuth needs a program: mcpc.Client(…, auth=…)")
        return auth

    def _texts(self, member: str) -> dict[str, str]:
        found = self._members()[member]
        if not isinstance(found, Mapping):
            self._wrong(f"{member!r} must be an object of texts")
        return {
            str(name): self._checked(f"{member}.{name}", value, expanded)
            for name, value in cast("Mapping[Any, Any]", found).items()
        }

    def _text(self, member: str, value: Value) -> str:
        return self._checked(member, self._members()[member], value)

    def _checked(self, member: str, found: Any, value: Value) -> str:
        """A member as a text; a number is one, too."""
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            self._wrong(f"{member!r} must be a text")
        return value(str(found), f"{self.where}: server {self.name!r}: {member}")

    def _members(self) -> Mapping[str, Any]:
        entry: object = self.entry
        if not isinstance(entry, Mapping):
            self._wrong("it must be an object")
        return cast("Mapping[str, Any]", entry)

    def _wrong(self, what: str) -> NoReturn:
        raise ConfigError(f"{self.where}: server {self.name!r}: {what}")


def _as_written(text: str, _: str) -> str:
    return text


def entry_of(where: str, entries: Mapping[str, Any], name: str | None) -> NamedServer:
    """The server of that name.

    Args:
        where: The configuration, for messages.
        entries: Its servers.
        name: The name; None for the only one.

    Raises:
        ConfigError: there is none.
    """
    known = ", ".join(entries) or "no servers"
    if name is None:
        if len(entries) != 1:
            raise ConfigError(f"say which server of {where}; it has: {known}")
        name = next(iter(entries))
    if name not in entries:
        close = get_close_matches(name, entries)
        meant = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
        raise ConfigError(f"{where} has no server {name!r}{meant}; it has: {known}")
    return NamedServer(name, where, entries[name])


def _at(url: str, kind: str | None, wrong: Callable[[str], NoReturn]) -> str:
    """The address that a URL and the word for its transport mean together."""
    try:
        parsed = parse_uri(url)
    except MCPCError as exc:
        wrong(f"its url: {exc}")
    if kind is None:
        kind = "sse" if parsed.path.rstrip("/").endswith(OLDER_PATH) else None
        return f"{_scheme(parsed.scheme, kind) or parsed.scheme}:{parsed.rest}"
    found = _scheme(parsed.scheme, kind)
    if found is None:
        words = sorted({word for scheme in schemes() for word in _words(scheme)})
        wrong(f"no transport {kind!r} has {parsed.scheme}: addresses; known words: {', '.join(words)}")
    return f"{found}:{parsed.rest}"


def _scheme(scheme: str, kind: str | None) -> str | None:
    """The scheme of ours for a URL's scheme and the word for a transport: `http` and `sse` make `sse+http`."""
    fitting = [own for own in schemes() if own == scheme or own.endswith(f"+{scheme}")]
    return next((own for own in fitting if kind in _words(own)), None)


def _words(scheme: str) -> tuple[str, ...]:
    try:
        return traits_of(resolve(scheme)).named
    except MCPCError:  # a package that it needs is not installed
        return ()


def _meant(members: Mapping[str, Any]) -> str:
    close = [match for member in members for match in get_close_matches(member, MEMBERS, n=1)]
    return f" (did you mean {close[0]!r}?)" if close else ""
