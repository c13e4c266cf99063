"""`${NAME}` and `${NAME:-default}` in a text, from the environment. Knows nothing of what the text is for."""

import os
import re

from mcpc.errors import ConfigError

__all__ = ["expanded"]

REFERENCE = re.compile(r"\$\{([^}]*)\}")

NAMED = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
"""`NAME`, `NAME:-default`, and `env:NAME`, as VS Code writes it."""

ASKED = "input:"
"""How VS Code names what it asks a person for."""


def expanded(text: str, what: str) -> str:
    """The text with the values of its variables; the default stands in for one that is not set, or is empty.

    Args:
        text: The text.
        what: Where it stands, for the error.

    Raises:
        ConfigError: a variable is not set and has no default, or a reference cannot be read. The message has names
            only: what a variable holds may be a secret.
    """
    return REFERENCE.sub(lambda found: _value(found[1], what), text)


def _value(reference: str, what: str) -> str:
    if reference.startswith(ASKED):
        raise ConfigError(
            f"{what}: ${{{reference}}} is asked of a person by VS Code, and of nobody here; "
            "put an environment variable in its place: ${NAME}"
        )
    named = NAMED.fullmatch(reference)
    if named is None:
        raise ConfigError(f"{what}: ${{{reference}}} cannot be read; write ${{NAME}} or ${{NAME:-default}}")
    name, default = named[1], named[2]
    value = os.environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ConfigError(f"{what}: the environment variable {name!r} is not set")
    return value
