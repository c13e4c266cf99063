"""What the `mcpc/*` methods are sent: refused where it does not fit, and read by nobody before the first of them."""

import subprocess
import sys
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

import mcpc
from mcpc.client.requests import ask_server
from mcpc.wire.names import LISTEN_METHOD, PAUSE_METHOD, SEND_METHOD, STOP_METHOD, TASK_METHOD
from support import make_server

pytestmark = pytest.mark.anyio

KEY = "k" * 16
MISFITS: list[tuple[str, dict[str, Any]]] = [
    (LISTEN_METHOD, {"channel": KEY[1:], "after": 0}),
    (LISTEN_METHOD, {"channel": KEY * 16 + "k", "after": 0}),
    (LISTEN_METHOD, {"channel": KEY, "after": -1}),
    (LISTEN_METHOD, {"channel": KEY, "after": "0"}),
    (PAUSE_METHOD, {"channel": KEY}),
    (TASK_METHOD, {"channel": KEY, "task_id": "by the name that it has in Python"}),
    (SEND_METHOD, {"channel": KEY, "taskId": "t", "key": ""}),
    (STOP_METHOD, {}),
]

SCRIPT = """
import sys, mcpc
from mcp.server import MCPServer
callbacks = mcpc.MCPCHelper(server := MCPServer("s"))

@callbacks.tool()
async def five() -> int:
    return 5

print("mcpc.server.method_params" in sys.modules)
with mcpc.SyncClient(server) as client:
    print(client.start_task("five").result())  # it comes to who listens, and to listen is such a request
print("mcpc.server.method_params" in sys.modules)
"""


async def test_what_does_not_fit_is_refused_and_the_next_request_works() -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(make_server()) as client:
            for method, params in MISFITS:
                with pytest.raises(MCPError) as refused:
                    await ask_server(client.session, method, params)
                assert (refused.value.code, refused.value.message) == (INVALID_PARAMS, "Invalid request parameters")
            task = await client.start_task("count", {"n": 1})
            assert await task.result() == {"rows": 1}


def test_the_models_are_made_with_the_first_request_that_needs_them() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.split() == ["False", "5", "True"]
