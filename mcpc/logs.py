"""The loggers of the library: one for each module, under `mcpc`, and silent until an application wants to hear them.

`logging.getLogger("mcpc").setLevel(...)` reaches all, `mcpc.server` the server's, `mcpc.transports.websocket` one
family of transports. No secret is logged, and no message's content. Still, texts of peers stand in what we log: so
control characters are escaped where a record is made, line breaks among them; tracebacks, which have lines of their
own, are left to whoever formats them.
"""

import logging
import re

__all__ = ["escaped", "logger_of"]

logging.getLogger("mcpc").addHandler(logging.NullHandler())

_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Controls of ASCII and Latin-1 but the tab, separators of lines, and what turns the direction of writing."""


def escaped(text: str) -> str:
    """A text on one line, its control characters written out (`\\\\n`, `\\\\x1b`)."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _guard(record: logging.LogRecord) -> bool:
    try:
        message = record.getMessage()
    except (TypeError, ValueError):
        return True  # a mistake of ours, which the handler reports
    if _CONTROLS.search(message):
        record.msg, record.args = escaped(message), ()
    return True


def logger_of(module: str) -> logging.Logger:
    """The logger of a module: its `__name__`, where the adapters' packages count as rooms of `mcpc`.

    Args:
        module: `__name__`; `mcpc_transports.http.client` logs as `mcpc.transports.http.client`.
    """
    logger = logging.getLogger(module.replace("mcpc_", "mcpc.", 1) if module.startswith("mcpc_") else module)
    logger.addFilter(_guard)
    return logger
