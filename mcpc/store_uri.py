"""From a URI to a store: find who serves its scheme, check its options, open it.

Stores are found in the entry-point group `mcpc.stores`, the built-in ones too, and in what `register_store` added
(see `registry`). Options are the URI's query, and keyword arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import parse_qsl

from mcpc.errors import URIError
from mcpc.keywords import refuse_unknown
from mcpc.registry import SCHEME, Registry
from mcpc.store import Store, StoreKind
from mcpc.stored import StoreLimits, StoreReport
from mcpc.transport import URI
from mcpc.uri import parse_uri

__all__ = ["STORES", "inspect_store", "open_store", "register_store", "resolve_store"]

STORES: Registry[StoreKind] = Registry(
    "mcpc.stores", "store", register="mcpc.register_store()", hints={"redis": "pip install 'mcpc[redis]'"}
)
"""The stores of this process."""


def register_store(scheme: str, kind: StoreKind, *, replace: bool = False) -> None:
    """Serve `scheme` with `kind` in this process, ahead of any installed one.

    Raises:
        URIError: the scheme is taken and `replace` is not set.
    """
    STORES.register(scheme, kind, replace=replace)


def resolve_store(scheme: str) -> StoreKind:
    """What serves `scheme`.

    Raises:
        UnknownScheme: nothing does; the message names the schemes that are known.
        MissingExtra: it is there, but a package that it needs is not.
    """
    return STORES.resolve(scheme)


def open_store(
    uri: str | URI, *, limits: StoreLimits | None = None, **options: Any
) -> AbstractAsyncContextManager[Store]:
    """A handle of the store at `uri`: `sqlite:///var/lib/tasks.db?sync=full`.

    Args:
        uri: The address; its query holds options.
        limits: The bounds.
        options: Further options, by name.

    Raises:
        URIError: the address or an option cannot be used. (On entering: `StoreError`.)
    """
    kind, address, given = _read_address(uri, options)
    return kind.open(address, limits=limits or StoreLimits(), **given)


async def inspect_store(uri: str | URI, **options: Any) -> StoreReport:
    """What the store at `uri` is like: whether it is set up to keep what it is given, and how much it keeps.

    A store that does not say is opened, to see that it can be.

    Args:
        uri: The address; its query holds options.
        options: Further options, by name.

    Raises:
        URIError: the address or an option cannot be used.
        StoreError: the store cannot be reached, or is none.
    """
    kind, address, given = _read_address(uri, options)
    inspect_kind = getattr(kind, "inspect", None)
    if inspect_kind is not None:
        return await inspect_kind(address, limits=StoreLimits(), **given)
    async with kind.open(address, limits=StoreLimits(), **given) as store:
        notes = () if store.shared else ("it lives in one process, and ends with it",)
        return StoreReport(engine=address.scheme, notes=notes)


def _read_address(uri: str | URI, options: Mapping[str, Any]) -> tuple[StoreKind, URI, dict[str, Any]]:
    """Who serves an address, the address without its query, and the options."""
    parsed = _parse(uri)
    kind = resolve_store(parsed.scheme)
    parameters = inspect.signature(kind.open).parameters.values()
    known = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "limits"}
    rest, _, query = parsed.rest.partition("?")
    given: Mapping[str, Any] = {**dict(parse_qsl(query, keep_blank_values=True)), **options}
    refuse_unknown(f"{parsed.scheme}:", known, given)
    read = {name: _read(parsed.scheme, known[name], value) for name, value in given.items()}
    return kind, replace(parsed, rest=rest, query=""), read


def _parse(uri: str | URI) -> URI:
    if isinstance(uri, str) and not SCHEME.fullmatch(uri.partition(":")[0] if ":" in uri else ""):
        known = ", ".join(STORES.schemes())
        raise URIError(f"not the address of a store: it must start with a scheme and a colon; known schemes: {known}")
    return parse_uri(uri)


def _read(scheme: str, parameter: inspect.Parameter, value: Any) -> Any:
    """An option as its parameter wants it; a text, as it stands in a URI, becomes what the default is.

    Raises:
        URIError: it cannot.
    """
    choices = get_args(parameter.annotation)
    if isinstance(parameter.default, str) and choices and value not in choices:
        raise URIError(f"{scheme}: {parameter.name} is one of {', '.join(choices)}, not {value!r}")
    if not isinstance(value, str) or isinstance(parameter.default, str):
        return value
    try:
        return _READERS[type(parameter.default)](value)
    except (ValueError, KeyError):
        raise URIError(f"{scheme}: {parameter.name} cannot be {value!r}") from None


def _truth(text: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]


_READERS: Mapping[type, Callable[[str], Any]] = {bool: _truth, int: int, float: float}
