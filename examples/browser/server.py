"""A page that follows a background tool: open http://127.0.0.1:8000/ in a browser.

python examples/browser/server.py [--port 8000]
"""

import math
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import FileResponse, Response

import mcpc

HERE = Path(__file__).parent
FILES = {"": "index.html", "page.js": "page.js", "mcpc.js": "mcpc.js"}

server = MCPServer("page", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def measure(samples: int, task: mcpc.Task) -> dict[str, Any]:
    """Take samples, now faster, now slower; ask in the middle whether to go on."""
    for sample in range(samples):
        await task.update({"sample": sample, "of": samples})
        if sample % 20 == 0:
            await anyio.sleep(0.05 + 0.045 * math.sin(sample / 200))
        if sample == samples // 2:
            answer = await task.ask("Half of the samples are taken. Go on?", choices=["yes", "no"])
            if answer == "no":
                return {"samples": sample + 1}
    return {"samples": samples}


@server.custom_route("/", methods=["GET"])
@server.custom_route("/{name}", methods=["GET"])
async def file(request: Request) -> Response:
    """The page and its modules."""
    name = FILES.get(request.path_params.get("name", ""))
    return Response(status_code=404) if name is None else FileResponse(HERE / name)


def main() -> None:
    port = int(sys.argv[2]) if sys.argv[1:2] == ["--port"] else 8000
    app = mcpc.asgi_app(server, transports=("http", "ws"))
    listener = socket.create_server(("127.0.0.1", port))
    print(f"open http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
