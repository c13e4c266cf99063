"""`stdio:command`: running a server, speaking to it over pipes, and seeing it end."""

import io
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, ConnectFailed, FrameTooLarge, URIError
from mcpc.transport import FrameChannel
from mcpc.uri import dial, listen_at
from mcpc_transports.stdio import transport
from stream_kit import Echo, channel_at

pytestmark = pytest.mark.anyio

PREAMBLE = """
import json, os, signal, subprocess, sys, time
def say(**what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()
"""

ECHO = "for line in sys.stdin.buffer:\n    sys.stdout.buffer.write(line)\n    sys.stdout.flush()\n"

Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Writes a program; gives the address that runs it. `mark` is a file that it may write, where it is one."""

    def write(text: str, *arguments: str) -> str:
        path = tmp_path / "a program.py"
        path.write_text(f"{PREAMBLE}\nmark = {str(tmp_path / 'mark')!r}\n{text}")
        return "stdio:" + shlex.join([sys.executable, "-S", str(path), *arguments])

    return write


@pytest.fixture
def mark(tmp_path: Path) -> Callable[[], str]:
    """Reads what the program wrote there."""
    return (tmp_path / "mark").read_text


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_collected(pid: int) -> bool:
    """Whether a process has ended and is no zombie."""
    return not Path(f"/proc/{pid}").exists()


async def until_gone(pid: int) -> None:
    """Wait for a process that is not our child; there is nothing else that tells."""
    while lives(pid):  # noqa: ASYNC110
        await anyio.sleep(0.01)


async def until_collected(pid: int) -> None:
    """Wait until a child is no zombie either."""
    with anyio.fail_after(60):
        while not is_collected(pid):  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def to_its_end(uri: str, **options: Any) -> None:
    """Run a program that ends by itself."""
    async with AsyncExitStack() as stack:
        channel = await channel_at(stack, uri, **options)
        with pytest.raises(ChannelEnded):
            await channel.receive()


async def hear(channel: FrameChannel) -> Any:
    return json.loads(await channel.receive())


# --- speaking ---


async def test_frames_go_both_ways_whole_and_in_order(program: Program) -> None:
    frames = [b'{"n": %d, "t": "%s"}' % (n, b"\xc3\xa9" * n) for n in (1, 0, 40_000, 7, 900_000, 2)]
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(ECHO))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.send, *frames)
                assert [await channel.receive() for _ in frames] == frames


async def test_many_frames_go_through_quickly(program: Program) -> None:
    count, batch = 50_000, 100
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(ECHO))

            async def send() -> None:
                for start in range(0, count, batch):
                    await channel.send(*(b'{"n": %d}' % n for n in range(start, start + batch)))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                for n in range(count):
                    assert await channel.receive() == b'{"n": %d}' % n


async def test_junk_on_the_servers_stdout_is_handed_on_line_by_line(program: Program) -> None:
    """Whoever reads frames skips and counts what is none; the channel ends for no junk."""
    text = 'sys.stdout.write("Loading...\\n\\n\\x1b[32mready\\x1b[0m\\r\\n{}\\n")\n'
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(text))
            assert [await channel.receive() for _ in range(3)] == [b"Loading...", b"\x1b[32mready\x1b[0m", b"{}"]


async def test_a_message_over_the_limit_is_refused_and_the_next_one_works(program: Program) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(ECHO), max_message_size=100)
            await channel.send(b"x" * 100, b"y" * 101, b"{}")
            assert await channel.receive() == b"x" * 100
            with pytest.raises(FrameTooLarge):
                await channel.receive()
            assert await channel.receive() == b"{}"


# --- starting ---


async def test_the_command_is_split_like_a_shell_does_and_meets_none(program: Program, tmp_path: Path) -> None:
    arguments = ["two words", "$HOME", "a;b", "", "`id`", "*", "é"]
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program("say(argv=sys.argv[1:])", *arguments))
            assert await hear(channel) == {"argv": arguments}


async def test_the_server_sees_only_the_variables_it_should(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "hush")
    monkeypatch.setenv("USER", "somebody")
    text = "say(cwd=os.getcwd(), **{n: os.environ.get(n) for n in ('API_TOKEN', 'USER', 'MORE', 'PATH')})"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            env = {"MORE": "yes", "USER": "me"}
            channel = await channel_at(stack, program(text), env=env, cwd=tmp_path)
            seen = await hear(channel)
    assert seen == {
        "API_TOKEN": None,
        "USER": "me",
        "MORE": "yes",
        "PATH": os.environ["PATH"],
        "cwd": str(tmp_path),
    }


@pytest.mark.parametrize("rest", ["", "   ", "'open", "//server", '"" x'])
async def test_an_address_without_a_command_is_refused(rest: str) -> None:
    with pytest.raises(URIError, match="stdio:"):
        dial(f"stdio:{rest}")


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("no-such-command", {}, "'no-such-command': there is no such command"),
        ("/etc/passwd", {}, "'/etc/passwd': it is not executable"),
        (sys.executable, {"cwd": "/no/such/place"}, "'/no/such/place' is not a directory"),
        (sys.executable, {"cwd": "/etc/passwd"}, "'/etc/passwd' is not a directory"),
        ("no\0command", {}, "null byte"),
    ],
)
async def test_a_server_that_cannot_be_started_is_named_but_not_its_arguments(
    command: str, options: dict[str, Any], message: str
) -> None:
    with anyio.fail_after(60), pytest.raises(ConnectFailed) as caught:
        async with dial(f"stdio:{command} --token hush", **options):
            pass
    assert message in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_what_the_server_says_on_stderr_goes_to_ours(program: Program, capfd: pytest.CaptureFixture[str]) -> None:
    with anyio.fail_after(60):
        await to_its_end(program("os.write(2, b'to stderr')"))
    assert capfd.readouterr().err == "to stderr"


async def test_what_the_server_says_on_stderr_goes_where_told(
    program: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = program("os.write(2, b'to stderr')")
    with anyio.fail_after(60):
        with open(tmp_path / "log", "wb") as log:  # noqa: ASYNC230
            for errlog in (log, log.fileno(), None):
                await to_its_end(uri, errlog=errlog)
    assert (tmp_path / "log").read_bytes() == b"to stderr" * 2
    assert capfd.readouterr().err == ""


async def test_an_errlog_that_the_system_does_not_know_is_refused(program: Program) -> None:
    with pytest.raises(URIError, match="errlog"):
        dial(program(""), errlog=io.StringIO())


def test_without_a_stderr_of_our_own_the_servers_is_discarded(program: Program, anyio_backend: str) -> None:
    uri = program("os.write(2, b'to stderr')\nsay(ok=True)")
    text = (
        "import anyio, mcpc.uri\n"
        "async def main():\n"
        f"    async with mcpc.uri.dial({uri!r}) as channel:\n"
        "        print(await channel.receive())\n"
        f"anyio.run(main, backend={anyio_backend!r})\n"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, text]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=200, check=True)
    assert done.stdout == b"b'{\"ok\": true}'\n"


# --- ending ---


async def test_a_server_that_ends_ends_the_channel_and_breaks_sending(program: Program) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program("say(last=True)"))
            assert await hear(channel) == {"last": True}
            for _ in range(2):
                with pytest.raises(ChannelEnded):
                    await channel.receive()
            with pytest.raises(ChannelBroken):
                await channel.send(*[b"x" * 1000] * 1000)


async def test_a_server_that_ends_in_the_middle_of_a_message_breaks_the_channel(program: Program) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program("""os.write(1, b'{"half')"""))
            with pytest.raises(ChannelBroken):
                await channel.receive()


async def test_a_server_leaves_by_itself_when_its_stdin_is_closed(program: Program, mark: Callable[[], str]) -> None:
    """No signal: what it still has to write, even to a stdout that nobody reads, does not keep it."""
    text = "say(pid=os.getpid())\nsys.stdin.read()\nos.write(1, b'x' * 1_000_000)\nopen(mark, 'w').write('left')\n"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(text), terminate_timeout=50)
            pid = (await hear(channel))["pid"]
    assert mark() == "left"
    await until_collected(pid)


async def test_a_server_that_stays_is_asked_to_end(program: Program, mark: Callable[[], str]) -> None:
    said = ""
    text = (
        "def leave(*_):\n    open(mark, 'w').write('asked')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, leave)\nsay(ready=True)\nwhile True: time.sleep(60)\n"
    )
    for seconds in (0.2, 2.0, 15.0):  # a busy machine takes longer over it
        with anyio.fail_after(60):
            async with AsyncExitStack() as stack:
                channel = await channel_at(stack, program(text), terminate_timeout=seconds)
                await hear(channel)
        with suppress(FileNotFoundError):
            said = mark()
        if said == "asked":
            break
    assert said == "asked"


async def test_a_server_that_ignores_all_requests_is_killed_in_bounded_time(program: Program) -> None:
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(pid=os.getpid())\nwhile True: time.sleep(60)\n"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(text), terminate_timeout=0.2)
            pid = (await hear(channel))["pid"]
            start = time.monotonic()
        taken = time.monotonic() - start
    assert 0.4 <= taken < 60  # both waits, and no third one without an end
    await until_collected(pid)


@pytest.mark.parametrize("stubborn", [False, True])
async def test_descendants_that_hold_the_pipes_are_ended_too(program: Program, stubborn: bool) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if stubborn else ""
    text = f"{ignore}child = subprocess.Popen(['sleep', '600'])\nsay(pid=child.pid)\n"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(text), terminate_timeout=0.3)
            pid = (await hear(channel))["pid"]
            assert lives(pid)
        await until_gone(pid)


async def test_a_channel_closed_early_says_so_and_the_server_still_leaves_in_good_order(
    program: Program, mark: Callable[[], str]
) -> None:
    uri = program("sys.stdin.read()\nopen(mark, 'w').write('left')\n")
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, uri, terminate_timeout=50)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.aclose)
                with pytest.raises(ChannelClosed):
                    await channel.receive()
            with pytest.raises(ChannelClosed):
                await channel.send(b"{}")
    assert mark() == "left"


async def test_who_reads_is_told_how_a_server_ended_before_who_writes_is_told_that_it_did(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READER_FIRST", 60.0)
    told: list[str] = []
    text = "os.close(0)\nsay(closed=True)\ntime.sleep(0.2)\nsys.exit('no database')\n"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, program(text))
            await hear(channel)

            async def write() -> None:
                with pytest.raises(ChannelBroken):
                    await channel.send(b"{}")
                told.append("the writer")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                with pytest.raises(ChannelEnded, match="exit code 1; the last it wrote to stderr:\n  no database"):
                    await channel.receive()
                told.append("the reader")
    assert told == ["the reader", "the writer"]


@pytest.mark.parametrize("waiting", ["receive", "send"])
async def test_a_cancelled_connection_still_ends_its_server(program: Program, waiting: str) -> None:
    pids: list[int] = []

    async def talk(uri: str) -> None:
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, uri, terminate_timeout=0.1)
            pids.append((await hear(channel))["pid"])
            tasks.cancel_scope.deadline = anyio.current_time() + 0.05
            if waiting == "receive":
                await channel.receive()
            else:
                await channel.send(b"x" * 10_000_000)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk, program("say(pid=os.getpid())\nwhile True: time.sleep(60)\n"))
    assert tasks.cancel_scope.cancelled_caught
    await until_collected(pids[0])


async def test_a_cancelled_start_leaves_no_process(program: Program, tmp_path: Path) -> None:
    async def children() -> set[str]:
        return {entry for entry in os.listdir("/proc/self/task") for entry in _children(entry)}

    before = await children()  # some may still be on their way out
    with anyio.fail_after(60), anyio.CancelScope() as scope:
        scope.cancel()
        async with dial(program("while True: time.sleep(60)"), terminate_timeout=0.1):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert await children() <= before


def _children(thread: str) -> list[str]:
    return Path(f"/proc/self/task/{thread}/children").read_text().split()


async def test_no_descriptor_is_left_open(program: Program) -> None:
    uri = program(ECHO)
    async with dial(uri):  # what the event loop opens once
        pass
    before = set(os.listdir("/proc/self/fd"))
    for address in (uri, "stdio:no-such-command"):
        try:
            async with dial(address):
                pass
        except ConnectFailed:
            pass
    assert set(os.listdir("/proc/self/fd")) <= before


async def test_an_error_in_the_body_comes_out_as_it_is(program: Program) -> None:
    async def fail() -> None:
        async with dial(program(ECHO)):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()


async def test_our_own_stdin_and_stdout_take_no_command() -> None:
    with pytest.raises(URIError, match="nothing else"):
        listen_at("stdio:python server.py", Echo())
