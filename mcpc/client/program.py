"""What tasks ask of the client's program itself, its model or its roots, answered by the SDK's callbacks.

An ordinary tool asks by a request of its own, which needs a connection on which a server may send one. A background
worker's request comes as a question of its task, over any connection. Knows no handle and no user.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

from mcp.client import ClientSession
from mcp.client.session import ClientRequestContext
from mcp_types import INTERNAL_ERROR, ErrorData, InputRequest
from pydantic import TypeAdapter, ValidationError

from mcpc.foreign import hold_back
from mcpc.logs import logger_of
from mcpc.messages import ClientRequest
from mcpc.wire.client_requests import error_response, result_response
from mcpc.wire.standard import ROOTS_METHOD, SAMPLING_METHOD

__all__ = ["Program"]

logger: logging.Logger = logger_of(__name__)

_requests: TypeAdapter[InputRequest] = TypeAdapter(InputRequest)

_CALLBACKS = {"sampling_callback": SAMPLING_METHOD, "list_roots_callback": ROOTS_METHOD}
"""The options of a client that answer requests, and the requests' methods."""


class Program:
    """The program that a client belongs to, as far as it may be asked.

    Args:
        answers: The methods of the requests that it answers.
        session: Gives the session of the moment.
    """

    def __init__(self, answers: tuple[str, ...], session: Callable[[], ClientSession]) -> None:
        self.answers = answers
        """The methods of the requests that it answers."""
        self._session = session

    @classmethod
    def of(cls, options: Mapping[str, Any], session: Callable[[], ClientSession]) -> Self | None:
        """The program of a client that was made with these options; None where it answers nothing."""
        answers = tuple(method for option, method in _CALLBACKS.items() if options.get(option) is not None)
        return cls(answers, session) if answers else None

    async def respond(self, asked: ClientRequest) -> dict[str, Any]:
        """The response to a request. Raises nothing but cancellation: whoever asks is told what went wrong."""
        try:
            request = _requests.validate_python(asked.request)
            context = ClientRequestContext(session=self._session(), request_id=asked.id)
            answer = await context.session.dispatch_input_request(context, request)
        except ValidationError as exc:
            logger.debug("a task asks for something that cannot be read: %s", exc)
            answer = ErrorData(code=INTERNAL_ERROR, message="the request could not be read")
        except BaseException as exc:
            await hold_back(exc)
            logger.error("a callback of the client raised", exc_info=exc)
            answer = ErrorData(code=INTERNAL_ERROR, message="the client's program failed")
        return error_response(answer) if isinstance(answer, ErrorData) else result_response(answer)
