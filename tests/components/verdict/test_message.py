"""What is told of a run that ended, however it did."""

from __future__ import annotations

import pytest

from components.disclaimer import DISCLAIMER
from components.verdict.message import FinalStatus, Found, describe
from components.verdict.verdict import Failure, Push, Verdict

PUSH = Push(version="17", label="stable", destination="s3://bucket/serving/cxr/17")
BLESSED = Verdict(
    blessed=True,
    report_only=False,
    refused_by=(),
    judged_here=True,
    push=PUSH,
    pushed_here=True,
    compared=True,
)
REFUSED = BLESSED.model_copy(
    update={"blessed": False, "refused_by": ("auc (nih): 0.6 < 0.8",), "push": None}
)
FAILURE = Failure(task="Trainer", message="no such weights: x.h5")


def tell(state: str, **found: object) -> str:
    status = FinalStatus.model_validate({"state": state, "error": {}, "pipelineTaskName": "x"})
    text = describe(status, Found.model_validate(found), pipeline="cxr-nih", run_id="run1")
    assert text.startswith("**cxr-nih**, run `run1`: ")
    assert DISCLAIMER in text
    return text


@pytest.mark.parametrize("state", ["COMPLETE", "SUCCEEDED"])
def test_a_blessed_model_and_its_version(state: str) -> None:
    text = tell(state, verdict=BLESSED)
    assert "**blessed**, and pushed as version 17 (stable) to `s3://bucket/serving/cxr/17`" in text
    assert "earlier run" not in text


def test_a_refused_model_and_the_grounds() -> None:
    text = tell("COMPLETE", verdict=REFUSED)
    assert "**not blessed**, and was not pushed" in text
    assert "- auc (nih): 0.6 < 0.8" in text


def test_a_model_that_no_server_could_serve() -> None:
    text = tell("COMPLETE", verdict=BLESSED.model_copy(update={"push": None}))
    assert "**blessed**, but was **not pushed**: see InfraCanary" in text


def test_gates_that_only_reported() -> None:
    verdict = BLESSED.model_copy(
        update={"report_only": True, "refused_by": ("auc (nih): 0.6 < 0.8",)}
    )
    text = tell("COMPLETE", verdict=verdict)
    assert text.index("asked to report only") < text.index("- auc (nih)")


def test_a_model_that_was_compared_with_none_is_said_to_be() -> None:
    said = "Nothing was compared with earlier runs"
    assert said not in tell("COMPLETE", verdict=BLESSED)
    assert said in tell("COMPLETE", verdict=BLESSED.model_copy(update={"compared": False}))


def test_what_came_from_the_cache_is_said_to() -> None:
    verdict = BLESSED.model_copy(update={"judged_here": False, "pushed_here": False})
    text = tell("COMPLETE", verdict=verdict)
    assert "had been pushed by an earlier run as version 17" in text
    assert "from the cache" in text


def test_a_failed_run_names_its_tasks_and_no_outcome_of_the_model() -> None:
    text = tell("FAILED", failures=(FAILURE,))
    assert "failed in Trainer." in text
    assert "- Trainer: no such weights: x.h5" in text
    assert "blessed" not in text


def test_a_task_that_was_killed_left_no_note() -> None:
    text = tell("FAILED")
    assert "run1`: failed." in text
    assert "may have been killed" in text


def test_a_run_that_failed_after_its_verdict() -> None:
    text = tell("FAILED", verdict=BLESSED, failures=(FAILURE,))
    assert "failed in Trainer." in text
    assert "Before that: done. The model is **blessed**" in text


@pytest.mark.parametrize("state", ["CANCELED", "CANCELLED"])
def test_a_cancelled_run(state: str) -> None:
    text = tell(state)
    assert "was cancelled." in text
    assert "failed" not in text


@pytest.mark.parametrize("state", ["RUNNING", ""])
def test_a_state_that_is_no_end(state: str) -> None:
    text = tell(state)
    assert f"calls its state {state or 'unknown'}" in text
    assert "done" not in text


def test_a_store_that_does_not_answer() -> None:
    text = tell("COMPLETE", unreadable="InputError: no store answers")
    assert "done; what became of the model is not known." in text
    assert "could not be read: InputError: no store answers" in text
    assert "holds no verdict" not in text


def test_a_run_without_a_verdict() -> None:
    assert "holds no verdict" in tell("COMPLETE")
