"""`mcpc.asgi_app`: a server in somebody else's web application, under a prefix, behind a proxy that strips it."""

import json
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import mcpc
from support import make_server
from web_kit import in_uvicorn

pytestmark = pytest.mark.anyio

PLACES = {"http": "http://{at}/mcp", "ws": "ws://{at}/mcp", "sse": "sse+http://{at}/sse"}


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """uvicorn needs asyncio."""
    return request.param


async def health(request: Request) -> PlainTextResponse:
    return PlainTextResponse("well")


def server_with_health() -> MCPServer[Any]:
    server = make_server()
    server.custom_route("/health", methods=["GET"])(health)
    return server


async def counted(uri: str) -> list[Any]:
    async with mcpc.Client(uri) as client:
        task = await client.start_task("count", {"n": 3})
        messages = [message async for message in task]
        assert await task.result() == {"rows": 3}
        return [message.event for message in messages]


EVENTS = ["created", "update", "update", "update", "complete"]


@pytest.mark.parametrize("transport", PLACES)
async def test_an_application_alone_serves_callbacks_over_each_transport(transport: str) -> None:
    async with in_uvicorn(mcpc.asgi_app(make_server())) as at:
        assert await counted(PLACES[transport].format(at=at)) == EVENTS


@pytest.mark.parametrize("transport", PLACES)
@pytest.mark.parametrize("with_lifespan", [True, False], ids=["its lifespan", "no lifespan"])
async def test_mounted_under_a_prefix_it_serves_there(transport: str, with_lifespan: bool) -> None:
    inner = mcpc.asgi_app(make_server())
    outer = Starlette(
        routes=[Route("/", health), Mount("/a/b", app=inner)], lifespan=inner.lifespan if with_lifespan else None
    )
    async with in_uvicorn(outer) as at:
        assert await counted(PLACES[transport].format(at=f"{at}/a/b")) == EVENTS
        async with httpx2.AsyncClient(timeout=60) as http:
            assert (await http.get(f"http://{at}/")).text == "well"


class StripsPrefix:
    """A proxy that strips `/a/b`, and says so by `root_path`, as `uvicorn --root-path` does."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            scope = {**scope, "path": scope["path"].removeprefix("/a/b"), "root_path": "/a/b"}
        await self._app(scope, receive, send)


@pytest.mark.parametrize("transport", PLACES)
async def test_behind_a_proxy_that_strips_the_prefix_it_serves_too(transport: str) -> None:
    async with in_uvicorn(StripsPrefix(mcpc.asgi_app(make_server()))) as at:
        assert await counted(PLACES[transport].format(at=f"{at}/a/b")) == EVENTS


async def test_the_servers_own_routes_are_served_and_other_paths_are_not() -> None:
    async with (
        in_uvicorn(mcpc.asgi_app(server_with_health(), transports=["http"])) as at,
        httpx2.AsyncClient(timeout=60) as http,
    ):
        assert (await http.get(f"http://{at}/health")).text == "well"
        assert (await http.get(f"http://{at}/nothing")).status_code == 404
        with pytest.raises(mcpc.ConnectFailed):
            await counted(f"ws://{at}/mcp")


async def test_a_listener_of_ours_serves_them_as_well() -> None:
    async with (
        mcpc.listen(server_with_health(), "http://127.0.0.1:0/mcp") as listener,
        httpx2.AsyncClient(timeout=60) as http,
    ):
        assert (await http.get(listener.uri.replace("/mcp", "/health"))).text == "well"


@pytest.mark.parametrize("origin", ["https://app.example", "https://evil.example"])
async def test_a_page_of_an_allowed_origin_may_read_the_answers_and_no_other_may(origin: str) -> None:
    app = mcpc.asgi_app(make_server(), transports="http", allowed_origins=["https://app.example"])
    allowed = origin == "https://app.example"
    call = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,mcp-session-id,mcp-protocol-version,authorization,mcp-method",
    }
    async with in_uvicorn(app) as at, httpx2.AsyncClient(timeout=60) as http:
        preflight = await http.options(f"http://{at}/mcp", headers=headers)
        answer = await http.post(f"http://{at}/mcp", content=json.dumps(call), headers={"Origin": origin})
    for response in (preflight, answer):
        assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert (preflight.status_code == 200) is allowed
    assert ("mcp-session-id" in answer.headers.get("access-control-expose-headers", "").lower()) is allowed


async def test_a_websocket_of_a_foreign_page_is_refused() -> None:
    async with in_uvicorn(mcpc.asgi_app(make_server())) as at:
        with pytest.raises(mcpc.ConnectFailed, match="403"):
            async with mcpc.Client(mcpc.connect(f"ws://{at}/mcp", origin="https://evil.example")):
                pass


async def test_a_task_goes_on_after_its_client_was_cut_off_and_is_heard_of_again() -> None:
    async with in_uvicorn(mcpc.asgi_app(make_server())) as at:
        async with mcpc.Client(f"ws://{at}/mcp", reconnect=mcpc.Backoff(first=0.01, maximum=0.1)) as client:
            task = await client.start_task("wait_for_input")
            seen: list[Any] = []
            async for message in task:
                seen.append(message.result)
                if message.result == "ready":
                    client._life.end_connection()  # pyright: ignore[reportPrivateUsage]
                    with anyio.fail_after(60):
                        while True:
                            try:
                                await task.send("done")
                                break
                            except mcpc.TaskEnded:
                                break  # it came through, and its answer did not
                            except mcpc.ConnectionLost:
                                await anyio.sleep(0.01)
            assert await task.result() == []


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"path": "mcp"}, mcpc.URIError, "must begin with a slash"),
        ({"transports": ["carrier-pigeon"]}, mcpc.URIError, "transports are some of"),
        ({"transports": []}, mcpc.URIError, "transports are some of"),
        ({"allowed_origin": ["x"]}, mcpc.UnknownOption, "does not take 'allowed_origin'; it takes: .*allowed_origins"),
    ],
)
def test_a_mistake_is_told_at_once(arguments: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        mcpc.asgi_app(make_server(), **arguments)


async def test_a_request_that_does_not_say_what_it_accepts_is_answered() -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    async with mcpc.listen(make_server(), "http://127.0.0.1:0/mcp") as listener, httpx2.AsyncClient(timeout=60) as http:
        request = http.build_request("POST", listener.uri, json={**call, "params": about})
        del request.headers["accept"]
        assert (await http.send(request)).status_code == 200
