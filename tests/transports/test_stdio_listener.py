"""`stdio:` alone: a process that serves its own stdin and stdout, with nothing but messages on the wire."""

import os
import pty
import select
import shlex
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import anyio
import pytest

from stream_kit import channel_at

SERVER = """
import os, subprocess, sys
import anyio
import mcpc
from mcpc.errors import FrameError, ListenFailed, TransportError
from mcpc.uri import listen_at

backend = {backend!r}

class Echo:
    ending = ""

    async def serve_channel(self, channel, peer):
        self.peer = peer
        try:
            while True:
                try:
                    frame = await channel.receive()
                except FrameError as exc:
                    frame = b'{{"error": "%s"}}' % str(exc).encode()
                await self.got(frame)
                await channel.send(frame)
        except TransportError as exc:
            self.ending = type(exc).__name__

    async def got(self, frame):
        pass

async def serve(endpoint, **options):
    async with listen_at("stdio:", endpoint, **options) as listener:
        await listener.finished.wait()

{text}
"""

PLAIN = "anyio.run(serve, Echo(), backend=backend)"

Server = Callable[..., list[str]]


@pytest.fixture
def server(tmp_path: Path, anyio_backend: str) -> Server:
    """Writes a server; gives the command that runs it."""

    def write(text: str = PLAIN) -> list[str]:
        path = tmp_path / "server.py"
        path.write_text(SERVER.format(backend=anyio_backend, text=text))
        return [sys.executable, "-W", "error", str(path)]

    return write


def run(
    command: list[str],
    data: bytes = b"",
    *,
    stdin: int | BinaryIO = subprocess.PIPE,
    stdout: int | BinaryIO = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Run a server to its end, with `data` on its stdin."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment) as process:
        try:
            out, err = process.communicate(data if stdin == subprocess.PIPE else None, timeout=200)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.anyio
async def test_frames_go_both_ways_whole_and_in_order(server: Server) -> None:
    frames = [b'{"n": %d, "t": "%s"}' % (n, b"\xc3\xa9" * n) for n in (1, 0, 40_000, 7, 900_000, 2)]
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, "stdio:" + shlex.join(server()))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.send, *frames)
                assert [await channel.receive() for _ in frames] == frames


@pytest.mark.anyio
async def test_many_frames_go_through_quickly(server: Server) -> None:
    count, batch = 50_000, 100
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, "stdio:" + shlex.join(server()))

            async def send() -> None:
                for start in range(0, count, batch):
                    await channel.send(*(b'{"n": %d}' % n for n in range(start, start + batch)))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                for n in range(count):
                    assert await channel.receive() == b'{"n": %d}' % n


def test_the_connection_ends_with_stdin_and_the_listener_tells(server: Server) -> None:
    text = (
        "endpoint = Echo()\nanyio.run(serve, endpoint, backend=backend)\n"
        "print(endpoint.ending, endpoint.peer.address, file=sys.stderr)"
    )
    done = run(server(text), b"{1}\r\n\n{2}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{1}\n{2}\n", b"ChannelEnded stdio\n")
    done = run(server(text), b'{1}\n{"half')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{1}\n", b"ChannelBroken stdio\n")


def test_a_message_over_the_limit_is_refused_and_the_next_one_works(server: Server) -> None:
    text = "from functools import partial\nanyio.run(partial(serve, Echo(), max_message_size=10), backend=backend)"
    done = run(server(text), b"x" * 10 + b"\n" + b"y" * 1_000_000 + b"\n{}\n")
    assert done.stdout.splitlines() == [
        b"x" * 10,
        b'{"error": "message is over the limit of 10 bytes"}',
        b"{}",
    ]


STRAY = """
class Chatty(Echo):
    async def got(self, frame):
        print("printed")
        os.write(1, b"written\\n")
        subprocess.run(["echo", "echoed"], check=True)
        print("input", repr(sys.stdin.readline()))

print("before")
anyio.run(serve, Chatty(), backend=backend)
print("after", sys.stdin.read() == "")
"""


def test_what_the_server_prints_stays_off_the_wire_and_goes_to_stderr(server: Server) -> None:
    done = run(server(STRAY), b"{}\n")
    assert done.returncode == 0
    assert done.stdout == b"{}\nafter True\n"
    assert sorted(done.stderr.splitlines()) == sorted([b"before", b"printed", b"written", b"echoed", b"input ''"])


def test_where_stderr_is_the_wire_too_prints_go_nowhere(server: Server) -> None:
    done = run(server(STRAY), b"{}\n", stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, b"{}\nafter True\n")


def test_without_a_stderr_prints_go_nowhere(server: Server) -> None:
    command = ["sh", "-c", f"exec {shlex.join(server(STRAY))} 2>&-"]
    done = run(command, b"{}\n")
    assert (done.returncode, done.stdout) == (0, b"{}\nafter True\n")


def test_files_can_be_served(server: Server, tmp_path: Path) -> None:
    """A file on disk cannot be waited for, and need not."""
    (tmp_path / "in").write_bytes(b'{"n": 1}\n' * 20_000)
    (tmp_path / "out").write_bytes(b"kept\n")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "ab") as target:
        done = run(server(), stdin=source, stdout=target)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out").read_bytes() == b"kept\n" + b'{"n": 1}\n' * 20_000


def test_an_empty_stdin_ends_at_once(server: Server) -> None:
    done = run(server(), stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_peer_that_closes_our_stdout_breaks_sending(server: Server) -> None:
    text = "endpoint = Echo()\nanyio.run(serve, endpoint, backend=backend)\nprint(endpoint.ending, file=sys.stderr)"
    reader, writer = os.pipe()
    os.close(reader)
    done = run(server(text), b"{}\n", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"ChannelBroken\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_process_without_stdin_or_stdout_is_told_so(server: Server, closed: str) -> None:
    text = "try:\n    anyio.run(serve, Echo(), backend=backend)\nexcept ListenFailed as exc:\n    sys.exit(str(exc))"
    done = run(["sh", "-c", f"exec {shlex.join(server(text))} {closed}"])
    assert b"without stdin or stdout" in done.stderr


def test_there_is_one_listener_at_a_time(server: Server) -> None:
    text = """
async def main():
    async with listen_at("stdio:", Echo()):
        try:
            await serve(Echo())
        except ListenFailed as exc:
            print(exc)
    await serve(Echo())
anyio.run(main, backend=backend)
"""
    done = run(server(text), b"{}\n")
    assert (done.returncode, done.stderr) == (0, b"stdio: is already served in this process\n")
    assert done.stdout in (b"{}\n", b"")  # the first one may have been quick enough to answer


CANCELLED = """
class Receiving:
    async def serve_channel(self, channel, peer):
        await channel.receive()

class Sending:
    async def serve_channel(self, channel, peer):
        await channel.send(b"x" * 1_000_000)

async def main():
    caught = []
    for endpoint in (Receiving(), Sending()):
        with anyio.move_on_after(0.05) as scope:
            await serve(endpoint)
        caught.append(scope.cancelled_caught)
    return caught

print(anyio.run(main, backend=backend), os.get_blocking(0), os.get_blocking(1), file=sys.stderr, flush=True)
print(sys.stdin.readline(), end="", file=sys.stderr)
"""


class Ends:
    """The files that join us to a child's stdin and stdout; all but ours stay open too, as a shell's would."""

    def __init__(self, *descriptors: int) -> None:
        self.all = descriptors
        self.stdin, self.ours_to_write, self.ours_to_read, self.stdout = descriptors

    def close(self) -> None:
        for descriptor in {*self.all}:
            os.close(descriptor)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Generator[Ends]:
    """What a child may be given as stdin and stdout."""
    if request.param == "pipe":
        made = Ends(*os.pipe(), *os.pipe())
    elif request.param == "socket":
        (a, b), (c, d) = socket.socketpair(), socket.socketpair()
        made = Ends(*(sock.detach() for sock in (a, b, c, d)))
    else:
        ours, theirs = pty.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        made = Ends(theirs, ours, ours, theirs)
    yield made
    made.close()


@contextmanager
def running(command: list[str], ends: Ends) -> Generator[subprocess.Popen[bytes]]:
    """A running server. It does not see its stdin end, as that stays open here; so it is killed."""
    with subprocess.Popen(command, stdin=ends.stdin, stdout=ends.stdout, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_cancelled_listener_gives_stdin_and_stdout_back_as_they_were(server: Server, ends: Ends) -> None:
    """Cancelled in a waiting receive, then in a waiting send."""
    with running(server(CANCELLED), ends) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"[True, True] True True\n"
        os.write(ends.ours_to_write, b"mine\n")
        assert process.stderr.readline() == b"mine\n"
    assert os.get_blocking(ends.stdin)
    assert os.get_blocking(ends.stdout)


@pytest.mark.parametrize("ends", ["pipe", "terminal"], indirect=True)
def test_whoever_shares_a_pipe_or_terminal_with_the_server_is_not_disturbed(server: Server, ends: Ends) -> None:
    """Whether it blocks is shared by all who have it open; a shell whose terminal does not block fails oddly."""
    with running(server(), ends):
        os.write(ends.ours_to_write, b"{}\n")
        assert select.select([ends.ours_to_read], [], [], 60)[0], "no answer"
        assert os.read(ends.ours_to_read, 100) == b"{}\n"
        assert os.get_blocking(ends.stdin)
        assert os.get_blocking(ends.stdout)
