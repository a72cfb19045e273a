"""Controls a headless Chromium through its DevTools protocol on two pipes: no driver, no port, no other package.

https://chromedevtools.github.io/devtools-protocol/; messages are JSON, each ended by a NUL, on descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Find the path of an installed Chromium; None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(RuntimeError):
    """A browser command failed or timed out."""


class ChromeBrowser:
    """A browser for a `with` block, which removes its processes and its folder at the end.

    camera: a file of concatenated JPEGs (.mjpeg) that the page's camera shows in a loop.
    """

    def __init__(self, camera: Path | None = None, size: tuple[int, int] = (1280, 800)) -> None:
        path = find_browser()
        if path is None:
            raise BrowserError(f"no browser; install one of {', '.join(NAMES)}")
        self._folder = tempfile.TemporaryDirectory(prefix="chrome-", ignore_cleanup_errors=True)
        arguments = [
            path, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self._folder.name}",
            "--no-first-run", "--disable-gpu", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}",
            "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
            "--disable-backgrounding-occluded-windows", "--use-fake-ui-for-media-stream", "--mute-audio",
        ]  # fmt: skip
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        if camera is not None:
            # Without the absolute path and the second flag it shows a test pattern.
            arguments += [
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera.resolve()}",
            ]
        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()
        # numbers above 3 and 4, so that neither is overwritten before it is copied
        high_in, high_out = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (child_in, child_out))
        null = os.open(os.devnull, os.O_RDWR)
        descriptors = ((null, 0), (null, 1), (null, 2), (high_in, 3), (high_out, 4))
        self._pid = os.posix_spawn(
            path, [*arguments, "about:blank"], os.environ, setpgroup=0,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in descriptors],
        )  # fmt: skip
        for fd in (child_in, child_out, high_in, high_out, null):
            os.close(fd)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> ChromeBrowser:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(BrowserError, OSError):
            self.call("Browser.close", timeout_s=3)
        os.close(self._out)
        until = time.monotonic() + 5
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.killpg(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            select.select([], [], [], 0.02)
        os.close(self._in)
        self._folder.cleanup()

    def call(self, method: str, session: str | None = None, timeout_s: float = 60, **params: Any) -> dict[str, Any]:
        """Call a DevTools method and return its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + timeout_s
        while True:
            response = self._read(until - time.monotonic(), method)
            if response.get("id") != number:
                self.events = [*self.events[-499:], response]
            elif "error" in response:
                raise BrowserError(f"{method}: {response['error']}")
            else:
                return dict(response["result"])

    def _read(self, wait_s: float, method: str) -> dict[str, Any]:
        until = time.monotonic() + wait_s
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise BrowserError(f"no answer to {method} within {wait_s:.0f} s")
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise BrowserError(f"the browser ended while {method} was called")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def open_tab(self, address: str, size: tuple[int, int] | None = None, *, phone: bool = False) -> BrowserTab:
        """Open an address in a window of its own: several windows are drawn at once, tabs are not."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = BrowserTab(self, target, session)
        for domain in ("Page", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        if size is not None:
            tab.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                     deviceScaleFactor=2 if phone else 1, mobile=phone)  # fmt: skip
            if phone:
                tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
        tab.call("Page.navigate", url=address)
        return tab


class BrowserTab:
    """A page in a window of its own."""

    def __init__(self, chrome: ChromeBrowser, target: str, session: str) -> None:
        self._chrome, self._target, self._session = chrome, target, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method on this page."""
        return self._chrome.call(method, self._session, **params)

    def close(self) -> None:
        """Close the page."""
        self.call("Page.close")

    def evaluate(self, script: str) -> Any:
        """Evaluate a JavaScript expression; a promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise BrowserError(f"{script:.200}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait_for(self, script: str, within_s: float = 60) -> Any:
        """Wait until an expression is true, and return its value."""
        until = time.monotonic() + within_s
        while not (found := self.evaluate(script)):
            if time.monotonic() > until:
                raise BrowserError(f"not true within {within_s:g} s: {script:.300}; {self.console_errors()}")
            self.evaluate("new Promise((done) => setTimeout(done, 20))")
        return found

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        x, y = self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send_mouse(kind, x, y)

    def send_mouse(self, kind: str, x: float, y: float) -> None:
        """Send mouseMoved, mousePressed or mouseReleased at a position of the page."""
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def press_key(self, text: str) -> None:
        """Press and release a letter key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=text, text=text if kind == "keyDown" else "")

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file for a file input, as its dialog would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path.resolve())])

    def save_screenshot(self, path: Path) -> None:
        """Write a PNG of the page."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def console_errors(self) -> list[str]:
        """Return the console's errors and warnings, and uncaught exceptions."""
        errors = []
        for event in self._chrome.events:
            if event.get("sessionId") != self._session:
                continue
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                errors.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                errors.append(" ".join(str(each.get("value", each.get("description"))) for each in params["args"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        return errors
