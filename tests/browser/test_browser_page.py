"""The page of `examples/browser` in headless Chromium: a task is followed, asked, answered and stopped, over WebSocket
and Streamable HTTP, and with the network cut in the middle nothing is missing."""

import os
import sys
import threading
from collections.abc import Generator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chrome_kit import CHROMIUM, Chromium, Page, chromium
from cli_kit import Program, running
from relay import Relay, relay_to

ROOT = Path(__file__).parents[2]
BROWSER = ROOT / "examples" / "browser"
SCREENSHOTS = ROOT / ".work" / "screenshots"

pytestmark = pytest.mark.timeout(400)


STOP_FOREIGN = """fetch("/mcp", {
    method: "POST",
    headers: {"content-type": "application/json", "mcp-protocol-version": "2026-07-28", "mcp-method": "mcpc/stop"},
    body: JSON.stringify({jsonrpc: "2.0", id: 1, method: "mcpc/stop", params: {
        channel: "a".repeat(32), taskId: "%s", _meta: {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {name: "page", version: "1"}}}}),
}).then((response) => response.text())"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Chromium]:
    if CHROMIUM is None and os.environ.get("MCPC_BROWSER") != "required":
        pytest.skip("Chromium is not installed: `make browser` installs it and runs these tests")
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def served() -> Generator[str]:
    with running([sys.executable, str(BROWSER / "server.py"), "--port", "0"]) as program:
        yield address_of(program)


def address_of(program: Program) -> str:
    return program.read_until(r"open (http://\S+)", "out")[1]


class _Files(SimpleHTTPRequestHandler):
    """The page's files, from a server that has nothing to do with ours."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(BROWSER))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing."""


@pytest.fixture
def elsewhere() -> Generator[str]:
    """The page under the name of another machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://elsewhere.example:{files.server_port}/"
        files.shutdown()
        thread.join(10)


@pytest.fixture
def relay(served: str, tmp_path: Path) -> Generator[Relay]:
    with relay_to(served, tmp_path) as between:
        yield between


def opened(browser: Chromium, relay: Relay, via: str, samples: int = 1000) -> Page:
    page = browser.open(f"{relay.uri}?via={via}&samples={samples}")
    page.until("document.querySelector('#state').textContent === 'connected'")
    return page


def samples_of(page: Page) -> list[int]:
    return page.evaluate("demo.heard.samples")


@pytest.mark.parametrize("via", ["ws", "http"])
def test_with_the_network_cut_in_the_middle_nothing_is_missing(browser: Chromium, relay: Relay, via: str) -> None:
    page = opened(browser, relay, via)
    page.click("#start")
    for cut in (100, 250, 400):
        page.until(f"demo.heard.samples.length > {cut}")
        relay.cut_all()
    page.click("#choices button")
    page.until("demo.heard.samples.length > 700")
    relay.cut_all()
    page.until("document.querySelector('#outcome').textContent")
    page.screenshot(SCREENSHOTS / f"browser-{via}.png")
    assert page.text("#outcome") == 'complete: {"samples":1000}'
    assert samples_of(page) == list(range(1000))
    assert page.text("#missing") == "0"
    assert int(page.text("#drops")) >= 2


@pytest.mark.parametrize("via", ["ws", "http"])
def test_a_question_is_shown_and_its_answer_reaches_the_task(browser: Chromium, relay: Relay, via: str) -> None:
    page = opened(browser, relay, via, samples=40)
    page.click("#start")
    page.until("!document.querySelector('#question').hidden")
    assert page.text("#asked") == "Half of the samples are taken. Go on?"
    page.click("#choices button:nth-child(2)")
    page.until("document.querySelector('#outcome').textContent")
    assert page.text("#outcome") == 'complete: {"samples":21}'


@pytest.mark.parametrize("via", ["ws", "http"])
def test_two_pages_on_one_server_do_not_see_each_others_tasks(browser: Chromium, relay: Relay, via: str) -> None:
    one, other = opened(browser, relay, via, samples=100_000), opened(browser, relay, via, samples=60)
    one.click("#start")
    one.until("demo.heard.samples.length > 40")
    other.click("#start")
    other.click("#choices button")
    other.until("document.querySelector('#outcome').textContent")
    foreign = one.evaluate("demo.task().id")
    assert "unknown task" in other.evaluate(STOP_FOREIGN % foreign)
    one.click("#stop")
    one.until("document.querySelector('#outcome').textContent")
    assert one.text("#outcome").startswith("failed: ")
    assert samples_of(other) == list(range(60))
    assert one.evaluate("demo.heard.others") == other.evaluate("demo.heard.others") == 0


TOOLS = """(async () => {
    const { Client } = await import("/mcpc.js");
    try {
        return (await new Client("%s").tools()).map((tool) => tool.name).join();
    } catch (error) {
        return `not let in: ${error.message}`;
    }
})()"""


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_page_of_this_machine_may_call_another_origin_of_it(browser: Chromium, served: str, scheme: str) -> None:
    """The Origin check and CORS, preflight included, as a browser applies them."""
    other = served.replace("http", scheme, 1).replace("127.0.0.1", "localhost")
    assert browser.open(served).evaluate(TOOLS % f"{other}mcp") == "measure"


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_page_from_elsewhere_may_not(browser: Chromium, served: str, elsewhere: str, scheme: str) -> None:
    page = browser.open(elsewhere)
    assert page.evaluate(TOOLS % f"{served.replace('http', scheme, 1)}mcp").startswith("not let in: ")


def test_the_module_is_one_file_of_300_lines_at_the_most_that_imports_nothing() -> None:
    lines = (BROWSER / "mcpc.js").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    assert not [line for line in lines if line.startswith("import ") or "require(" in line]
