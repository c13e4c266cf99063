"""Headless Chromium for tests, over its DevTools protocol: pages, what is in them, clicks, screenshots."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["CHROMIUM", "Chromium", "Page", "chromium"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60.0
"""Seconds that a page may take for anything."""

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",
)


class Page:
    """One page, as a program can use it."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser = browser
        self._session = session

    def tell(self, method: str, **params: Any) -> Any:
        """A command of the DevTools protocol; its result."""
        return self._browser.tell(method, params, self._session)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        found = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true in the page; its value."""
        give_up_at = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < give_up_at, f"{expression} did not come true: {self.text()}"
            time.sleep(0.02)
        return value

    def text(self, of: str = "body") -> str:
        """What an element shows."""
        return str(self.evaluate(f"document.querySelector({json.dumps(of)}).innerText"))

    def click(self, element: str) -> None:
        """Click an element, once it is there and can be clicked."""
        found = f"document.querySelector({json.dumps(element)})"
        self.until(f"{found} && !{found}.disabled")
        self.evaluate(f"{found}.click()")

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))


class Chromium:
    """A running browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = 0

    def tell(self, method: str, params: dict[str, Any], session: str | None = None) -> Any:
        """A command of the DevTools protocol; its result."""
        self._ids += 1
        command: dict[str, Any] = {"id": self._ids, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        self._connection.send(json.dumps(command))
        while True:
            message: dict[str, Any] = json.loads(self._connection.recv(timeout=PATIENCE))
            if message.get("id") == self._ids:
                assert "error" not in message, message
                return message["result"]

    def open(self, url: str) -> Page:
        """A page of its own: nothing is shared with the others but the server."""
        context = self.tell("Target.createBrowserContext", {})["browserContextId"]
        target = self.tell("Target.createTarget", {"url": url, "browserContextId": context})["targetId"]
        session = self.tell("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page


@contextmanager
def chromium(tmp_path: Path) -> Generator[Chromium]:
    """A browser with a profile of its own, until the context ends."""
    assert CHROMIUM is not None, "Chromium is missing: `make browser` installs Debian's (apt-get install chromium)"
    profile = tmp_path / "chromium"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    said = tmp_path / "chromium.log"
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(tmp_path)})
    try:
        with connect(_address(process, profile / "DevToolsActivePort", said), max_size=None) as connection:
            yield Chromium(connection)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: "subprocess.Popen[bytes]", told: Path, said: Path) -> str:
    """Where the browser takes commands."""
    give_up_at = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up_at:
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise AssertionError(f"Chromium did not start:\n{said.read_text(errors='replace')[-2000:]}")
