"""The page: what it says, that it is only text, and that a browser draws it without a network."""

import base64
import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.data_gate import comparators, facets, notes, problems, report
from components.data_gate.comparison import compare
from components.data_gate.problems import Anomaly
from components.data_gate.report import Report
from components.data_gate.settings import DataGateSettings
from components.data_gate.tables import Statistics
from components.disclaimer import DISCLAIMER
from tests.components.data_gate.samples import account, films, statistics_of

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'
SETTINGS = DataGateSettings(min_images=20)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def statistics() -> dict[str, dict[str, Statistics]]:
    def of(first: int, number: int, **changes: Any) -> dict[str, Statistics]:
        numbers = range(first, first + number)
        return {
            "nih": statistics_of(films(numbers, "nih", **changes)),
            "pediatric": statistics_of(films(numbers, **changes)),
        }

    return {"train": of(0, 60), "val": of(100, 10), "test": of(200, 40, p01=0.3)}


@pytest.fixture(scope="module")
def faulty(statistics: dict[str, dict[str, Statistics]]) -> Report:
    """A report of everything that there is to say."""
    ingest = account(
        {
            "train": {"nih": (30, 30), "pediatric": (30, 30)},
            "val": {"nih": (5, 5), "pediatric": (10, 0)},
            "test": {"nih": (20, 20), "pediatric": (20, 20)},
        }
    )
    ingest["unsampled"] = {
        "test_unsampled": {
            "nih": {"images": 900, "patients": 800, "classes": {"normal": 880, "pneumonia": 20}}
        }
    }
    ingest["leakage"]["patients"] = 3
    ingest["left_out"] = {EVIL: 1234}
    ingest["suspects"] = {"lateral view": 2}
    anomalies = [Anomaly("train", "sex", f"Unexpected value {EVIL}")]
    baseline = {"nih": statistics["train"]["nih"]}
    comparisons = compare(statistics, baseline, comparators.read_schema(), SETTINGS)
    return Report(
        ingest=ingest,
        statistics=statistics,
        anomalies=anomalies,
        comparisons=comparisons,
        problems=problems.find_problems(ingest, anomalies, comparisons, SETTINGS),
        notes=notes.find_notes(ingest, comparisons, SETTINGS),
        settings=SETTINGS,
    )


@pytest.fixture(scope="module")
def faulty_page(faulty: Report) -> str:
    return report.render_html(faulty)


class Page(html.parser.HTMLParser):
    """The elements and the text of a page, without what Facets brings."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        for foreign in (facets.templates(), facets.script()):
            assert foreign in source
            source = source.replace(foreign, "")
        self.feed(source)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.text += " "  # so that the cells of a table stay apart
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_problem_and_its_remedy_is_on_the_page(faulty: Report, faulty_page: str) -> None:
    text = Page(faulty_page).text
    assert {one.check.value for one in faulty.problems} == {
        "leakage",
        "classes",
        "anomaly",
        "skew",
    }
    assert f"The data has {len(faulty.problems)} problems" in text
    assert "unless data_gate.on_failure=warn" in text
    assert "refused" not in text  # which only the gate knows
    said = [DISCLAIMER, *faulty.notes]
    said += [words for one in faulty.problems for words in (one.sentence, one.remedy)]
    for words in said:
        assert words in text


def test_the_tables_have_the_figures(faulty_page: str) -> None:
    text = Page(faulty_page).text
    for said in (
        "pediatric 110 110 0 0 0 0 0 0 0.0 % of 5.0 % 0.0 % of 5.0 %",  # the account
        "test_unsampled nih 900 800 880 20 2.2 %",  # the classes
        "train and last run's train",
        "✕ 1.000 of 0.20",  # a distance beyond its limit
        "Datasets are expected to differ",
        "findings train 60 0 2",  # how many have it, have not, and how many names
    ):
        assert said in text
    # A feature of numbers: n, missing, mean, std, min, median, max.
    assert re.search(r"image/p01 train 60 0 [\d.]+ [\d.]+ [\d.]+ [\d.]+ [\d.]+ val 10", text)


def test_small_splits_are_marked_as_not_judged(faulty_page: str) -> None:
    assert "train and val 60 and 10 images not judged" in Page(faulty_page).text


def test_strings_from_the_data_are_only_text(faulty_page: str) -> None:
    found = Page(faulty_page)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert EVIL in found.text


def test_only_facets_may_run_and_nothing_may_be_fetched(faulty_page: str) -> None:
    found = Page(faulty_page)
    (policy,) = (v for _, name, v in found.attributes if name == "content" and "src" in v)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'{facets.script_hash(facets.script())}'"
    assert "connect-src" not in rules
    assert not [v for _, name, v in found.attributes if name in ("src", "href", "action")]
    assert "url(" not in facets.templates()


def test_identities_do_not_leave_the_data(faulty: Report, faulty_page: str) -> None:
    (data,) = re.findall('proto-input="([^"]+)"', faulty_page)
    shown = statistics_pb2.DatasetFeatureStatisticsList.FromString(base64.b64decode(data))
    assert [one.name for one in shown.datasets] == [
        f"{split}: {dataset}"
        for split in ("train", "val", "test")
        for dataset in ("nih", "pediatric")
    ]
    assert shown.datasets[0].num_examples == 60
    for whole in (shown.SerializeToString().decode("latin1"), json.dumps(report.index(faulty))):
        for name in ("patient_id", "filename", "sha256", "nih:7"):
            assert name not in whole


def test_one_problem_is_said_in_the_singular(faulty: Report) -> None:
    one = dataclasses.replace(faulty, problems=faulty.problems[:1])
    found = Page(report.render_html(one)).text
    assert "The data has 1 problem " in found
    assert "Data report: 1 problem " in found


def test_what_is_not_judged_says_why(statistics: dict[str, dict[str, Statistics]]) -> None:
    few = films(range(300, 310), "nih") + films(range(310, 340), "nih", age_years=None)
    own = {split: {"nih": statistics[split]["nih"]} for split in ("train", "val")}
    own["test"] = {"nih": statistics_of(few)}
    baseline = {"nih": statistics["test"]["nih"]}
    changed = {"nih": ["data.split.salt"]}
    schema = comparators.read_schema()
    found = Report(
        ingest=account({split: {"nih": (5, 5)} for split in own}),
        statistics=own,
        anomalies=[],
        comparisons=compare(own, baseline, schema, SETTINGS, changed),
        problems=[],
        notes=[],
        settings=SETTINGS,
    )
    text = Page(report.render_html(found)).text
    assert "60 and 40 images made by other settings, not judged" in text
    assert re.search(r"age_years [^a-z]* of 0.20 [^a-z]* of 0.20, not judged \(60 and 10\)", text)
    assert "age_years, share that has it" in text
    assert "✕ 0.750 of 0.20" in text  # three quarters of test have no age


def test_sound_data_is_said_to_pass(statistics: dict[str, dict[str, Statistics]]) -> None:
    sound = Report(
        ingest=account({split: {"nih": (5, 5)} for split in ("train", "val", "test")}),
        statistics=statistics,
        anomalies=[],
        comparisons=[],
        problems=[],
        notes=[],
        settings=SETTINGS,
    )
    text = Page(report.render_html(sound)).text
    assert "The data passed every check" in text
    assert "refused" not in text


def test_the_index_says_the_same_for_programs(faulty: Report) -> None:
    index = json.loads(json.dumps(report.index(faulty)))
    assert [one["sentence"] for one in index["problems"]] == [
        one.sentence for one in faulty.problems
    ]
    skew = [one for one in index["comparisons"] if one["kind"] == "skew" and one["gated"]]
    assert [(one["dataset"], one["second"], one["exceeded"]) for one in skew] == [
        ("nih", "test", ["image/p01"]),
        ("pediatric", "test", ["image/p01"]),
    ]
    assert index["statistics"]["val"]["nih"]["images"] == 10
    assert index["settings"]["min_images"] == 20
    assert index["made_by"]["split"] == faulty.ingest["split"]
    assert "on_failure" not in index["settings"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (224.0, "224"),
        (26891.4, "26,891"),
        (0.51234, "0.512"),
        (-0.3991, "-0.399"),
        (0.000897, "0.000897"),
        (1.5e-7, "1.5e-07"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_three_digits(value: float, said: str) -> None:
    assert report.format_number(value) == said


# Facets draws into shadow trees, which --dump-dom leaves out.
_READ_SHADOWS = """
const text = (node) => (node.nodeType === Node.TEXT_NODE ? node.data : "") +
  [...node.childNodes, ...(node.shadowRoot ? [node.shadowRoot] : [])].map(text).join(" ");
addEventListener("load", () => setTimeout(() => {
  const drawn = document.createElement("pre");
  drawn.id = "drawn";
  drawn.textContent = text(document.querySelector("facets-overview"));
  document.body.append(drawn);
}, 3000));
"""


@pytest.mark.skipif(not BROWSER, reason="no chromium to draw the page with")
def test_a_browser_draws_facets_and_asks_no_network(faulty_page: str, tmp_path: Path) -> None:
    of_facets = f"'{facets.script_hash(facets.script())}'"
    watched = faulty_page.replace(
        of_facets, f"{of_facets} '{facets.script_hash(_READ_SHADOWS)}'", 1
    )
    file = tmp_path / "data.html"
    file.write_text(watched.replace("</body>", f"<script>{_READ_SHADOWS}</script></body>"))
    assert BROWSER
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=15000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (drawn,) = re.findall('<pre id="drawn">(.*?)</pre>', done.stdout, re.DOTALL)
    for said in ("train: nih", "test: pediatric", "Numeric Features", "image/p01", "Pneumonia"):
        assert said in drawn
    # The policy reports whatever is asked for, and the page's own errors stand there too.
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
