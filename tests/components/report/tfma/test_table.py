from components.report.tfma.evaluation import Evaluation, Metrics, Slice
from components.report.tfma.table import to_table


def evaluation(*slices: Metrics) -> Evaluation:
    named = [Slice(f"slice {index}", metrics) for index, metrics in enumerate(slices)]
    return Evaluation(tuple(named), (), "example_count")


def test_every_number_has_its_column() -> None:
    interval = {"value": 0.5, "lowerBound": 0.4, "upperBound": 0.6}
    first = {
        "probability": {
            "": {"example_count": {"doubleValue": 1234.0}, "auc": {"boundedValue": interval}}
        },
        "decision": {"": {"ppv": {"doubleValue": "NaN"}, "true_positives": {"doubleValue": 0.0}}},
    }
    second = {
        "probability": {"": {"auc": {"doubleValue": 1.0}, "array": {"arrayValue": {"shape": [2]}}}},
        "decision": {
            "": {"ppv": {"doubleValue": "Infinity"}, "true_positives": {"doubleValue": 7.0}}
        },
    }
    table = to_table(evaluation(first, second))
    assert dict(table.outputs) == {"probability": 2, "decision": 2}
    assert table.columns == ("example count", "auc", "ppv", "true positives")
    assert [row.figures for row in table.rows] == [
        ("1,234", "0.500 (0.400 to 0.600)", "not defined", "0"),
        ("", "1.000", "not defined", "7"),
    ]
    assert not table.has_findings


def test_findings_have_a_row_each() -> None:
    metrics = {
        "probability": {
            "": {"macro_auc": {"doubleValue": 0.75}},
            "finding:Edema": {"auc": {"doubleValue": 0.7}},
        },
        "decision": {"finding:Edema": {"ppv": {"doubleValue": 0.25}}},
    }
    table = to_table(evaluation(metrics))
    assert table.has_findings
    assert [(row.finding, row.figures) for row in table.rows] == [
        ("", ("0.750", "", "")),
        ("Edema", ("", "0.700", "0.250")),
    ]
