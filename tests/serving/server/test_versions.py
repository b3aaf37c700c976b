"""Versions come, go, fail and are replaced, while somebody asks."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, prediction_log_pb2

from serving.server.errors import StatusError
from serving.server.model_config import ModelSettings
from serving.version_folders import WARMUP_FILE
from tests.serving.server.conftest import Serve, answer, rest, states, until


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder of versions that `serve` watches."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def push(source: Path, version: Path) -> None:
    """As a careful pusher does: aside, and renamed."""
    aside = version.with_name(f".{version.name}")
    shutil.copytree(source, aside)
    aside.rename(version)


def corrupt(version: Path) -> None:
    content = (version / "saved_model.pb").read_bytes()
    (version / "saved_model.pb").write_bytes(b"\xff" * 100 + content[100:])


class TestComingAndGoing:
    def test_a_new_version_takes_over_and_a_deleted_one_gives_back(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        assert answer(server) == 1

        push(exported / "plus_2", models / "2")
        until(lambda: answer(server) == 2)
        until(lambda: states(server) == {2: "AVAILABLE", 1: "END"})
        assert answer(server, "/versions/1") == "Servable not found for request: Specific(m, 1)"

        shutil.rmtree(models / "2")
        until(lambda: answer(server) == 1)
        until(lambda: states(server) == {2: "END", 1: "AVAILABLE"})

    def test_models_may_come_later(self, serve: Serve, models: Path, exported: Path) -> None:
        server = serve()
        assert rest(server).status_code == 404
        push(exported / "plus_1", models / "00007")
        until(lambda: answer(server, "/versions/7") == 1)

    def test_folders_that_are_no_versions_are_skipped(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        for name in (".tmp-2", "2.tmp", "v2", "-2", str(2**63), "²"):
            push(exported / "plus_2", models / name)
        (models / "3").touch()
        assert states(serve()) == {1: "AVAILABLE"}

    def test_nothing_is_unloaded_while_the_folder_is_away(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        models.rename(models.with_name("away"))
        time.sleep(0.3)
        assert answer(server) == 1

    def test_an_empty_folder_unloads_everything(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        shutil.rmtree(models / "1")
        until(lambda: states(server) == {1: "END"})

    @pytest.mark.parametrize(
        ("policy", "served"),
        [
            ("latest { num_versions: 2 }", {2, 3}),
            ("all {}", {1, 2, 3}),
            ("specific { versions: 1 versions: 3 versions: 9 }", {1, 3}),
        ],
    )
    def test_policies(
        self, serve: Serve, models: Path, exported: Path, policy: str, served: set[int]
    ) -> None:
        for version in (1, 2, 3):
            push(exported / "plus_1", models / str(version))
        server = serve(
            model_config_file=config_file(models, f"model_version_policy {{ {policy} }}")
        )
        assert set(states(server)) == served

    def test_the_configuration_is_read_again_and_a_faulty_one_changes_nothing(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        for version in (1, 2):
            push(exported / f"plus_{version}", models / str(version))
        every = "model_version_policy { all {} } "
        path = config_file(models, every + 'version_labels { key: "stable" value: 1 }')
        server = serve(model_config_file=path, model_config_file_poll_wait_seconds=0.05)
        assert answer(server, "/labels/stable") == 1

        config_file(models, every + 'version_labels { key: "stable" value: 2 }')
        until(lambda: answer(server, "/labels/stable") == 2)

        for faulty in ('version_labels { key: "stable" value: 7 }', "nonsense: 1"):
            config_file(models, every + faulty)
            time.sleep(0.2)
            assert answer(server, "/labels/stable") == 2

    def test_a_refused_configuration_is_told_once_and_applied_when_its_version_comes(
        self, serve: Serve, models: Path, exported: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        push(exported / "plus_1", models / "1")
        every = "model_version_policy { all {} } "
        path = config_file(models, every + 'version_labels { key: "stable" value: 1 }')
        server = serve(model_config_file=path, model_config_file_poll_wait_seconds=0.05)
        config_file(models, every + 'version_labels { key: "stable" value: 2 }')
        until(lambda: "is not applied" in caplog.text)
        time.sleep(0.2)
        assert caplog.text.count("is not applied") == 1

        push(exported / "plus_2", models / "2")
        until(lambda: answer(server, "/labels/stable") == 2)

    def test_the_page_asks_the_stable_version_and_not_the_canary(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        for version in (1, 2):
            push(exported / f"plus_{version}", models / str(version))
        every = "model_version_policy { all {} } "
        labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "x" value: 2 }'
        for settings, found in ((labels, 1), ('version_labels { key: "x" value: 1 }', 2)):
            server = serve(model_config_file=config_file(models, every + settings))
            assert server.models.contract("m")[0] == found

    def test_models_that_are_gone_or_failed_to_come_are_not_waited_for(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        broken = models.parent / "broken"
        broken.mkdir()
        shutil.copytree(exported / "plus_2", broken / "1")
        corrupt(broken / "1")
        server = serve()
        other = ModelSettings("other", models)
        server.models.configure([other])
        with pytest.raises(StatusError):
            server.models.configure([other, ModelSettings("broken", broken)])
        health = requests.get(f"http://127.0.0.1:{server.rest_port}/healthz", timeout=10)
        assert (health.status_code, health.json()["models"]) == (200, {"other": [1]})


def config_file(models: Path, settings: str) -> Path:
    path = models.parent / "models.config"
    aside = path.with_suffix(".new")
    aside.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{models}" '
        f'model_platform: "tensorflow" {settings} }} }}'
    )
    aside.rename(path)
    return path


class TestFailing:
    def test_a_corrupt_version_leaves_the_old_one_serving_until_it_is_mended(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        shutil.copytree(exported / "plus_2", models / ".2")
        corrupt(models / ".2")
        (models / ".2").rename(models / "2")

        until(lambda: states(server).get(2) == "END")
        (failed,) = rest(server, "/versions/2").json()["model_version_status"]
        assert failed["status"]["error_code"] != "OK"
        assert "saved_model.pb" in failed["status"]["error_message"]
        assert answer(server) == 1

        shutil.copy(exported / "plus_2" / "saved_model.pb", models / "2" / "saved_model.pb")
        until(lambda: answer(server) == 2)

    def test_the_latest_version_that_loads_is_served_after_a_restart(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        for version in (1, 2):
            push(exported / f"plus_{version}", models / str(version))
        corrupt(models / "2")
        server = serve()
        assert answer(server) == 1
        assert states(server) == {2: "END", 1: "AVAILABLE"}

    def test_a_server_without_a_version_that_loads_does_not_start(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        corrupt(models / "1")
        with pytest.raises(StatusError, match=r"saved_model\.pb"):
            serve()

    @pytest.mark.parametrize(
        "missing", ["variables/variables.index", "variables/variables.data-00000-of-00001", "all"]
    )
    def test_a_version_without_its_variables_is_never_available(
        self, serve: Serve, models: Path, exported: Path, missing: str
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        shutil.copytree(exported / "plus_2", models / ".2")
        if missing == "all":
            shutil.rmtree(models / ".2" / "variables")
        else:
            (models / ".2" / missing).unlink()
        (models / ".2").rename(models / "2")
        time.sleep(0.4)
        assert answer(server) == 1
        assert states(server).get(2) in (None, "END")

    def test_a_pusher_that_is_killed_leaves_nothing_that_is_served(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        # A plain copy, a few bytes at a time, in the order that hurts most: the graph first.
        script = (
            "import sys, time, pathlib\n"
            "source, target = map(pathlib.Path, sys.argv[1:])\n"
            "for path in sorted(source.rglob('*'), key=lambda p: 'variables' in str(p)):\n"
            "    if path.is_file():\n"
            "        to = target / path.relative_to(source)\n"
            "        to.parent.mkdir(parents=True, exist_ok=True)\n"
            "        data = path.read_bytes()\n"
            "        with open(to, 'wb', buffering=0) as file:\n"
            "            for start in range(0, len(data), 64):\n"
            "                file.write(data[start:start + 64])\n"
            "                time.sleep(0.002)\n"
        )
        arguments = [sys.executable, "-c", script, str(exported / "plus_2"), str(models / "2")]
        pusher = subprocess.Popen(arguments)
        until((models / "2" / "saved_model.pb").exists)
        time.sleep(0.3)
        assert pusher.poll() is None, "it should be in the middle"
        os.kill(pusher.pid, signal.SIGKILL)
        pusher.wait()
        time.sleep(0.3)

        assert answer(server) == 1
        assert states(server).get(2) in (None, "END")
        subprocess.run(arguments, check=True)  # the push is made again, and completed
        until(lambda: answer(server) == 2)

    @pytest.mark.parametrize("record", [b"no PredictionLog \xff\xff", b"", "fails"])
    def test_warm_up_that_fails_fails_the_version(
        self, serve: Serve, models: Path, exported: Path, record: bytes | str
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        shutil.copytree(exported / "plus_2", models / ".2")
        if record == "fails":
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = "unknown"
            record = log.SerializeToString()
        write_warmup(models / ".2", record)
        (models / ".2").rename(models / "2")
        until(lambda: states(server).get(2) == "END")
        assert answer(server) == 1

    def test_warm_up_runs_before_the_version_is_available(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        shutil.copytree(exported / "plus_1", models / "1")
        log = prediction_log_pb2.PredictionLog()
        x = tf.make_tensor_proto([1.0], tf.float32)
        log.predict_log.request.inputs["x"].CopyFrom(x)
        write_warmup(models / "1", log.SerializeToString())
        server = serve(enable_prometheus=True)
        metrics = rest(server, "/../../../monitoring/prometheus/metrics").text
        assert 'model_warmup_latency_count{model_path="' in metrics
        assert 'status="OK"} 1' in metrics


def write_warmup(version: Path, record: bytes) -> None:
    path = version / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record)


class TestSwapping:
    def test_no_request_is_lost_or_wrongly_answered(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        stop = threading.Event()
        answers: list[tuple[float, float | str]] = []

        def ask() -> None:
            while not stop.is_set():
                started = time.monotonic()
                answers.append((started, answer(server)))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in range(2, 8):
                push(exported / f"plus_{2 - version % 2}", models / str(version))
                until(lambda version=version: states(server).get(version) == "AVAILABLE")
                if version > 3:
                    shutil.rmtree(models / str(version - 2))  # while it may still be in use
                time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

        assert len(answers) > 50
        assert {one for _, one in answers} == {1, 2}

    def test_what_runs_when_its_version_is_unloaded_is_answered(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "busy", models / "1")
        server = serve()
        found = []
        long = threading.Thread(
            target=lambda: found.append(rest(server, ":predict", {"instances": [2000]}).json())
        )
        long.start()
        until(lambda: server.pending == 1)
        push(exported / "plus_1", models / "2")
        until(lambda: states(server).get(1) == "UNLOADING")
        long.join()
        assert found == [{"predictions": [2000]}]
        until(lambda: states(server) == {2: "AVAILABLE", 1: "END"})

    def test_a_version_is_held_as_long_as_it_is_used(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        push(exported / "plus_1", models / "1")
        server = serve()
        with server.models.acquire(model_pb2.ModelSpec(name="m")):
            shutil.rmtree(models / "1")
            until(lambda: states(server) == {1: "UNLOADING"})
        until(lambda: states(server) == {1: "END"})

    def test_a_version_that_is_wanted_again_while_it_is_unloaded_stays(
        self, serve: Serve, models: Path, exported: Path
    ) -> None:
        for version in (1, 2):
            push(exported / f"plus_{version}", models / str(version))
        server = serve(file_system_poll_wait_seconds=0)
        with server.models.acquire(model_pb2.ModelSpec(name="m")):
            shutil.rmtree(models / "2")
            server.models.reconcile()
            assert states(server) == {2: "UNLOADING", 1: "AVAILABLE"}
            push(exported / "plus_2", models / "2")
            server.models.reconcile()
        assert states(server) == {2: "AVAILABLE", 1: "END"}
        assert answer(server) == 2
