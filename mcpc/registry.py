"""Who serves which URI scheme: one kind of registry, for transports, stores and whatever else a URI picks.

What is installed is found in an entry-point group (name: the scheme, value: an
instance, or a class without arguments); what a program registers itself comes
first. The group is read once in a process, and an entry is loaded when its scheme
is first used, so what nobody uses is never imported. It knows nothing of addresses,
and nothing of what it keeps.
"""

import inspect
import logging
import re
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from mcpc.errors import MissingExtra, UnknownScheme, URIError
from mcpc.logs import logger_of

__all__ = ["SCHEME", "Registry", "options_of"]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
"""What a scheme looks like: RFC 3986, section 3.1."""

logger: logging.Logger = logger_of(__name__)

T = TypeVar("T")


class Registry(Generic[T]):
    """Implementations by their schemes. Schemes are compared in lower case.

    Args:
        group: The entry-point group in which packages offer theirs.
        noun: What is kept, for messages: `transport`.
        register: How a program adds its own, for messages: `mcpc.register_transport()`.
        hints: For schemes that need more than the base installation: how to get it, for messages.
    """

    def __init__(self, group: str, noun: str, *, register: str, hints: Mapping[str, str] | None = None) -> None:
        self.group = group
        self._noun = noun
        self._register = register
        self._hints = dict(hints or {})
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._points: dict[str, EntryPoint] | None = None
        self._lock = threading.Lock()

    def register(self, scheme: str, implementation: T, *, replace: bool = False) -> None:
        """Serve `scheme` with `implementation` in this process, ahead of any installed one.

        Raises:
            URIError: it is no scheme, or it is taken and `replace` is not set.
        """
        if not SCHEME.fullmatch(scheme):
            raise URIError(f"not a scheme: {scheme!r}; give the part before the colon")
        scheme = scheme.lower()
        installed = self.installed()
        with self._lock:
            if not replace and (scheme in self._registered or scheme in installed):
                raise URIError(f"scheme {scheme!r} is taken; pass replace=True to replace its {self._noun}")
            self._registered[scheme] = implementation

    def schemes(self) -> list[str]:
        """The schemes that can be used here, sorted."""
        return sorted({*self._registered, *self.installed()})

    def installed(self) -> Mapping[str, EntryPoint]:
        """What packages offer, by scheme: read at the first call, and kept."""
        if self._points is None:
            self._points = self._read()
        return self._points

    def resolve(self, scheme: str) -> T:
        """What serves `scheme`.

        Raises:
            UnknownScheme: nothing does; the message names the schemes that are known.
            MissingExtra: it is there, but a package it needs is not.
            URIError: it is there and cannot be loaded.
        """
        scheme = scheme.lower()
        for kept in (self._registered, self._loaded):
            if scheme in kept:
                return kept[scheme]
        implementation = self._load(self._point(scheme))
        with self._lock:
            return self._loaded.setdefault(scheme, implementation)

    @contextmanager
    def restored(self) -> Generator[None]:
        """What is registered inside is forgotten at the end: for tests."""
        before = dict(self._registered)
        try:
            yield
        finally:
            with self._lock:
                self._registered = before

    def refresh(self) -> None:
        """Forget what packages offered and what was loaded of it: it is looked up anew when it is needed."""
        with self._lock:
            self._points = None
            self._loaded = {}

    def _point(self, scheme: str) -> EntryPoint:
        point = self.installed().get(scheme)
        if point is None:
            # A notebook may have installed it since. Only a scheme that nobody serves costs this second look.
            self._points = self._read()
            point = self._points.get(scheme)
        if point is None:
            raise UnknownScheme(self._unknown(scheme))
        return point

    def _unknown(self, scheme: str) -> str:
        if scheme in self._hints:
            return f"no {self._noun} for scheme {scheme!r} is installed: {self._hints[scheme]}"
        schemes = self.schemes()
        known = ", ".join(schemes) or "none"
        close = get_close_matches(scheme, schemes, n=1, cutoff=0.75)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return (
            f"no {self._noun} for scheme {scheme!r}; {meant}known: {known}. "
            f"Others come with packages that offer the entry point {self.group!r}, or with {self._register}"
        )

    def _read(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            first = found.setdefault(point.name.lower(), point)
            if first.value != point.value:
                logger.warning(
                    "scheme %r is offered twice; %s is used, %s is not", point.name, first.value, point.value
                )
        return found

    def _load(self, point: EntryPoint) -> T:
        package = f" (package {point.dist.name})" if point.dist is not None else ""
        what = f"the {self._noun} for {point.name!r}{package}"
        try:
            loaded: Any = point.load()
            return loaded() if isinstance(loaded, type) else loaded
        except ModuleNotFoundError as exc:
            raise MissingExtra(f"{what} {self._lacks(point.name.lower(), exc)}") from exc
        except Exception as exc:
            raise URIError(f"{what} cannot be loaded: {exc}") from exc

    def _lacks(self, scheme: str, exc: ModuleNotFoundError) -> str:
        missing = (exc.name or "a package").partition(".")[0]
        if missing in sys.stdlib_module_names:
            return f"does not run on this platform ({sys.platform}): Python has no {missing!r} here"
        how = self._hints.get(scheme, f"pip install {missing}")
        return f"needs {missing!r}, which is not installed: {how}"


def options_of(function: Callable[..., object]) -> dict[str, Any]:
    """The options that a function takes, with their defaults: its keyword-only parameters."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
