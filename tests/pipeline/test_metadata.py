"""Where ML Metadata is kept: settings, and real stores."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pydantic
import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from pipeline.config import ConfigError, load_config
from pipeline.metadata import (
    MetadataError,
    MetadataSettings,
    check_connection,
    connection_config,
    open_store,
)

# Everything that a connection string could stumble over.
PASSWORD = "s3 cr'et\"=\\x"
NOBODY = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(store: str, **settings: object) -> MetadataSettings:
    """Settings of a server on this machine."""
    given = {"host": "127.0.0.1", "database": "cxr", "user": "cxr"} | settings
    return MetadataSettings.model_validate({"store": store} | given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"store": "oracle"}, "store"),
        ({"host": "db"}, "host is of a server, and sqlite is a file"),
        ({"store": "mysql", "host": "db", "user": "u"}, "store=mysql takes database, too"),
        (
            {"store": "postgresql", "host": "db", "database": "d", "user": "u", "ssl": {}},
            "PostgreSQL client is built without it",
        ),
        ({"store": "mysql", "host": "db", "database": "a b", "user": "u"}, "database"),
        ({"password_env": "not a name"}, "password_env"),
        ({"namespace": "Ann_1"}, "namespace"),
        ({"store": "mysql", "ssl": {"cert": "a.pem"}}, "give both, or neither"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        MetadataSettings.model_validate(wrong)


def test_an_experiment_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="metadata: store=mysql takes host, too"):
        load_config("demo", ["metadata.store=mysql"])


def test_a_namespace_sets_pipelines_apart() -> None:
    assert load_config("nih_multilabel").pipeline_name == "cxr-nih-multilabel"
    ann = load_config("nih", ["metadata.namespace=ann"])
    assert ann.pipeline_name == "cxr-ann-nih"


def test_mysql_is_told_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    ssl = {"ca": "ca.pem", "cert": "me.pem", "key": "me.key"}
    settings = server("mysql", password_env="SECRET", ssl=ssl)
    found = connection_config(settings, Path("unused")).mysql
    assert found == mlmd_pb2.MySQLDatabaseConfig(
        host="127.0.0.1",
        port=3306,
        database="cxr",
        user="cxr",
        password=PASSWORD,
        ssl_options=mlmd_pb2.MySQLDatabaseConfig.SSLOptions(
            ca="ca.pem", cert="me.pem", key="me.key", verify_server_cert=True
        ),
    )


def test_a_password_that_is_not_in_the_environment_is_missed_by_name() -> None:
    with pytest.raises(MetadataError, match=r"metadata\.password_env: .* no variable NO_SUCH_ONE"):
        connection_config(server("mysql", password_env="NO_SUCH_ONE"), Path("unused"))


@pytest.mark.parametrize("store", ["mysql", "postgresql"])
def test_a_server_that_does_not_answer_is_named_without_the_password(
    store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    port = free_port()
    with pytest.raises(MetadataError) as caught:
        check_connection(server(store, port=port, password_env="SECRET"), Path("unused"))
    message = str(caught.value)
    assert message.startswith("metadata.host, metadata.port: no connection to ")
    assert f"{store}://cxr@127.0.0.1:{port}/cxr" in message
    said = capfd.readouterr()
    assert "s3 cr" not in message + said.out + said.err


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        re.sub(r"(['\\])", r"\\\1", PASSWORD),
    ],
)
def test_however_the_client_writes_the_password_it_is_not_shown(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    settings = server("postgresql", password_env="SECRET")

    def fail(*_: object) -> None:
        raise RuntimeError(f"no route to postgresql://cxr:{written}@db/cxr")

    monkeypatch.setattr("ml_metadata.MetadataStore", fail)
    with pytest.raises(MetadataError, match=r"no route to postgresql://cxr:\*\*\*@db/cxr$"):
        check_connection(settings, Path("unused"))


def test_a_file_is_looked_at_without_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "metadata.sqlite"
    sqlite = MetadataSettings()
    with pytest.raises(MetadataError, match="no such file"):
        open_store(sqlite, file)
    assert not file.exists()
    import ml_metadata as mlmd

    mlmd.MetadataStore(connection_config(sqlite, file))
    before = file.read_bytes()
    assert open_store(sqlite, file).get_contexts() == []
    assert file.read_bytes() == before
    file.write_text("this is no database")
    with pytest.raises(MetadataError, match="cannot be read"):
        open_store(sqlite, file)


def test_what_a_killed_writer_left_half_written_is_undone(tmp_path: Path) -> None:
    file = tmp_path / "metadata.sqlite"
    sqlite = MetadataSettings()
    import ml_metadata as mlmd

    mlmd.MetadataStore(connection_config(sqlite, file))
    # So small a cache is written to the file before the end of the transaction.
    script = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("pragma cache_size = 1")
store.execute("begin immediate")
store.execute("update Type set name = 'spoilt'")
for n in range(5000):
    store.execute("insert into Context (type_id, name) values (1, ?)", (f"half-done {n}",))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script, str(file)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert file.with_name("metadata.sqlite-journal").exists()
    store = open_store(sqlite, file)
    assert store.get_contexts() == []
    assert "spoilt" not in {one.name for one in store.get_execution_types()}


@pytest.fixture(scope="module")
def postgresql() -> Iterator[int]:
    """A real server on a port of its own, which asks for the password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    binary = shutil.which("postgres") or (str(found[-1]) if found else "")
    if not binary:
        pytest.skip("no PostgreSQL server here: `postgres` is not on the path")
    # PostgreSQL does not run as root; another user does not come into root's temporary folders.
    folder = Path(tempfile.mkdtemp(prefix="cxr-postgresql-"))
    data, secret, bin_dir = folder / "data", folder / "password", Path(binary).resolve().parent
    data.mkdir()
    secret.write_text(PASSWORD + "\n")
    for path in (folder, data, secret):
        if NOBODY:
            shutil.chown(path, **NOBODY)
    subprocess.run(
        [bin_dir / "initdb", "-D", data, "-U", "cxr", "--auth=scram-sha-256", f"--pwfile={secret}",
         "--no-sync"],
        check=True, capture_output=True, cwd=folder, **NOBODY,
    )  # fmt: skip
    port = free_port()
    process = subprocess.Popen(
        [bin_dir / "postgres", "-D", data, "-p", str(port), "-k", "", "-F",
         "-c", "listen_addresses=127.0.0.1"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **NOBODY,
    )  # fmt: skip
    try:
        for _ in range(200):
            ready = subprocess.run(
                [bin_dir / "pg_isready", "-h", "127.0.0.1", "-p", str(port)],
                capture_output=True, check=False,
            )  # fmt: skip
            if ready.returncode == 0:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
        yield port
    finally:
        # At once, whoever is still connected.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        shutil.rmtree(folder)


class TestPostgresql:
    def test_a_store_is_made_and_found_again(
        self, postgresql: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET", PASSWORD)
        settings = server("postgresql", port=postgresql, password_env="SECRET")
        store = open_store(settings, Path("unused"), write=True)
        kind = store.put_context_type(mlmd_pb2.ContextType(name="pipeline"))
        store.put_contexts([mlmd_pb2.Context(type_id=kind, name="cxr-nih")])
        again = open_store(settings, Path("unused"))
        assert [one.name for one in again.get_contexts()] == ["cxr-nih"]

    def test_a_wrong_password_is_told_and_not_shown(
        self, postgresql: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SECRET", "wr0ng one")
        settings = server("postgresql", port=postgresql, password_env="SECRET")
        with pytest.raises(MetadataError, match=r"metadata\.user, metadata\.password_env") as told:
            check_connection(settings, Path("unused"))
        said = capfd.readouterr()
        assert "wr0ng" not in str(told.value) + said.out + said.err
        assert "password authentication failed" in str(told.value)

    def test_a_run_is_recorded_there_and_its_log_has_no_password(
        self,
        postgresql: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        from tfx import v1 as tfx

        from components.data_gate.schema import CuratedSchema
        from pipeline.run_folder import RunFolder
        from pipeline.run_record import histories
        from pipeline.runners import local

        monkeypatch.setenv("SECRET", PASSWORD)
        settings = server("postgresql", port=postgresql, password_env="SECRET")
        caplog.set_level(logging.INFO)
        folder = RunFolder(tmp_path)
        folder.note(settings, "cxr-mine")
        for name in ("cxr-mine", "cxr-others", "cxr-mine"):
            node = CuratedSchema(text="")
            local.run(
                tfx.dsl.Pipeline(
                    pipeline_name=name,
                    pipeline_root=str(tmp_path / name),
                    components=[node],
                    enable_cache=True,
                    metadata_connection_config=connection_config(settings, folder.metadata),
                )
            )
        said = capfd.readouterr()
        assert "is running" in caplog.text
        assert "s3 cr" not in caplog.text + said.out + said.err

        (history,) = histories(folder)
        assert history.pipeline == "cxr-mine"
        states = [run.nodes["CuratedSchema"].state for run in history.runs]
        assert states == ["complete", "cached"]
