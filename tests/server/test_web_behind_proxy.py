"""`mcpc.asgi_app` in a FastAPI application in uvicorn and in Hypercorn, behind a real proxy that strips a prefix."""

from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from fastmcp import FastMCP
from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import PlainTextResponse

import mcpc
from web_kit import WEB_SERVERS, prefix_proxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.parametrize("web", WEB_SERVERS),
]

DEADLINE = 60

PLACES = {"http": "http://{at}/mcp", "ws": "ws://{at}/mcp", "sse": "sse+http://{at}/sse"}

LAYOUTS = {"the proxy strips it": ("/a/b", ""), "mounted there": ("", "/a/b"), "both": ("/api", "/a/b")}
"""What the proxy strips, and below what the application has mounted ours."""


def steered_server(kind: Any = MCPServer) -> Any:
    """A server whose tool tells what it is sent, with a route of its own."""
    server = kind("steered")

    async def health(request: Request) -> PlainTextResponse:
        return PlainTextResponse("well")

    server.custom_route("/health", methods=["GET"])(health)

    @mcpc.MCPCHelper(server).tool()
    async def echo(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        for number in range(10):
            await task.update(number)
        return await task.ask("Go on?", choices=["yes", "no"])

    @server.tool()
    def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction]
        return a + b

    return server


def application(inner: mcpc.WebApp, mounted: str) -> FastAPI:
    app = FastAPI(lifespan=inner.lifespan)

    async def own() -> str:
        return "the application's"

    app.get("/own")(own)
    app.mount(mounted, inner)
    return app


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transport", PLACES)
async def test_tools_and_callbacks_arrive_and_what_a_cut_interrupts_goes_on(
    web: str, transport: str, layout: str
) -> None:
    prefix, mounted = LAYOUTS[layout]
    app = application(mcpc.asgi_app(steered_server()), mounted)
    async with WEB_SERVERS[web](app, root_path=prefix) as at:
        with prefix_proxy(at, prefix) as proxy, anyio.fail_after(DEADLINE):
            address = PLACES[transport].format(at=f"{proxy.at}{prefix}{mounted}")
            async with mcpc.Client(address, reconnect=mcpc.Backoff(first=0.01, maximum=0.1)) as client:
                assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
                task = await client.start_task("echo")
                updates: list[Any] = []
                async for message in task:
                    if message.event != "update":
                        continue
                    updates.append(message.result)
                    if "prompt" in str(message.result):
                        proxy.cut_all()
                        await answer(task, message)
                assert updates[:10] == list(range(10))
                assert len(updates) == 11
                assert await task.result() == "yes"
            assert proxy.cut_count >= 1


async def answer(task: mcpc.TaskHandle, message: mcpc.MCPCMessage) -> None:
    """Answer a question, though the connection comes and goes; an answer that was cut off may have come through."""
    while True:
        try:
            await task.answer(message.result["prompt"]["id"], "yes")
            return
        except mcpc.ConnectionLost:
            await anyio.sleep(0.01)
        except (mcpc.PromptError, mcpc.TaskEnded):
            return


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [MCPServer, FastMCP], ids=["MCPServer", "FastMCP"])
async def test_the_routes_of_the_server_and_of_the_application_are_kept_and_pages_may_ask(
    web: str, kind: Any, layout: str
) -> None:
    prefix, mounted = LAYOUTS[layout]
    app = application(mcpc.asgi_app(steered_server(kind), allowed_origins=["https://app.example"]), mounted)
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with WEB_SERVERS[web](app, root_path=prefix) as at, httpx2.AsyncClient(timeout=60) as http:
        with prefix_proxy(at, prefix) as proxy, anyio.fail_after(DEADLINE):
            outside = f"http://{proxy.at}{prefix}"
            assert (await http.get(f"{outside}/own")).json() == "the application's"
            assert (await http.get(f"{outside}{mounted}/health")).text == "well"
            assert (await http.get(f"{outside}{mounted}/nothing")).status_code == 404
            preflight = await http.options(f"{outside}{mounted}/mcp", headers=asked)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == "https://app.example"
            refused = await http.options(f"{outside}{mounted}/mcp", headers={**asked, "Origin": "https://e.example"})
            assert refused.status_code == 403
