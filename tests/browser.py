"""A headless Chromium, driven over the W3C WebDriver protocol: what a page needs to be tested, in plain HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of the protocol under which an element's id comes
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Point = tuple[float, float]


class BrowserError(Exception):
    """A command failed: what the driver says of it, an error of a script for example."""


def is_here() -> bool:
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


class Browser:
    """One window. Keys are typed into what has the focus, as a user would."""

    def __init__(self, address: str, profile: Path, dark: bool = False) -> None:
        flags = [*FLAGS, f"--user-data-dir={profile}", *(["--force-dark-mode"] if dark else [])]
        options = {"binary": shutil.which("chromium"), "args": flags}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._address = address
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def open(self, page: Path | str) -> None:
        """Open a file, or an address."""
        self._post("url", {"url": page if isinstance(page, str) else page.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of a script, in which `arguments` are what is given here."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def keys(self, text: str) -> None:
        presses = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._post("actions", {"actions": [{"type": "key", "id": "keys", "actions": presses}]})

    def hover(self, selector: str) -> None:
        found = self._post("element", {"using": "css selector", "value": selector})
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": {ELEMENT: found[ELEMENT]}}
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self._post("actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [move]}]})

    def drag(self, start: Point, end: Point) -> None:
        """Press the mouse at one point of the window, and let it go at another; a click where both are one."""
        steps = [_move(start), {"type": "pointerDown", "button": 0}, _move(end), {"type": "pointerUp", "button": 0}]
        self._post("actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a user would: what lies over it gets the click."""
        x, y = self.run(
            "const node = document.querySelector(arguments[0]); node.scrollIntoView({block: 'nearest'});"
            "const box = node.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]",
            selector,
        )
        self.drag((x, y), (x, y))

    def resize(self, width: int, height: int) -> None:
        self._post("window/rect", {"width": width, "height": height})

    def messages(self) -> list[str]:
        """What the console has said since the last call: errors of scripts, refused requests, warnings."""
        return [entry["message"] for entry in self._post("se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        self._call("DELETE", self._session)

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        return self._call("POST", f"{self._session}/{command}", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers, method=method)
        try:
            with DIRECT.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise BrowserError(json.load(error)["value"]["message"]) from error


def _move(point: Point) -> dict[str, Any]:
    return {"type": "pointerMove", "duration": 0, "x": round(point[0]), "y": round(point[1]), "origin": "viewport"}


@contextmanager
def driver() -> Iterator[str]:
    """A running chromedriver; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL) as process:
        try:
            yield _awaited(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _awaited(address: str) -> str:
    for _ in range(200):
        try:
            with DIRECT.open(f"{address}/status"):
                return address
        except URLError:
            time.sleep(0.05)
    raise TimeoutError("chromedriver does not answer")
