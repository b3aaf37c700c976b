"""A headless Chromium for tests: pages are opened, clicked and looked at, with no network.

Speaks the DevTools protocol over a websocket.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium to open pages in")

_START_SECONDS = 60.0
_WAIT_SECONDS = 60.0
# So that whatever is asked for, but of a server of the tests, is not found, and no proxy is tried.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # A frame shares its page's process, so that one connection sees both.
    "--disable-features=IsolateSandboxedIframes",
    "--disable-site-isolation-trials",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)

# Windows' codes of the keys that the tests press.
_KEYS = {
    "ArrowDown": 40,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowUp": 38,
    "Enter": 13,
    "Space": 32,
    "Tab": 9,
}
_TEXTS = {"Enter": "\r", "Space": " "}


class Tab:
    """A page in the browser.

    Attributes:
      problems: what the console said that is a warning or an error, and what was not caught.
      requests: URLs that the page asked for, other than itself and its own data.
      dialogs: messages of `alert`, which untrusted text must not be able to call.
    """

    def __init__(self, url: str):
        self._socket = websocket.create_connection(url, timeout=_WAIT_SECONDS)
        self._last = 0
        self._contexts: list[int] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._opened: list[int] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, page: Path | str, *, width: int = 1300, height: int = 1000) -> None:
        """Go to a file, or to a URL on this machine, and wait until it is loaded."""
        url = page if isinstance(page, str) else page.as_uri()
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._call("Page.navigate", url=url)
        scheme = url.partition(":")[0]
        self.wait_for(f"document.readyState === 'complete' && location.protocol === '{scheme}:'")

    def evaluate(self, expression: str, *, in_frame: bool = False) -> Any:
        """The value of a JavaScript expression, awaited; AssertionError if it throws.

        Args:
          expression: what to evaluate.
          in_frame: in the page's last frame, rather than in the page.
        """
        where = {"contextId": self._contexts[-1]} if in_frame else {}
        answer = self._call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            **where,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, in_frame: bool = False) -> None:
        """Until an expression is true; AssertionError after a minute."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self.evaluate(expression, in_frame=in_frame):
            assert time.monotonic() < deadline, f"never true: {expression}; {self.problems}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """A key on the keyboard, such as `ArrowDown`."""
        for kind in ("keyDown", "keyUp"):
            self._call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=" " if key == "Space" else key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
                text=_TEXTS.get(key, "") if kind == "keyDown" else "",
            )

    def choose(self, selector: str, *files: Path) -> None:
        """Files in the dialog of a file input."""
        found = self._call(
            "Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})"
        )
        self._call(
            "DOM.setFileInputFiles",
            files=[str(file) for file in files],
            objectId=found["result"]["objectId"],
        )

    def choose_by_key(self, key: str, *files: Path) -> None:
        """Files in the dialog that a key opens, at the element that has the focus."""
        self._call("Page.setInterceptFileChooserDialog", enabled=True)
        self._opened.clear()
        self.press(key)
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._opened:
            assert time.monotonic() < deadline, f"{key} opened no dialog"
            self.evaluate("1")
        names = [str(file) for file in files]
        self._call("DOM.setFileInputFiles", files=names, backendNodeId=self._opened[0])
        self._call("Page.setInterceptFileChooserDialog", enabled=False)

    def drop(self, *files: Path, x: int = 200, y: int = 200) -> None:
        """Files, dragged from outside to a place on the page."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of what assistive technology is told of, in the order of the page."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def screenshot(self) -> bytes:
        """What can be seen now, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot")["data"])

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`, as a reader's system may be set."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                assert "error" not in message, message["error"]
                return dict(message["result"])
            if "method" in message:
                self._hear(message["method"], message["params"])

    def _hear(self, event: str, said: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.problems.append(str([one.get("value") for one in said["args"]]))
        elif event == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.problems.append(said["entry"]["text"])
        elif event == "Runtime.executionContextCreated":
            self._contexts.append(said["context"]["id"])
        elif event == "Runtime.executionContextDestroyed":
            self._contexts.remove(said["executionContextId"])
        elif event == "Runtime.executionContextsCleared":
            self._contexts.clear()
        elif event == "Network.requestWillBeSent":
            url = said["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                self.requests.append(url)
        elif event == "Page.fileChooserOpened":
            self._opened.append(said["backendNodeId"])
        elif event == "Page.javascriptDialogOpening":
            self.dialogs.append(said["message"])
            # Unanswered it would hold up the page; the answer to this is not waited for.
            self._last += 1
            answer = {"id": self._last, "method": "Page.handleJavaScriptDialog"}
            self._socket.send(json.dumps(answer | {"params": {"accept": True}}))


@contextlib.contextmanager
def browser() -> Iterator[Tab]:
    """A browser with one tab, for as long as it is needed."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            tab = Tab(_address(Path(profile) / "DevToolsActivePort", process))
            try:
                yield tab
            finally:
                tab.close()
        finally:
            process.terminate()
            process.wait()


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """The websocket of the first tab, once the browser has said its port."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, "the browser did not start"
        assert time.monotonic() < deadline, "the browser never said its port"
        with contextlib.suppress(OSError, IndexError, StopIteration):
            port = file.read_text().splitlines()[0]
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=5) as response:
                tabs = json.load(response)
            return next(str(one["webSocketDebuggerUrl"]) for one in tabs if one["type"] == "page")
        time.sleep(0.1)
