import base64
import gzip
import json
import math

from components.evaluator.results import load_slices
from components.example_gen.record import PATHOLOGIES
from components.report.tfma.evaluation import bounds, load_evaluation, number, thin
from tests.components.report.tfma.evaluations import HOSTILE, OF_ONE_CLASS


def test_slices_are_in_order_and_have_their_figures(binary: str) -> None:
    found = load_evaluation(binary)
    names = [one.name for one in found.slices]
    assert names == [
        "all images",
        "dataset nih",
        "dataset pediatric",
        *sorted(f"etiology {value}" for value in (*HOSTILE, OF_ONE_CLASS)),
        "sex F",
        "sex M",
    ]
    for one in load_slices(binary):
        (same,) = (other for other in found.slices if other.name == one.name)
        metrics = same.metrics["probability"][""] | same.metrics["decision"][""]
        for name in ("auc", "sensitivity", "specificity", "ppv", "npv"):
            value, expected = number(metrics[name]), getattr(one, name)
            assert value is not None
            assert math.isnan(value) if expected is None else value == expected


def test_only_a_slice_of_one_class_lacks_figures(binary: str) -> None:
    undefined = {
        one.name: {
            name
            for classes in one.metrics.values()
            for name, metric in classes[""].items()
            if math.isnan(number(metric) or 0)
        }
        for one in load_evaluation(binary).slices
    }
    of_one_class = undefined.pop(f"etiology {OF_ONE_CLASS}")
    assert of_one_class >= {"auc", "average_precision", "sensitivity", "ppv", "npv", "f1"}
    assert not of_one_class & {"specificity", "example_count", "true_negatives"}
    assert not any(undefined.values())


def test_plots_say_whether_their_curves_are_defined(binary: str) -> None:
    found = load_evaluation(binary)
    assert [one.slice_name for one in found.plots] == [one.name for one in found.slices]
    assert {one.of for one in found.plots} == {"probability"}
    assert [one.slice_name for one in found.plots if not one.defined] == [
        f"etiology {OF_ONE_CLASS}"
    ]
    data = json.loads(gzip.decompress(base64.b64decode(found.plots[0].packed)))
    assert len(data["confusionMatrixAtThresholds"]["matrices"]) <= 251
    assert len(data["calibrationHistogramBuckets"]["buckets"]) == 22
    assert max(len(one.packed) for one in found.plots) < 20_000


def test_classes_bear_the_names_of_findings_in_order(multi_label: str) -> None:
    (everything, _) = load_evaluation(multi_label).slices
    names = [*everything.metrics["probability"]]
    assert names == ["", *(f"finding:{name}" for name in PATHOLOGIES)]
    absent = number(everything.metrics["probability"][names[-1]]["auc"])
    assert absent is not None
    assert math.isnan(absent)


def matrix(threshold: float, positives: float) -> dict[str, float]:
    return {"threshold": threshold, "truePositives": positives, "recall": positives, "f1": 0.5}


def test_thinned_matrices_draw_the_same_steps() -> None:
    found = thin([matrix(0, 2), matrix(1, 2), matrix(2, 2), matrix(3, 1), matrix(4, 1)])
    assert [one["threshold"] for one in found] == [0, 2, 3, 4]
    assert set(found[0]) == {"threshold", "truePositives", "recall"}


def test_many_matrices_become_few_that_reach_both_ends() -> None:
    found = thin([matrix(index, 1000 - index) for index in range(1000)])
    assert len(found) <= 251
    assert (found[0]["threshold"], found[-1]["threshold"]) == (0, 999)


def test_no_matrices_stay_none() -> None:
    assert thin([]) == []


def test_a_number_is_told_from_what_is_none() -> None:
    assert number({"doubleValue": 0.5}) == 0.5
    assert math.isnan(number({"doubleValue": "NaN"}) or 0)
    assert number({"boundedValue": {"value": 0.5, "lowerBound": 0.4, "upperBound": 0.6}}) == 0.5
    bounded = {"boundedValue": {"value": 0.5, "lowerBound": 0.4, "upperBound": "NaN"}}
    lower, upper = bounds(bounded) or (0, 0)
    assert lower == 0.4
    assert math.isnan(upper)
    assert bounds({"doubleValue": 0.5}) is None
    assert number({"bytesValue": "Zm9v"}) is None
