"""What `mcpc transports` does: it shows what is installed, and what it can."""

from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from typing import Any

from mcpc.cli.mistakes import UserMistake, mistakes_told
from mcpc.cli.speech import put
from mcpc.cli.values import compact
from mcpc.errors import URIError
from mcpc.uri import TRANSPORTS, resolve, schemes, transport_options

__all__ = ["show_transports"]


@dataclass
class _Installed:
    """One scheme."""

    scheme: str
    package: str
    version: str
    connect: dict[str, Any] | None = None
    """Its options with their defaults; None where it cannot."""
    listen: dict[str, Any] | None = None
    problem: str | None = None
    """Why it cannot be used."""

    @property
    def operations(self) -> list[str]:
        """What it can do."""
        return [name for name in ("connect", "listen") if getattr(self, name) is not None]


def show_transports(scheme: str | None, *, as_json: bool) -> None:
    """Show the installed transports, or one in full."""
    with mistakes_told():
        known = schemes()
        if scheme is not None and scheme not in known:
            raise UserMistake(f"no transport for scheme {scheme!r}; known: {', '.join(known)}")
        found = [_look_at(name, TRANSPORTS.installed().get(name)) for name in known if scheme in (None, name)]
    if as_json:
        put(compact([asdict(one) for one in found]))
        return
    for one in found:
        _show(one, in_full=scheme is not None)
    if scheme is None:
        put("\noptions with their defaults: mcpc transports SCHEME")


def _look_at(scheme: str, point: EntryPoint | None) -> _Installed:
    package = point.dist if point is not None else None
    installed = _Installed(scheme, package.name if package else "", package.version if package else "")
    try:
        transport = resolve(scheme)
    except URIError as exc:
        installed.problem = str(exc)
        return installed
    for operation in ("connect", "listen"):
        if hasattr(transport, operation):
            options = {name: _plain(value) for name, value in transport_options(transport, operation).items()}
            setattr(installed, operation, options)
    return installed


def _plain(value: Any) -> Any:
    """A default as JSON can say it."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _show(one: _Installed, *, in_full: bool) -> None:
    head = f"{one.scheme:<10} {one.package} {one.version}"
    if one.problem is not None:
        put(f"{head}  cannot be used: {one.problem}")
        return
    put(f"{head}  {', '.join(one.operations)}")
    if not in_full:
        return
    for operation, options in (("connect", one.connect), ("listen", one.listen)):
        if options is None:
            continue
        put(f"  {operation}:" if options else f"  {operation}: no options")
        for name, default in options.items():
            shown = oct(default) if name == "mode" and isinstance(default, int) else compact(default)
            put(f"    {name} = {shown}")
