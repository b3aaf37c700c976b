"""Where a run's outputs lie."""

from __future__ import annotations

import pytest

from components.verdict.run_folder import RunFolder

RUN = "s3://bucket/v2/cxr-nih/run1"


@pytest.mark.parametrize("uri", [f"{RUN}/Verdict/u1/verdict", f"{RUN}/Verdict/verdict"])
def test_a_run_is_found_by_an_output_of_it(uri: str) -> None:
    run = RunFolder.of_output(uri, "Verdict")
    assert run == RunFolder(RUN)
    assert (run.pipeline, run.run_id) == ("cxr-nih", "run1")


def test_the_pipelines_root_may_be_called_as_a_task() -> None:
    run = RunFolder.of_output("s3://Verdict/x/run1/Verdict/u1/verdict", "Verdict")
    assert run.uri == "s3://Verdict/x/run1"


def test_an_output_of_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="no output of a task Verdict"):
        RunFolder.of_output(f"{RUN}/Trainer/u1/model", "Verdict")


def test_what_another_run_made_is_not_its_own() -> None:
    run = RunFolder(RUN)
    assert run.holds(f"{RUN}/ModelGate/u1/judgement")
    assert not run.holds("s3://bucket/v2/cxr-nih/run12/ModelGate/u1/judgement")
