# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""New processes of Python, ours and the SDK's in turn: what an import costs, and when a server first answers."""

import json
import statistics
import subprocess
import sys

import kit

SDK_IMPORT = "import mcp"
OUR_IMPORT = "import mcpc"
SDK_ALL = "from mcp import Client\nfrom mcp.server import MCPServer"
OUR_ALL = f"import mcpc\nmcpc.Client, mcpc.MCPCHelper, mcpc.serve\n{SDK_ALL}"

SDK_SERVER = """
from mcp.server import MCPServer
server = MCPServer("bench", log_level="ERROR")
@server.tool()
async def add(a: int, b: int) -> int:
    return a + b
server.run("stdio")
"""
OUR_SERVER = """
import anyio
import mcpc
from mcp.server import MCPServer
server = MCPServer("bench", log_level="ERROR")
callbacks = mcpc.MCPCHelper(server)
@callbacks.tool()
async def add(task: mcpc.Task, a: int, b: int) -> int:
    return a + b
anyio.run(mcpc.serve, server, "stdio:")
"""

PARAMS = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
INITIALIZE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": PARAMS}).encode() + b"\n"


def import_seconds(script: str) -> float:
    """The processor time that the imports of a script take, in a process of their own."""
    timed = f"import time\nbegan = time.process_time()\n{script}\nprint(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout)


def answer_seconds(script: str) -> float:
    """The time from the start of Python to a server's first answer."""
    began = kit.CLOCK()
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        process.stdin.write(INITIALIZE)
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        took = (kit.CLOCK() - began) / 1e9
    if "result" not in answer:
        raise RuntimeError(f"the server did not answer: {answer}")
    return took


def in_turn(count: int, measure, ours: str, theirs: str) -> tuple:
    """The medians of both; the first of each warms up."""
    pairs = [(measure(ours), measure(theirs)) for _ in range(count + 1)][1:]
    return tuple(statistics.median(side) for side in zip(*pairs, strict=True))


def measured(count: int) -> dict:
    """All that there is to know, each so many times."""
    ours, theirs = in_turn(count, import_seconds, OUR_IMPORT, SDK_IMPORT)
    all_ours, all_theirs = in_turn(count, import_seconds, OUR_ALL, SDK_ALL)
    answer, their_answer = in_turn(count, answer_seconds, OUR_SERVER, SDK_SERVER)
    return {
        "import_ratio": ours / theirs,
        "all_ratio": all_ours / all_theirs,
        "answer_ratio": answer / their_answer,
        "answer_ms": answer * 1000,
    }
