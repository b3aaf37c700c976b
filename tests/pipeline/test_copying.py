"""Commands that take files of this machine say what to do with those in a store."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from components.errors import InputError
from pipeline.cli import cli
from pipeline.copying import copying
from pipeline.metadata import MetadataSettings
from pipeline.run_folder import RunFolder


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("gs://b/serving/cxr/", "gcloud storage cp -r gs://b/serving/cxr cxr"),
        ("s3://b/serving/cxr", "aws s3 cp --recursive s3://b/serving/cxr cxr"),
        ("minio://b/serving/cxr", "aws s3 cp --recursive s3://b/serving/cxr cxr"),
        ("hdfs://n:8020/serving/cxr", "hdfs dfs -get hdfs://n:8020/serving/cxr cxr"),
    ],
)
def test_each_store_has_its_own_command(uri: str, command: str) -> None:
    assert copying(uri) == command


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", __file__, "--model", "s3://b/x"],
        ["drift", "s3://b/x", "--model", "."],
        ["drift", __file__, "--model", "s3://b/x"],
        ["serve", "--model-base-path", "s3://b/x"],
        ["serve", "--model-config-file", "s3://b/x"],
        ["report", "list", "--runs", "s3://b/x"],
        ["explain", "demo", "--case", "x.png", "--runs", "s3://b/x"],
    ],
)
def test_it_is_a_usage_error_that_names_it(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "aws s3 cp --recursive s3://b/x x" in " ".join(result.output.split())


def test_models_of_a_store_are_named_too() -> None:
    result = CliRunner().invoke(cli, ["models", "list", "s3://b/x"])
    assert isinstance(result.exception, InputError)
    assert "aws s3 cp --recursive s3://b/x x" in str(result.exception)


def test_a_folder_records_the_runs_of_one_root(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "demo")
    folder.root.mkdir()
    folder.note(MetadataSettings(), "cxr-demo", "s3://b/x")
    assert folder.store == "s3://b/x"
    with pytest.raises(InputError, match=r"are in s3://b/x, not in \S*demo/artifacts"):
        folder.note(MetadataSettings(), "cxr-demo")
