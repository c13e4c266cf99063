"""What users install, built and tried: `python .ci/packages.py [sdist] [wheel] [lowest] …`; all without a word.

- `sdist`: the source distribution, unpacked, passes lint and a part of the tests in an environment of its own.
- `wheel`: installed alone on each Python that is found, serves and calls over several transports.
- `websockets`: the WebSocket tests with each major version of `websockets` that is allowed.
- `lowest`, `newest`: a part of the tests, with the lowest versions that `pyproject.toml` allows, and with the newest.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "packages"
NOT_HANDED_ON = {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

SUBSET = ("tests/core", "tests/wire", "tests/client/test_inbox.py", "tests/promises/test_every_transport.py")
"""Tests that are quick and reach every dependency."""

WEBSOCKETS = (15, 16, 17)
"""Major versions of `websockets` that are supported."""

TOOLS = ("pytest>=9", "pytest-timeout", "trio", "trustme", "hypothesis")
"""What the tests need, not the library."""

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
    check_versions("lowest", unpacked, wheel, "default")


def check_newest(unpacked: Path, wheel: Path) -> None:
    """The newest versions that are allowed, whatever the lock says."""
    check_versions("highest", unpacked, wheel, "error")


def check_versions(which: str, unpacked: Path, wheel: Path, warnings: str) -> None:
    python = environment(which)
    uv("--resolution", "lowest-direct" if which == "lowest" else which, f"{wheel}[cli]", python=python)
    uv(*TOOLS, python=python)
    tests = WORK / f"tests-{which}"
    shutil.rmtree(tests, ignore_errors=True)
    shutil.copytree(unpacked / "tests", tests / "tests")
    shutil.copy(unpacked / "pyproject.toml", tests)
    run(python, "-P", "-m", "pytest", "-W", warnings, *SUBSET, cwd=tests)


def check_websockets(unpacked: Path, wheel: Path) -> None:
    """Each major version of `websockets` that is allowed: frameworks that people use beside us pin it."""
    for major in WEBSOCKETS:
        python = environment(f"websockets-{major}")
        uv(wheel, f"websockets=={major}.*", *TOOLS, python=python)
        tests = WORK / f"tests-websockets-{major}"
        shutil.rmtree(tests, ignore_errors=True)
        shutil.copytree(unpacked / "tests", tests / "tests")
        shutil.copy(unpacked / "pyproject.toml", tests)
        found = [
            path for path in sorted(tests.glob("tests/transports/test_websocket_*.py")) if "peers" not in path.name
        ]
        run(python, "-P", "-m", "pytest", "-W", "default", *found, cwd=tests)
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
