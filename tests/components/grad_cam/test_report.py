import dataclasses
import html.parser
import json

import pytest

from components.disclaimer import DISCLAIMER
from components.grad_cam import cases, report, words
from components.grad_cam.settings import GradCamSettings
from tests.components.grad_cam.pages import CONTRACT, MALICIOUS, a_report, explained, performance


class Page(html.parser.HTMLParser):
    """The elements and the text of a page, without its scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        # What is in a script or a style is no text of the page.
        if self.cdata_elem is None:
            self.text += data


def page_of(*shown, **changes) -> Page:
    return Page(report.render_html(a_report(*shown, **changes)))


def test_strings_from_the_data_are_only_text():
    shown = explained(
        filename=MALICIOUS,
        dataset="<b>nih</b>",
        details={"findings": ("</dd><script>alert(3)</script>", "x"), "<i>": ("x",)},
    )

    page = page_of(
        shown,
        split="<s>",
        not_found=["<u>"],
        slices=[performance(10, dataset="<b>nih</b>")],
        contract=dataclasses.replace(CONTRACT, class_names=("<u>", "'\" onload='x")),
    )

    assert page.tags.count("script") == 1, "its own"
    assert not {"s", "u", "i"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert MALICIOUS in page.text
    assert any(MALICIOUS in value for tag, name, value in page.attributes if name == "alt")
    values = next(value for _, name, value in page.attributes if name == "data-values")
    assert json.loads(values)["findings"] == ["</dd><script>alert(3)</script>", "x"]


def test_the_page_needs_its_folder_and_no_network():
    page = page_of(explained())

    sources = {value for _, name, value in page.attributes if name in ("src", "href", "action")}
    assert sources == {"films/0001.jpg", "heat/0001.png", "overlays/0001.png"}
    policy = next(value for _, name, value in page.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; img-src data: 'self' file:;")
    assert "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_every_image_has_an_alternative_text():
    page = page_of(explained())

    images = page.tags.count("img")
    assert images == 3
    assert images == sum(1 for tag, name, _ in page.attributes if (tag, name) == ("img", "alt"))


def test_the_case_says_all_that_is_known():
    shown = explained(features={"age_group": "under 18"})

    text = page_of(shown).text

    for said in (
        DISCLAIMER,
        "film.png",
        "False negative",
        "0.123, threshold 0.400",
        "0.031 logits, lower left",
        shown.selected.reason,
        "Age in years",
        "Age group",
        "under 18",
        "pediatric",
        "≥ 0.050 logits per cell",
    ):
        assert said in text


def test_expert_boxes_are_drawn_and_explained_only_where_there_are_any():
    assert "expert" not in page_of(explained()).text

    boxed = page_of(explained(boxes=((0.1, 0.25, 0.5, 0.4),)))

    assert "expert" in boxed.text
    assert boxed.tags.count("svg") == 2
    assert ("rect", "y", "0.25") in boxed.attributes


def test_an_empty_map_says_so():
    text = page_of(explained(peak=0.0, place="nowhere")).text

    assert "no place adds to the logit" in text


def test_a_report_of_empty_maps_has_no_scale():
    page = page_of(explained(peak=0.0), contract=dataclasses.replace(CONTRACT, reference=0.0))

    assert "Every map here is empty" in page.text
    assert "≥" not in page.text
    assert ("div", "class", "bar") not in page.attributes


def test_cases_are_filtered_by_what_tells_them_apart():
    one = explained(1, features={"sex": "F", "dataset": "nih"}, details={"findings": ("A", "B")})
    other = explained(2, features={"sex": "M", "dataset": "nih"}, details={"findings": ("B",)})

    found = report.choices(
        a_report(one, other, slices=[performance(31), performance(1300, sex="F")])
    )

    assert {name: [x.value for x in options] for name, options in found.items()} == {
        "sex": ["F", "M"],
        "findings": ["A", "B"],
    }
    assert [x.cases for x in found["findings"]] == [1, 2]
    assert found["sex"][0].said == (
        "all 1,300 such films of the split: AUC 0.912, sensitivity 0.800, specificity –"
    )
    assert found["sex"][1].said == ""


def test_named_films_that_are_not_there_are_told():
    assert "not in this split: gone.png" in page_of(explained(), not_found=["gone.png"]).text


def test_the_index_is_json_and_adds_up():
    shown = explained(boxes=((0.1, 0.2, 0.3, 0.4),))

    index = json.loads(json.dumps(report.index(a_report(shown, slices=[performance(9)]))))

    assert index["films"] == 1
    assert index["heat"] == {"unit": "logit", "reference": 0.05, "grid": [7, 7]}
    assert index["counts"]["pediatric"]["false negative"] == 1
    assert index["slices"][0]["auc"] == 0.912
    case = index["cases"][0]
    assert case["outcome"] == "false negative"
    assert case["boxes"] == [[0.1, 0.2, 0.3, 0.4]]
    assert case["metadata"]["age_years"] == "5"
    assert case["heatmap"][2][2] == 1


@pytest.mark.parametrize("field", ["filename", "dataset", "findings", "age_years", "boxes", "sex"])
def test_a_redacted_field_is_in_neither_page_nor_index(field):
    secrets = {
        "filename": "secret.png",
        "dataset": "secretset",
        "findings": "secretfinding",
        "age_years": "77",
        "sex": "secretsex",
        "boxes": "0.123456",
    }
    shown = explained(
        filename=secrets["filename"],
        dataset=secrets["dataset"],
        details={"findings": (secrets["findings"],), "age_years": ("77",)},
        features={"sex": secrets["sex"], "dataset": secrets["dataset"]},
        boxes=((0.123456, 0.2, 0.3, 0.4),),
    )
    whole = a_report(
        shown,
        settings=GradCamSettings(redact=[field]),
        slices=[performance(5, sex=secrets["sex"]), performance(5, dataset=secrets["dataset"])],
        not_found=[secrets["filename"]],
    )

    told = report.redact(whole)

    said = report.render_html(told) + json.dumps(report.index(told))
    for name, secret in secrets.items():
        shown_twice = secret in report.render_html(told) and secret in json.dumps(
            report.index(told)
        )
        assert (secret not in said) if name == field else shown_twice
    assert ("0" * 63 + "1" in said) is (field != "filename")
    assert told.films == 1


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "< 0.001"), (0.0014, "0.001"), (0.5, "0.500"), (1.0, "> 0.999")]
)
def test_probabilities_are_never_rounded_to_certainty(value, said):
    assert words.format_probability(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (0.0312, "0.031"), (0.5, "0.50"), (12.3, "12"), (123.4, "123"), (1e-9, "1.0e-09")],
)
def test_logits_have_two_significant_digits(value, said):
    assert words.format_logits(value) == said


def test_the_report_is_the_same_every_time():
    one = a_report(explained())

    assert report.render_html(one) == report.render_html(dataclasses.replace(one))


def test_outcomes_are_counted_without_their_datasets_if_need_be():
    shown = [explained(1, dataset="nih"), explained(2, dataset="pediatric", probability=0.9)]
    whole = a_report(*shown, settings=GradCamSettings(redact=["dataset"]))

    counts = report.redact(whole).counts

    assert list(counts) == ["all films"]
    assert counts["all films"][cases.Outcome.FALSE_NEGATIVE] == 1
    assert counts["all films"][cases.Outcome.TRUE_POSITIVE] == 1
