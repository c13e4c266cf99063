"""What a transport says of itself: the usual where it says nothing, and what follows where it says something."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.cli.listening import Listening
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.offering import tools_at
from mcpc.testing import FaultyTransport
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, URI, FrameChannel, Traits, traits_of
from mcpc.uri import TRANSPORTS, dial, example_of, resolve, schemes

pytestmark = pytest.mark.anyio


class Over:
    """A third party's transport that hands its work to `memory:`, as `ssh:` would to a pipe."""

    def __init__(self, **traits: Any) -> None:
        if traits:
            self.traits = Traits(**traits)
        self.dialled = 0

    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[FrameChannel]:
        self.dialled += 1
        async with dial(f"memory:{uri.rest}", max_message_size=max_message_size) as channel:
            assert isinstance(channel, FrameChannel)
            yield channel

    def listen(self, uri: URI, endpoint: Any, /) -> Any:
        raise mcpc.URIError("only dialled")


def test_a_transport_that_says_nothing_is_as_usual() -> None:
    assert traits_of(object()) == Traits() == Traits(redialled=True, guarded=False, spawns=False, place=None)


def test_a_transport_around_another_says_what_that_one_says() -> None:
    assert traits_of(FaultyTransport("stdio")) == traits_of(resolve("stdio"))


@pytest.mark.parametrize("scheme", schemes())
def test_every_built_in_transport_names_an_address_to_try_and_one_to_serve_at(scheme: str) -> None:
    traits = traits_of(resolve(scheme))
    assert example_of(scheme) == traits.example.format(scheme=scheme)
    assert traits.example.format(scheme=scheme).startswith(f"{scheme}:")
    assert traits.place is not None
    assert traits.place.format(scheme=scheme, directory="/tmp").startswith(f"{scheme}:")


@pytest.mark.parametrize(("traits", "reconnects"), [({"redialled": False}, False), ({}, True)])
async def test_a_third_party_can_say_that_a_new_connection_is_another_server(
    traits: dict[str, Any], reconnects: bool
) -> None:
    """Then nobody starts a new server behind a client's back, unless the client asks for it."""
    over: Any = Over(**traits)
    with anyio.fail_after(60), TRANSPORTS.restored():
        mcpc.register_transport("over", over)
        async with mcpc.listen(MCPServer("s"), "memory://over-test"):
            for client in (mcpc.Client("over://over-test"), mcpc.Client(mcpc.connect("over://over-test"))):
                assert client.reconnect is reconnects
            async with mcpc.Client("over://over-test", reconnect=True) as client:
                assert client.reconnect
                await client.list_tools()
    assert over.dialled == 1


@pytest.mark.parametrize("guarded", [True, False])
def test_a_listener_that_the_system_guards_is_served_beside_a_token_that_it_cannot_check(guarded: bool) -> None:
    over: Any = Over(guarded=guarded)
    with TRANSPORTS.restored():
        mcpc.register_transport("over", over)
        listening = Listening(allow_remote=False, token="secret", tls=None, options={})
        if guarded:
            assert listening.for_uri("over://x") == {}
        else:
            with pytest.raises(UserMistake, match="cannot check a token"):
                listening.for_uri("over://x")


def test_completing_a_command_line_starts_no_server() -> None:
    over: Any = Over(redialled=False)
    with TRANSPORTS.restored():
        mcpc.register_transport("over", over)
        assert tools_at("over://x", {}) == []
    assert over.dialled == 0
