"""What pods cannot open is told when it is compiled, and not by the last node."""

from __future__ import annotations

import pytest

from components.errors import InputError
from pipeline.pipeline import Places
from pipeline.runners.kubeflow.reach import check_reach
from pipeline.runners.kubeflow.settings import KubeflowSettings

CLAIM = {"volumes": [{"claim": "x-rays", "path": "/data"}]}
IN_ENV = {"env": {"AWS_ENDPOINT_URL": "http://minio:9000"}}
IN_A_SECRET = {"secrets": [{"name": "s3", "env": {"AWS_ENDPOINT_URL_S3": "endpoint"}}]}


def check(
    settings: dict[str, object], *, data: str = "s3://b/d", serving: str = "s3://b/s"
) -> None:
    check_reach(
        Places(pipeline_root="minio://b/r", serving=serving, sources={"nih": data}, fingerprint=""),
        KubeflowSettings.model_validate(settings),
    )


@pytest.mark.parametrize("place", [{"data": "minio://b/nih"}, {"serving": "minio://b/cxr"}])
def test_minio_needs_an_endpoint_in_the_pods(
    place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What this machine knows no pod does.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    remedy = r"minio://b/.*--set kubeflow\.env\.AWS_ENDPOINT_URL=URL.*kubeflow\.secrets"
    with pytest.raises(InputError, match=remedy):
        check({"env": {"OTHER": "x"}}, **place)
    check(IN_ENV, **place)
    check(IN_A_SECRET, **place)


@pytest.mark.parametrize("place", ["/data", "/data/nih"])
def test_a_folder_needs_a_claim_that_holds_it(place: str) -> None:
    for where in ("data", "serving"):
        with pytest.raises(InputError, match=rf"--{where}-root: .*{place}: .*kubeflow\.volumes="):
            check({}, **{where: place})
        check(CLAIM, **{where: place})


@pytest.mark.parametrize("place", ["/database", "data", "/"])
def test_a_folder_beside_the_claim_is_none_on_it(place: str) -> None:
    with pytest.raises(InputError, match="no pod has this folder"):
        check(CLAIM, data=place)


@pytest.mark.parametrize("scheme", ["gs", "s3", "hdfs"])
def test_other_stores_are_known_by_their_address(scheme: str) -> None:
    check({}, data=f"{scheme}://bucket/nih", serving=f"{scheme}://bucket/models")
