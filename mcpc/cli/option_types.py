"""Whether options of a transport are of the types that it says it takes."""

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from mcpc.cli.mistakes import UserMistake
from mcpc.transport import Transport

__all__ = ["check_types"]


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
