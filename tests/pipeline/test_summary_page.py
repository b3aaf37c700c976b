"""The summary as people read it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from components.example_gen.record import PATHOLOGIES
from pipeline.summary_page import print_summary


def figures(**values: Any) -> dict[str, Any]:
    """A finding on 60 images, a third of which show it."""
    found = {"n": 60, "positives": 20, "auc": 0.812, "sensitivity": 0.9}
    return found | {"specificity": 0.7, "ppv": 0.6, "npv": 0.93} | values


def operating_point(threshold: float) -> dict[str, Any]:
    counts = {"positives": 31, "negatives": 47}
    return {"threshold": threshold, "chosen_by": "sensitivity 0.9 on validation", **counts}


def summary(**values: Any) -> dict[str, Any]:
    """That of a run of which nothing else is to be said."""
    paths = (
        "report", "dashboard", "model_card", "grad_cam", "ingest", "data", "keras", "log", "model",
        "tensorboard",
    )  # fmt: skip
    return {
        "labels": "pneumonia",
        "metrics": [{"name": "all images", "slice": {}} | figures()],
        "metrics_unsampled": [],
        "slices_too_small": 0,
        "model": {
            "weights": "imagenet",
            "outputs": [
                {
                    "name": "pneumonia",
                    "calibration": {"method": "platt", "reason": None},
                    "operating_point": operating_point(0.25),
                }
            ],
        },
        "data": {"read": 1, "fates": {"kept": 1}, "left_out": {}, "suspects": {}},
        "data_gate": {"notes": [], "problems": []},
        "verdict": "refused",
        "gates": [],
        "report_only": False,
        "infra_canary": None,
        "pushed": None,
        "paths": dict.fromkeys((*paths, "run", "example_image"), "/x"),
        "seconds": 1.0,
    } | values


def multi_label_summary() -> dict[str, Any]:
    rare = figures(positives=0, auc=None, sensitivity=None, ppv=None, npv=None)
    findings = [
        {"finding": name} | (rare if name == "Hernia" else figures()) for name in PATHOLOGIES
    ]
    slices: list[dict[str, str]] = [{}, {"dataset": "nih"}, {"sex": "F"}]
    metrics = [
        {"name": " ".join(*one.items()) if one else "all images", "slice": one, "n": 60}
        | {"macro_auc": 0.777, "measured": 13, "findings": findings}
        for one in slices
    ]
    outputs = [
        {"name": name, "operating_point": operating_point(number / 100)}
        for number, name in enumerate(PATHOLOGIES)
    ]
    return summary(
        labels="findings", metrics=metrics, model={"weights": "imagenet", "outputs": outputs}
    )


def shown(found: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    print_summary(found, Console(file=stream, width=120, highlight=False))
    return stream.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().replace("┃", "│")[1:-1].split("│")]


def test_pneumonia_has_one_table_and_one_operating_point() -> None:
    lines = shown(summary())
    assert any(
        cells(line) == ["all images", "60", "20", "0.812", "0.900", "0.700"] for line in lines
    )
    assert (
        "Operating point of pneumonia: probability of at least 0.250 (sensitivity 0.9 on "
        "validation; 31 images with, 47 without)."
    ) in " ".join(lines)


@pytest.mark.parametrize(
    "row",
    [
        ["finding", "positives", "AUC", "sensitivity", "specificity", "PPV"],
        ["Atelectasis", "20", "0.812", "0.900", "0.700", "0.600"],
        ["Pleural Thickening", "20", "0.812", "0.900", "0.700", "0.600"],
        ["Hernia", "0", "–", "–", "0.700", "–"],
        ["macro AUC", "", "0.777", "", "", ""],
    ],
)
def test_findings_have_a_table_of_each_dataset(row: list[str]) -> None:
    lines = shown(multi_label_summary())
    assert [cells(line) for line in lines].count(row) == 1
    assert sum("Findings on 60 test images, dataset nih" in line for line in lines) == 1


def test_slices_of_a_multi_label_model_have_their_macro_auc() -> None:
    rows = [cells(line) for line in shown(multi_label_summary())]
    assert ["sex F", "60", "13 of 14", "0.777"] in rows
    assert ["all images", "60", "13 of 14", "0.777"] in rows


def test_the_verdict_comes_with_what_each_gate_says() -> None:
    gates = [
        {"name": "auc", "verdict": "passed", "sentence": "nih: 0.8 meets the 0.7 asked for"},
        {"name": "shortcut", "verdict": "refused", "sentence": "nih: no lift over [a thumbnail]"},
        {"name": "subgroups", "verdict": "not judged", "sentence": "nih: too few"},
    ]
    text = "\n".join(shown(summary(gates=gates, report_only=True)))
    assert "✓ auc: nih: 0.8 meets the 0.7 asked for" in text
    assert "✗ shortcut: nih: no lift over [a thumbnail]" in text
    assert "– subgroups: nih: too few" in text
    assert "asked to refuse nothing" in text


class TestPush:
    CANARY = {
        "server": "the embedded server",
        "blessed": False,
        "checks": [
            {"name": "loads", "verdict": "passed", "sentence": "after 2.0 s"},
            {"name": "golden", "verdict": "refused", "sentence": "0.2 off [/x]"},
        ],
    }

    def test_what_the_canary_asked_is_told(self) -> None:
        lines = shown(summary(infra_canary=self.CANARY))
        start = lines.index("On the embedded server:")
        assert lines[start + 1 : start + 4] == [
            "  ✓ loads: after 2.0 s",
            "  ✗ golden: 0.2 off [/x]",
            "Not pushed.",
        ]

    def test_a_version_is_told_with_its_label(self) -> None:
        pushed = {"version": "7", "path": "/x/7", "labels": ["stable"], "exists": True}
        lines = shown(summary(pushed=pushed))
        assert "Pushed: version 7, stable, at /x/7" in lines
        assert not any("No server takes it" in line for line in lines)

    @pytest.mark.parametrize("change", [{"labels": []}, {"exists": False}])
    def test_a_version_that_no_server_takes_is_told(self, change: dict[str, Any]) -> None:
        pushed = {"version": "7", "path": "/x/7", "labels": ["stable"], "exists": True} | change
        assert any("No server takes it" in line for line in shown(summary(pushed=pushed)))
