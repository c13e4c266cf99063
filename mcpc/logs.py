"""The loggers of the library: one for each module, under `mcpc`, and silent until an application wants to hear them.

`logging.getLogger("mcpc").setLevel(...)` reaches all, `mcpc.server` the server's, `mcpc.transports.websocket` one
family of transports. No secret is logged, and no message's content.
"""

import logging

__all__ = ["logger_of"]

logging.getLogger("mcpc").addHandler(logging.NullHandler())


def logger_of(module: str) -> logging.Logger:
    """The logger of a module: its `__name__`, where the adapters' packages count as rooms of `mcpc`.

    Args:
        module: `__name__`; `mcpc_transports.http.client` logs as `mcpc.transports.http.client`.
    """
    return logging.getLogger(module.replace("mcpc_", "mcpc.", 1) if module.startswith("mcpc_") else module)
