"""Where ML Metadata is kept: in a file beside the runs, or on a server that many share."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pydantic

from components.errors import InputError
from components.settings import Settings

if TYPE_CHECKING:
    import ml_metadata as mlmd
    from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

_PORTS = {"mysql": 3306, "postgresql": 5432}
# They are put into a connection string and SQL statements as they are.
_NAME = r"^[A-Za-z0-9_.@-]+$"


class MetadataError(InputError):
    """ML Metadata that cannot be reached; names the setting, and never the password."""


class SslSettings(Settings):
    """How the connection to a MySQL server is encrypted.

    Attributes:
      ca: file of the authority that signed the server's certificate.
      cert: the client's certificate, where the server asks for one.
      key: its private key.
      verify: whether the server's certificate, and its name, are checked.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    @pydantic.model_validator(mode="after")
    def _come_in_pairs(self) -> SslSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client's certificate is cert and key: give both, or neither")
        return self


class MetadataSettings(Settings):
    """ML Metadata: which node made what, from what; the cache reads it.

    Attributes:
      store: `sqlite`, a file in the folder of the run; or a server.
      host: of the server.
      port: by default 3306 (MySQL) or 5432 (PostgreSQL).
      database: its name there; made when it is missing.
      user: who connects.
      password_env: the environment variable that holds the password; without one, none is sent.
      ssl: how the connection is encrypted; not at all by default. Of MySQL alone: ML Metadata's
        PostgreSQL client is built without it.
      namespace: is put before the pipeline's name, so that several people can share one server:
        what has the same name shares the cache, and so has to share the artifacts.
    """

    store: Literal["sqlite", "mysql", "postgresql"] = "sqlite"
    host: str | None = pydantic.Field(default=None, pattern=r"^[A-Za-z0-9_.:-]+$")
    port: int | None = pydantic.Field(default=None, ge=1, le=65535)
    database: str | None = pydantic.Field(default=None, pattern=_NAME)
    user: str | None = pydantic.Field(default=None, pattern=_NAME)
    password_env: str | None = pydantic.Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    ssl: SslSettings | None = None
    namespace: str = pydantic.Field(default="", pattern=r"^([a-z0-9][a-z0-9-]*)?$")

    @pydantic.model_validator(mode="after")
    def _say_where_the_server_is(self) -> MetadataSettings:
        if self.store == "sqlite":
            fields = ("host", "port", "database", "user", "password_env", "ssl")
            given = [name for name in fields if getattr(self, name) is not None]
            if given:
                raise ValueError(
                    f"{given[0]} is of a server, and sqlite is a file: give store=mysql or "
                    "store=postgresql, or leave it out"
                )
            return self
        missing = [name for name in ("host", "database", "user") if not getattr(self, name)]
        if missing:
            raise ValueError(f"store={self.store} takes {missing[0]}, too")
        if self.ssl is not None and self.store == "postgresql":
            raise ValueError(
                "ssl: ML Metadata's PostgreSQL client is built without it: leave it out, and have "
                "a proxy or tunnel on this machine encrypt the connection"
            )
        return self

    @property
    def password(self) -> str:
        """From the environment; empty where none is asked for.

        Raises:
          MetadataError: if the variable is not set.
        """
        if self.password_env is None:
            return ""
        if self.password_env not in os.environ:
            raise MetadataError(
                f"metadata.password_env: the environment has no variable {self.password_env}"
            )
        return os.environ[self.password_env]

    @property
    def where(self) -> str:
        """The server, as messages name it."""
        return f"{self.store}://{self.user}@{self.host}:{self._port}/{self.database}"

    @property
    def place(self) -> str:
        """What tells one store from another, whoever connects."""
        if self.store == "sqlite":
            return "SQLite"
        return f"{self.store}://{self.host}:{self._port}/{self.database}"

    @property
    def _port(self) -> int:
        return self.port or _PORTS[self.store]


def connection_config(settings: MetadataSettings, file: Path) -> mlmd_pb2.ConnectionConfig:
    """What ML Metadata's clients connect with; holds the password.

    Args:
      settings: which store.
      file: of SQLite; not used for a server.

    Raises:
      MetadataError: if the environment lacks the password.
    """
    from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

    config = mlmd_pb2.ConnectionConfig()
    if settings.store == "sqlite":
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = mlmd_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    elif settings.store == "mysql":
        _fill_mysql(settings, config.mysql)
    else:
        _fill_postgresql(settings, config.postgresql)
    return config


def _fill_mysql(settings: MetadataSettings, config: mlmd_pb2.MySQLDatabaseConfig) -> None:
    config.host, config.port = settings.host, settings._port
    config.database, config.user = settings.database, settings.user
    config.password = settings.password
    if settings.ssl is not None:
        for name in ("ca", "cert", "key"):
            if path := getattr(settings.ssl, name):
                setattr(config.ssl_options, name, str(path))
        config.ssl_options.verify_server_cert = settings.ssl.verify


def _fill_postgresql(settings: MetadataSettings, config: mlmd_pb2.PostgreSQLDatabaseConfig) -> None:
    config.host, config.port = settings.host, str(settings._port)
    config.dbname, config.user = settings.database, settings.user
    if settings.password:
        # It goes into libpq's connection string, where a blank would end it.
        escaped = re.sub(r"([\\'])", r"\\\1", settings.password)
        config.password = f"'{escaped}'"


def open_store(
    settings: MetadataSettings, file: Path, *, write: bool = False
) -> mlmd.MetadataStore:
    """Connect to ML Metadata.

    Args:
      settings: which store.
      file: of SQLite.
      write: whether anything is to be changed. SQLite is else opened for reading alone, so that
        looking leaves no trace; its file has to be there. A server's tables are made where they
        are missing.

    Raises:
      MetadataError: if it cannot be reached.
    """
    import ml_metadata as mlmd
    from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

    config = connection_config(settings, file)
    if settings.store == "sqlite":
        if not file.is_file():
            raise MetadataError(f"{file}: no such file, and ML Metadata should be there")
        modes = mlmd_pb2.SqliteMetadataSourceConfig
        # What a killed run left half-written is undone by whoever opens the file for writing.
        interrupted = file.with_name(f"{file.name}-journal").exists()
        config.sqlite.connection_mode = modes.READWRITE if write or interrupted else modes.READONLY
    with _native_messages() as messages:
        try:
            return mlmd.MetadataStore(config)
        except (RuntimeError, mlmd.errors.StatusError) as error:
            # PostgreSQL's reason is in the client's own log alone.
            reason = re.findall(r"PostgreSQL error: (.*)", messages())
            said = "; ".join([str(error), *reason])
            raise MetadataError(_explain(settings, file, said)) from None


def check_connection(settings: MetadataSettings, file: Path) -> None:
    """Connect to a server once, before any work is done.

    Raises:
      MetadataError: if it cannot be reached.
    """
    if settings.store != "sqlite":
        open_store(settings, file, write=True)


@contextlib.contextmanager
def _native_messages() -> Iterator[Callable[[], str]]:
    """Keeps from the terminal what the client, which is C++, writes to standard error.

    Yields:
      What gives it.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as file:

        def read() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        os.dup2(file.fileno(), 2)
        try:
            yield read
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _explain(settings: MetadataSettings, file: Path, said: str) -> str:
    said = " ".join(_without(settings.password, said).split())
    if settings.store == "sqlite":
        return f"{file}: ML Metadata cannot be read: {said}"
    lower = said.lower()
    at_fault = "host, metadata.port"
    if any(word in lower for word in ("password", "access denied", "authentication")):
        at_fault = "user, metadata.password_env"
    elif "ssl" in lower or "certificate" in lower:
        at_fault = "ssl"
    elif "unknown database" in lower or "permission denied" in lower:
        at_fault = "database"
    return f"metadata.{at_fault}: no connection to {settings.where}: {said}"


def _without(password: str, said: str) -> str:
    """A message without the password: as it is, or escaped for a URL or a connection string."""
    if not password:
        return said
    pattern = "".join(f"(?:{'|'.join(_ways_to_write(letter))})" for letter in password)
    # The digits of %XX are of either case.
    return re.sub(pattern, "***", said, flags=re.IGNORECASE)


def _ways_to_write(letter: str) -> list[str]:
    """Patterns of a letter as it is, after a backslash, and in a URL."""
    escaped = "".join(f"%{byte:02X}" for byte in letter.encode())
    ways = [re.escape(letter), rf"\\{re.escape(letter)}", escaped]
    return [*ways, r"\+"] if letter == " " else ways
