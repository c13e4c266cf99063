"""The program of one caller, asked by a server behind: for its model (sampling), for its roots.

It is asked as by a worker of a server of ours: a question of its task, where it takes such, or a request of its own.
Knows nothing of servers.
"""

import logging
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND, ErrorData, RequestId

from mcpc.errors import TaskStopped
from mcpc.foreign import text_of
from mcpc.logs import logger_of
from mcpc.wire.client_requests import error_response, result_response, sampling_options
from mcpc.wire.message import method_of
from mcpc.wire.standard import ROOTS_METHOD, SAMPLING_METHOD

__all__ = ["CallersProgram"]

logger: logging.Logger = logger_of(__name__)


class CallersProgram:
    """The program of one caller.

    Args:
        session: The session of its call, as a worker has it.
        request_id: Its call.
    """

    def __init__(self, session: Any, request_id: RequestId) -> None:
        self._session = session
        self._request_id = request_id

    async def respond(self, request: dict[str, Any]) -> dict[str, Any]:
        """The response to a request: what the program answers, or an error that says why there is none.

        Raises:
            TaskStopped: the task that asks is being stopped.
        """
        try:
            return result_response(await self._ask(request))
        except TaskStopped:
            raise
        except MCPError as exc:
            return error_response(exc.error)
        except Exception as exc:
            logger.info("a caller could not be asked (%s): %s", method_of(request), exc)
            return error_response(ErrorData(code=INTERNAL_ERROR, message=f"the caller was not asked: {text_of(exc)}"))

    async def _ask(self, request: dict[str, Any]) -> Any:
        method = method_of(request)
        if method == SAMPLING_METHOD:
            messages, options = sampling_options(request)
            return await self._session.create_message(messages, **options, related_request_id=self._request_id)
        if method == ROOTS_METHOD:
            return await self._session.list_roots()
        raise MCPError(METHOD_NOT_FOUND, f"callers here are not asked for {method}")
