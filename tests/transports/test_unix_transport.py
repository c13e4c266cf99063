"""`unix:`, what is its own: the socket file, its mode, and whose it is."""

import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.uri import dial, listen_at
from mcpc_transports.sockets import socket_file
from stream_kit import Echo, channel_at

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "uri",
    [
        "unix:/tmp/s",
        "unix:s",
        "unix://host/tmp/s",
        "unix://",
        "unix:///tmp/s?x=1",
        "unix:///tmp/s#1",
        "unix:///tmp/%00s",
    ],
)
async def test_a_unix_address_is_an_absolute_path_and_nothing_else(uri: str) -> None:
    for use in (lambda: dial(uri), lambda: listen_at(uri, Echo())):
        with pytest.raises(URIError, match="unix:"):
            use()


async def test_a_path_too_long_for_a_socket_is_told_so_with_the_limit() -> None:
    limit = 107
    with pytest.raises(URIError, match=f"{limit + 1} bytes; here the limit is {limit}"):
        dial("unix:///" + "x" * limit)
    dial("unix:///" + "x" * (limit - 1))


async def test_a_path_is_percent_decoded_and_the_listener_names_it_so_that_it_can_be_dialled(tmp_path: Path) -> None:
    endpoint = Echo()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            uri = f"unix://{tmp_path}/a%20b%3F%23%C3%A9"
            listener = await stack.enter_async_context(listen_at(uri, endpoint))
            assert (tmp_path / "a b?#é").is_socket()
            channel = await channel_at(stack, listener.uri)
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"
    assert endpoint.peers[0].address == f"{tmp_path}/a b?#é"


@pytest.fixture
def umask() -> Any:
    """Sets the umask for one test."""
    before = os.umask(0)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177, 0o777])
@pytest.mark.parametrize("mode", [None, 0o660, 0o666])
async def test_a_socket_file_has_its_mode_whatever_the_umask(
    mask: int, mode: int | None, tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(mask)
    options = {} if mode is None else {"mode": mode}
    async with listen_at(f"unix://{tmp_path}/s", Echo(), **options):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == (mode or 0o600)


async def test_a_socket_file_is_never_open_to_others_before_its_mode_is_set(
    tmp_path: Path, umask: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    umask(0)
    listen, modes = socket.socket.listen, list[int]()

    def noting_listen(sock: socket.socket, backlog: int) -> None:
        modes.append(stat.S_IMODE((tmp_path / "s").stat().st_mode))
        with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
            early.connect(f"{tmp_path}/s")
        listen(sock, backlog)

    monkeypatch.setattr(socket.socket, "listen", noting_listen)
    async with listen_at(f"unix://{tmp_path}/s", Echo()):
        pass
    assert modes == [0o600]


def abandon(path: Path) -> None:
    """Leave a socket file that nobody serves."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    abandon(tmp_path / "s")
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            with pytest.raises(ConnectFailed, match="nobody listens"):
                await channel_at(stack, f"unix://{tmp_path}/s")
            listener = await stack.enter_async_context(listen_at(f"unix://{tmp_path}/s", Echo()))
            channel = await channel_at(stack, listener.uri)
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"


async def test_a_live_socket_is_not_replaced(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(f"unix://{tmp_path}/s", Echo()))
            with pytest.raises(ListenFailed, match="already served"):
                await stack.enter_async_context(listen_at(listener.uri, Echo()))
            channel = await channel_at(stack, listener.uri)
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"


async def test_of_many_listeners_that_start_on_one_stale_socket_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a thread with its own loop, so that they do run at once."""
    monkeypatch.setattr(socket_file, "LOCK_TIMEOUT", 60.0)
    abandon(tmp_path / "s")
    start, outcomes = threading.Barrier(6), list[str]()
    over = threading.Event()

    async def listen() -> None:
        try:
            async with listen_at(f"unix://{tmp_path}/s", Echo()):
                outcomes.append("won")
                await anyio.to_thread.run_sync(over.wait, 60)
        except ListenFailed:
            outcomes.append("lost")
            if len(outcomes) == 6:
                over.set()

    def run() -> None:
        start.wait()
        anyio.run(listen)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    assert sorted(outcomes) == ["lost"] * 5 + ["won"]


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
async def test_what_is_not_a_socket_is_left_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    abandon(tmp_path / "target")
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "target")
    before = path.lstat()
    with pytest.raises(ListenFailed, match="not a socket"):
        async with listen_at(f"unix://{path}", Echo()):
            pass
    assert path.lstat() == before
    assert (tmp_path / "target").is_socket()


async def test_the_file_is_gone_after_serving(tmp_path: Path) -> None:
    async with listen_at(f"unix://{tmp_path}/s", Echo()):
        assert (tmp_path / "s").is_socket()
    assert os.listdir(tmp_path) == []


async def test_a_file_that_somebody_put_in_our_place_is_left_there(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with listen_at(f"unix://{path}", Echo()):
        path.unlink()
        abandon(path)
    assert path.is_socket()


async def test_a_missing_directory_or_socket_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ListenFailed, match="no such directory"):
        async with listen_at(f"unix://{tmp_path}/none/s", Echo()):
            pass
    with pytest.raises(ConnectFailed, match="there is no socket"):
        async with dial(f"unix://{tmp_path}/none"):
            pass
