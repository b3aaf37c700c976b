"""A small server under the page, whose answers and faults the tests decide.

It stands in for the embedded server: what that does to a request is tested with it.
"""

import asyncio
import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from aiohttp import web

from serving.page import add_routes
from serving.prediction import ModelNotFoundError

# From a signature's name and an encoded image to a row of the REST API's `predictions`.
Answer = Callable[[str, bytes], Mapping[str, Any]]


class PageServer:
    """Serves the page on a free loopback port, inside a `with` block.

    Attributes:
      version: of the model, the only one that is served; 0 for none.
      fault: status and message with which predictions are refused, when set.
      hold: predictions wait while it is cleared.
      asked: signatures of the predictions that were asked for, in order.
    """

    def __init__(self, answer: Answer, contract: Mapping[str, Any]) -> None:
        self.answer = answer
        self.found = contract
        self.version = 1
        self.fault: tuple[int, str] | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()

    def names(self) -> list[str]:
        return ["cxr"]

    def contract(self, name: str) -> tuple[int, Mapping[str, Any]]:
        if not self.version:
            raise ModelNotFoundError(f"{name} has no version that is available")
        return self.version, self.found

    def __enter__(self) -> Self:
        self._runner = self._run(self._start())
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/"
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post(r"/v1/models/cxr/versions/{version:\d+}:predict", self._predict)
        add_routes(app, self)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _predict(self, request: web.Request) -> web.Response:
        if int(request.match_info["version"]) != self.version:
            return web.json_response({"error": "Servable not found for request"}, status=404)
        body = await request.json()
        self.asked.append(body["signature_name"])
        await asyncio.to_thread(self.hold.wait)
        if self.fault:
            return web.json_response({"error": self.fault[1]}, status=self.fault[0])
        image = base64.b64decode(body["instances"][0]["b64"], validate=True)
        row = await asyncio.to_thread(self.answer, body["signature_name"], image)
        return web.json_response({"predictions": [row]})
