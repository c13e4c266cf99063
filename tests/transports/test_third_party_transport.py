"""A transport that somebody else wrote: a small package is built, installed, and its scheme used by URI."""

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

SOURCE = '''
"""`loop://name`: a listener of that name in this process. An adapter as a third party would write it."""

from contextlib import asynccontextmanager

import anyio

from mcpc.errors import ConnectFailed, ListenFailed
from mcpc.pair import memory_pair
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, Peer


class Listening:
    def __init__(self, uri, endpoint, tasks):
        self.uri = uri
        self.endpoint = endpoint
        self.tasks = tasks


class LoopTransport:
    def __init__(self):
        self.listening = {}

    @asynccontextmanager
    async def connect(self, uri, /, *, max_message_size=DEFAULT_MAX_MESSAGE_SIZE):
        if uri.host not in self.listening:
            raise ConnectFailed(f"nobody listens at {uri}")
        there = self.listening[uri.host]
        ours, theirs = memory_pair(max_message_size=max_message_size)
        there.tasks.start_soon(there.endpoint.serve_channel, theirs, Peer(address=there.uri))
        try:
            yield ours
        finally:
            await ours.aclose()

    @asynccontextmanager
    async def listen(self, uri, endpoint, /, *, greeting="hello"):
        if uri.host in self.listening:
            raise ListenFailed(f"{uri} is taken")
        async with anyio.create_task_group() as tasks:
            self.listening[uri.host] = Listening(f"loop://{uri.host}", endpoint, tasks)
            try:
                yield self.listening[uri.host]
            finally:
                del self.listening[uri.host]
                tasks.cancel_scope.cancel()
'''

NEEDY = """
import a_package_that_is_not_there

class NeedyTransport: ...
"""

METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: mcpc-loop\nVersion: 1.0\nRequires-Dist: mcpc\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "entry_points.txt": "[mcpc.transports]\nloop = mcpc_loop:LoopTransport\nneedy = mcpc_loop.needy:NeedyTransport\n",
}


def build_wheel(directory: Path) -> Path:
    """A wheel by hand: it needs no build tool and no network."""
    files = {"mcpc_loop/__init__.py": SOURCE, "mcpc_loop/needy.py": NEEDY}
    files |= {f"mcpc_loop-1.0.dist-info/{name}": text for name, text in METADATA.items()}
    record = "".join(f"{name},sha256={digest(text)},{len(text.encode())}\n" for name, text in files.items())
    files["mcpc_loop-1.0.dist-info/RECORD"] = record + "mcpc_loop-1.0.dist-info/RECORD,,\n"
    wheel = directory / "mcpc_loop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    pytest.skip("needs pip or uv")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package installed in it."""
    directory = tmp_path_factory.mktemp("third-party")
    target = directory / "site"
    wheel = build_wheel(directory)
    command = [*installer(), "--no-index", "--no-deps", "--target", str(target), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return target


def run(site: Path, script: str, *arguments: str) -> list[str]:
    """What a program prints that runs with the package installed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_its_scheme_works_like_a_built_in_one(site: Path, backend: str) -> None:
    printed = run(
        site,
        """
        import sys
        import anyio, mcp, mcpc
        from mcp.server import MCPServer

        server = MCPServer("third", log_level="ERROR")
        callbacks = mcpc.MCPCHelper(server)

        @callbacks.tool()
        async def count(n: int, task: mcpc.Task) -> dict:
            for number in range(n):
                await task.update(number)
            return {"counted": n}

        async def main():
            async with mcpc.listen(server, "loop://here", greeting="good day") as listener:
                print(listener.uri)
                async with mcpc.Client(listener.uri, max_message_size=5000) as client:
                    task = await client.start_task("count", {"n": 3})
                    print(*[message.event for message in [m async for m in task]])
                    print(await task.result())
                async with mcp.Client(mcpc.connect(listener.uri)) as client:
                    print((await client.call_tool("count", {"n": 2})).structured_content)

        async def bounded():
            with anyio.fail_after(60):
                await main()
        anyio.run(bounded, backend=sys.argv[1])
        """,
        backend,
    )
    assert printed == [
        "loop://here",
        "created update update update complete",
        "{'counted': 3}",
        "{'counted': 2}",
    ]


def test_it_is_known_by_name_and_its_options_are_checked(site: Path) -> None:
    printed = run(
        site,
        """
        import mcpc
        from mcpc.uri import schemes

        print("loop" in schemes(), "memory" in schemes())
        for use in (
            lambda: mcpc.connect("loop://here", greeting="only for listeners"),
            lambda: mcpc.connect("nosuch://here"),
            lambda: mcpc.register_transport("loop", object()),
            lambda: mcpc.connect("needy://here"),
        ):
            try:
                use()
            except mcpc.MCPCError as error:
                print(type(error).__name__, "|", error)
        """,
    )
    assert printed[0] == "True True"
    kinds = [line.partition(" | ")[0] for line in printed[1:]]
    texts = [line.partition(" | ")[2] for line in printed[1:]]
    assert kinds == ["UnknownOption", "UnknownScheme", "URIError", "MissingExtra"]
    assert texts[0] == "loop: connect does not take 'greeting'; it takes: max_message_size"
    assert "loop, memory, needy" in texts[1]
    assert "is taken" in texts[2]
    assert "mcpc-loop" in texts[3], "the package that brought the adapter"
    assert "pip install a_package_that_is_not_there" in texts[3]


def test_its_errors_are_those_of_the_contract(site: Path) -> None:
    printed = run(
        site,
        """
        import anyio, mcpc

        async def main():
            try:
                async with mcpc.Client("loop://user:secret@nobody", reconnect=False):
                    pass
            except mcpc.ConnectFailed as error:
                print(error)

        anyio.run(main)
        """,
    )
    assert printed == ["nobody listens at loop://user:***@nobody"]


def test_the_contract_can_be_run_against_it(site: Path) -> None:
    printed = run(
        site,
        """
        import anyio
        from mcpc.testing import check_transport

        async def main():
            with anyio.fail_after(280):
                await check_transport("loop://contract")

        try:
            anyio.run(main)
            print("kept")
        except* Exception as broken:
            for error in broken.exceptions:
                print(error)
        """,
    )
    assert printed == ["kept"]
