"""The key and certificate of an ssl_config_file, for both ports."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc

from serving.server.errors import ServerConfigError
from serving.server.text_protos import read_ssl_config


@dataclass(frozen=True)
class TLS:
    """What TensorFlow Serving's SSLConfig holds, each in PEM.

    TensorFlow Serving encrypts gRPC alone. Here X-rays that go over REST are encrypted too.

    Attributes:
      server_key: the private key.
      server_cert: the certificate, with its chain.
      custom_ca: of whom clients' certificates are accepted; `client_verify` needs it.
      client_verify: refuse clients without a certificate.
    """

    server_key: str
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False

    @classmethod
    def read(cls, path: Path) -> TLS:
        """Reads an SSLConfig in text form.

        Raises:
          ServerConfigError: the file cannot be read, key and certificate are no pair, or
            clients should be verified by nobody.
        """
        proto = read_ssl_config(path)
        tls = cls(proto.server_key, proto.server_cert, proto.custom_ca, proto.client_verify)
        if tls.client_verify and not tls.custom_ca:
            raise ServerConfigError(
                f"{path}: client_verify needs custom_ca, the certificate in PEM of who signs the "
                "clients' certificates"
            )
        try:
            tls.http_context()
        except (ssl.SSLError, ValueError) as error:
            raise ServerConfigError(
                f"{path}: server_key and server_cert must hold a key and its certificate in "
                f"PEM, themselves and not as paths: {error}"
            ) from error
        return tls

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """What gRPC wants."""
        return grpc.ssl_server_credentials(
            [(self.server_key.encode(), self.server_cert.encode())],
            root_certificates=self.custom_ca.encode() or None,
            require_client_auth=self.client_verify,
        )

    def http_context(self) -> ssl.SSLContext:
        """What HTTP wants."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Python reads a key from a file only; mkstemp's is its owner's alone.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{self.server_key}\n{self.server_cert}\n")
            file.flush()
            context.load_cert_chain(file.name)
        if self.custom_ca:
            context.load_verify_locations(cadata=self.custom_ca)
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
