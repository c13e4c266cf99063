"""What a server that we run writes to its stderr: it holds up nobody, is passed on, and its end is told."""

import os
import shlex
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.errors import ChannelEnded
from mcpc.uri import dial
from mcpc_transports.stdio import stderr as under_test
from stream_kit import channel_at

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024


def command(tmp_path: Path, text: str) -> str:
    script = tmp_path / "program.py"
    script.write_text("import os, subprocess, sys\n" + text)
    return f"stdio:{shlex.join([sys.executable, '-S', str(script)])}"


async def ending(uri: str, **options: Any) -> str:
    """What is said of a server's end."""
    async with AsyncExitStack() as stack:
        channel = await channel_at(stack, uri, **options)
        with pytest.raises(ChannelEnded) as ended:
            await channel.receive()
    return str(ended.value)


@pytest.mark.parametrize("errlog", ["default", None])
async def test_the_last_lines_are_told_by_default_and_also_where_they_go_nowhere(
    errlog: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = command(tmp_path, 'sys.stderr.write("starting\\n\\x1b[31mno licence\\x07\\n"); sys.exit(7)')
    with anyio.fail_after(60):
        said = await ending(uri, **({} if errlog == "default" else {"errlog": errlog}))
    assert "exit code 7" in said
    assert said.endswith("starting\n  \\x1b[31mno licence\\x07")
    assert capfd.readouterr().err == ("starting\n\x1b[31mno licence\x07\n" if errlog == "default" else "")


async def test_a_connection_that_fails_says_them_too(tmp_path: Path) -> None:
    uri = command(tmp_path, 'sys.exit("there is no config.toml")')
    with anyio.fail_after(60), pytest.raises(mcpc.ConnectFailed, match=r"(?s)exit code 1.*there is no config\.toml"):
        async with mcpc.Client(uri, errlog=None):
            raise AssertionError("there is nobody")


WRITER = """
for _ in range(100):
    os.write(2, b"x" * (1024 * 1024 - 1) + b"\\n")
os.write(2, b"the end\\n")
sys.exit(5)
"""


async def test_a_hundred_mebibytes_hold_up_nobody_and_are_not_kept(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        said = await ending(command(tmp_path, WRITER), errlog=None)
    assert "exit code 5" in said
    assert len(said) < 2 * under_test.TAIL


async def test_where_nobody_reads_them_on_the_server_still_goes_on_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    passed = bytearray()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            channel = await channel_at(stack, command(tmp_path, WRITER), errlog=writer)
            with pytest.raises(ChannelEnded, match="the end"):
                await channel.receive()
            assert os.get_blocking(writer), "the descriptor is the caller's, and as it was"
            while not passed.endswith(b"the end\n"):
                await anyio.wait_readable(reader)
                passed += os.read(reader, MEBIBYTE)
    os.close(reader)
    os.close(writer)
    assert b"bytes of the server's stderr are left out here]\n" in passed
    assert len(passed) < 2 * under_test.MAX_WAITING + MEBIBYTE


async def test_all_of_it_reaches_a_file_in_order(tmp_path: Path) -> None:
    text = 'os.write(2, b"".join(b"%d\\n" % n for n in range(200_000)))'
    with (tmp_path / "log").open("wb") as log, anyio.fail_after(60):
        await ending(command(tmp_path, text), errlog=log)
    assert (tmp_path / "log").read_bytes() == b"".join(b"%d\n" % n for n in range(200_000))


async def test_a_reader_that_has_left_ends_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with anyio.fail_after(60):
        assert "the end" in await ending(command(tmp_path, WRITER), errlog=writer)
    os.close(writer)


async def test_a_descendant_that_keeps_it_open_and_goes_on_writing_keeps_nobody(tmp_path: Path) -> None:
    """It left the process group, so it is not ours to end; it ends by itself, as nobody reads its pipe."""
    text = """
loop = "import os, signal\\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\\nwhile True: os.write(2, b'still here\\\\n')"
subprocess.Popen([sys.executable, "-S", "-c", loop], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 start_new_session=True)
os.write(2, b"begun\\n")
sys.exit(3)
"""
    with anyio.fail_after(60):
        assert "exit code 3" in await ending(command(tmp_path, text), errlog=None, terminate_timeout=0.5)


async def test_no_thread_and_no_descriptor_stays(tmp_path: Path) -> None:
    uri = command(tmp_path, 'os.write(2, b"here\\n"); sys.stdin.read()')
    async with dial(uri, errlog=None):
        """The first may leave what the event loop keeps."""
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for errlog in (None, 2, 1):
        async with dial(uri, errlog=errlog):
            pass
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    with anyio.fail_after(60):
        while threading.active_count() > threads:  # noqa: ASYNC110 - asyncio's own, which wait for the processes
            await anyio.sleep(0.01)
