"""What is given by name and does not exist is refused, at run time, with the name that was likely meant."""

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
from mcp.server import MCPServer, Server

import mcpc
from mcpc.client.options import OWN
from mcpc.keywords import refuse_unknown
from mcpc.options import ConnectOptions, ListenOptions, MountOptions
from mcpc.registry import options_of
from mcpc.server.options import LimitOptions, ToolOptions, tool_keywords
from mcpc.transport import traits_of
from mcpc.uri import resolve, schemes, transport_options

SERVERS: dict[str, Callable[[], Any]] = {
    "MCPServer": lambda: MCPServer("s"),
    "lowlevel": lambda: Server("s"),
    "FastMCP": lambda: pytest.importorskip("fastmcp").FastMCP("s"),
}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(TypeError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("desciption", "description"),
        ("titel", "title"),
        ("on_interupt", "on_interrupt"),
        ("tsk_required", "task_required"),
    ],
)
def test_a_misspelt_option_of_a_tool_is_refused_by_every_kind_of_server(kind: str, misspelt: str, meant: str) -> None:
    callbacks: Any = mcpc.MCPCHelper(SERVERS[kind]())
    text = refused(lambda: callbacks.tool(**{misspelt: "x"}))
    assert text.startswith(f"tool does not take {misspelt!r}; it takes: name, description, ")
    assert text.endswith(f" (did you mean {meant!r}?)")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_tool_takes_what_the_servers_own_tools_take(kind: str) -> None:
    callbacks = mcpc.MCPCHelper(SERVERS[kind]())

    @callbacks.tool("job", description="Works.", title="Job", meta={"a": 1}, max_attempts=2)
    async def work(task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        return 1


def test_a_misspelt_limit_is_refused() -> None:
    helper: Any = mcpc.MCPCHelper
    text = refused(lambda: helper(MCPServer("s"), max_task=3))
    assert text.startswith("MCPCHelper does not take 'max_task'; it takes: store, plain, after, ")
    assert text.endswith("(did you mean 'max_tasks'?)")


def test_a_misspelt_filter_of_a_listener_is_refused() -> None:
    client: Any = mcpc.Client("memory://nowhere")
    handler: Any = mcpc.MCPCHandler("p")
    for one in (client, handler):
        assert refused(lambda one=one: one.add_event_listener(print, task="t")) == (
            "add_event_listener does not take 'task'; it takes: capacity, overflow, capacity_bytes, session_id, "
            "task_id, tool_name, type, event (did you mean 'task_id'?)"
        )


@pytest.mark.parametrize(
    ("address", "misspelt", "meant"),
    [
        ("ws://127.0.0.1:1/mcp", "tokn", "token"),
        ("http://127.0.0.1:1/mcp", "header", "headers"),
        ("stdio:x", "evn", "env"),
        ("tcp://127.0.0.1:1", "recconect", "reconnect"),
        ("memory://x", "read_timeout_second", "read_timeout_seconds"),
        ("memory://x", "chanel", "channel"),
    ],
)
def test_a_misspelt_option_of_a_client_is_refused(address: str, misspelt: str, meant: str) -> None:
    client: Any = mcpc.Client
    text = refused(lambda: client(address, **{misspelt: 1}))
    assert text.startswith(f"{address.partition(':')[0]}: connect does not take {misspelt!r}; it takes: ")
    assert text.endswith(f"(did you mean {meant!r}?)")


def test_a_client_of_a_server_object_takes_no_option_of_a_transport() -> None:
    text = refused(lambda: mcpc.Client(MCPServer("s"), headers={"a": "b"}))
    assert text == "Client of a server that is not given by a URI does not take 'headers'; it takes: no options"


@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["serve", "run"])
@pytest.mark.parametrize(
    ("misspelt", "meant"), [("allowed_origin", "allowed_origins"), ("on_listenig", "on_listening")]
)
async def test_a_misspelt_option_of_serving_is_refused(verb: str, misspelt: str, meant: str) -> None:
    with pytest.raises(TypeError) as caught:
        await getattr(mcpc, verb)(MCPServer("s"), "ws://127.0.0.1:0/mcp", **{misspelt: ["*"]})
    text = str(caught.value)
    assert text.startswith(f"ws: listen does not take {misspelt!r}")
    assert text.endswith(f"(did you mean {meant!r}?)")


@pytest.mark.anyio
async def test_a_misspelt_option_of_listen_is_refused() -> None:
    listen: Any = mcpc.listen
    with pytest.raises(TypeError, match=r"ws: listen does not take 'allowed_origin'.*did you mean 'allowed_origins'\?"):
        await listen(MCPServer("s"), "ws://127.0.0.1:0/mcp", allowed_origin=["*"]).__aenter__()


def test_an_option_may_be_given_by_name_or_in_transport_options_and_not_both() -> None:
    mcpc.connect("memory://x", transport_options={"buffer": 3})
    with pytest.raises(TypeError, match="given twice, by name and in transport_options: 'buffer'"):
        mcpc.connect("memory://x", buffer=2, transport_options={"buffer": 3})
    with pytest.raises(mcpc.UnknownOption, match="did you mean 'buffer'"):
        mcpc.connect("memory://x", transport_options={"bufer": 3})


def test_an_unknown_option_is_an_error_of_the_address_and_of_the_type() -> None:
    assert issubclass(mcpc.UnknownOption, TypeError)
    assert issubclass(mcpc.UnknownOption, mcpc.URIError)


def test_every_name_that_is_unknown_is_told_and_a_suggestion_only_where_one_is_near() -> None:
    with pytest.raises(TypeError) as caught:
        refuse_unknown("it", ["speed", "colour"], ["sped", "hue"], TypeError)
    assert str(caught.value) == "it does not take 'sped', 'hue'; it takes: speed, colour (did you mean 'speed'?)"
    with pytest.raises(mcpc.UnknownOption, match=r"it takes: no options$"):
        refuse_unknown("it", [], ["hue"])
    refuse_unknown("it", ["speed"], ["speed"])


# --- what an editor is told is what there is ------------------------------------------------------------------


def all_of(method: str) -> set[str]:
    return {name for scheme in schemes() for name in transport_options(resolve(scheme), method)}


def test_the_options_that_a_type_checker_knows_are_those_of_the_transports() -> None:
    assert set(ConnectOptions.__annotations__) == all_of("connect")
    assert set(ListenOptions.__annotations__) == all_of("listen")
    mountable: list[Any] = [transport for scheme in schemes() if traits_of(transport := resolve(scheme)).mounted_as]
    mounted = {name for transport in mountable for name in options_of(transport.mount)}
    assert set(MountOptions.__annotations__) == mounted


def test_the_limits_that_a_type_checker_knows_are_those_there_are() -> None:
    assert list(LimitOptions.__annotations__) == [field.name for field in fields(mcpc.Limits)]


def test_the_options_of_a_tool_that_a_type_checker_knows_are_those_of_the_kinds_of_servers() -> None:
    taken = {name for make in SERVERS.values() for name in tool_keywords(make())}
    assert taken - {"name", "description"} == set(ToolOptions.__annotations__)


def test_the_options_of_the_blocking_client_are_those_of_the_client() -> None:
    own = {p.name for p in signature(mcpc.Client).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert own == set(OWN)
    assert own == set(mcpc.SyncOptions.__annotations__) - set(mcpc.ClientOptions.__annotations__)
