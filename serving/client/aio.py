"""Clients for code that awaits: gRPC over grpc.aio, REST over aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar, Unpack

import aiohttp
import grpc
import tenacity

from serving.client import grpc_protocol, rest_protocol
from serving.client.grpc_protocol import GrpcProtocol
from serving.client.rest_protocol import RestProtocol
from serving.client.sync import DEFAULT_BATCH_SIZE, DEFAULT_CONCURRENCY
from serving.client.target import Target, TargetOptions
from serving.prediction import SIGNATURE, AsyncPredictor

T = TypeVar("T")


class AsyncServingClient(AsyncPredictor):
    """An `AsyncPredictor` whose model runs on a server; takes what `ServingClient` takes.

    It belongs to the event loop in which it is used first.

    Attributes:
      target: whom it asks, for which model.
    """

    protocol: str

    def __init__(
        self,
        address: str,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        concurrency: int = DEFAULT_CONCURRENCY,
        **options: Unpack[TargetOptions],
    ) -> None:
        """Remembers the server; the first prediction connects. See `ServingClient`."""
        self.target = Target(address, **options)
        super().__init__(self.target.describe(self.protocol), batch_size, concurrency)

    @abstractmethod
    async def served_version(self) -> int:
        """See `ServingClient.served_version`."""


class AsyncGrpcClient(AsyncServingClient):
    """What `GrpcClient` is, for code that awaits."""

    protocol = grpc_protocol.PROTOCOL

    def __init__(self, address: str, **options: Any) -> None:
        """See `ServingClient`."""
        super().__init__(address, **options)
        self._protocol = GrpcProtocol(self.target)
        self._channel: grpc.aio.Channel | None = None

    async def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `GrpcClient.run`."""
        request = self._protocol.request(images, signature)
        try:
            response = await self._stub().Predict(request, timeout=self.target.timeout)
        except grpc.RpcError as error:
            raise self._protocol.translated(error, signature) from error
        return self._protocol.outputs(response)

    async def served_version(self) -> int:
        """See `ServingClient.served_version`."""
        request = self._protocol.metadata_request()
        try:
            response = await self._stub().GetModelMetadata(request, timeout=self.target.timeout)
        except grpc.RpcError as error:
            raise self._protocol.translated(error) from error
        return response.model_spec.version.value

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()

    def _stub(self) -> Any:
        if self._channel is None:
            # Here, because a channel binds itself to the event loop that runs.
            options, credentials = self._protocol.channel_options(), self._protocol.credentials()
            address = self.target.address
            if credentials is None:
                self._channel = grpc.aio.insecure_channel(address, options)
            else:
                self._channel = grpc.aio.secure_channel(address, credentials, options)
        return self._protocol.stub(self._channel)


class AsyncRestClient(AsyncServingClient):
    """What `RestClient` is, for code that awaits."""

    protocol = rest_protocol.PROTOCOL

    def __init__(self, address: str, **options: Any) -> None:
        """See `ServingClient`."""
        super().__init__(address, **options)
        self._protocol = RestProtocol(self.target)
        self._open: aiohttp.ClientSession | None = None

    async def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `RestClient.run`."""
        body = await asyncio.to_thread(self._protocol.body, images, signature)
        return await self._retried(
            lambda session: session.post(
                self._protocol.predict_url, data=body, headers=rest_protocol.HEADERS
            ),
            lambda status, text: self._protocol.outputs(status, text, signature),
        )

    async def served_version(self) -> int:
        """See `ServingClient.served_version`."""
        return await self._retried(
            lambda session: session.get(self._protocol.metadata_url),
            self._protocol.served_version,
        )

    async def close(self) -> None:
        """Closes the session's connections."""
        if self._open is not None:
            await self._open.close()

    async def _retried(
        self,
        send: Callable[
            [aiohttp.ClientSession], AbstractAsyncContextManager[aiohttp.ClientResponse]
        ],
        read: Callable[[int, str], T],
    ) -> T:
        async def attempt() -> T:
            try:
                async with send(self._session()) as response:
                    text = await response.text()
            except aiohttp.ClientError as error:
                raise self._protocol.unreachable(str(error)) from error
            return read(response.status, text)

        try:
            async with asyncio.timeout(self.target.timeout):
                return await tenacity.AsyncRetrying(**self._protocol.retries())(attempt)
        except TimeoutError as error:
            raise self._protocol.late() from error

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            tls = self.target.tls
            roots = ssl.create_default_context(cafile=tls) if isinstance(tls, Path) else True
            self._open = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.concurrency, ssl=roots),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._open
