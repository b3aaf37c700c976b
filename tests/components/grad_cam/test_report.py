import dataclasses
import html.parser
import json

import numpy as np
import pytest

from components.disclaimer import DISCLAIMER
from components.grad_cam import cases, overlay, report

PNG = overlay.to_png(np.zeros((4, 4), np.uint8))


def explained(filename: str = "film.png", **changes) -> report.ExplainedCase:
    case = cases.ScoredCase(
        sha256="ab" * 32,
        filename=filename,
        dataset=changes.pop("dataset", "pediatric"),
        label=1,
        probability=0.1234,
        decision=0,
        metadata=changes.pop("metadata", {"age_years": "5", "findings": "Pneumonia"}),
    )
    values = {
        "selected": cases.SelectedCase(case, cases.Reason.MISSED),
        "film_png": PNG,
        "overlay_png": PNG,
        "overlay_file": "overlays/case_01.png",
        "peak": 0.031,
        "place": "lower left",
        "boxes": (),
    }
    return report.ExplainedCase(**(values | changes))


def a_report(*shown: report.ExplainedCase, **changes) -> report.Report:
    values = {
        "split": "test",
        "model": "0123456789abcdef",
        "class_names": ("normal", "pneumonia"),
        "threshold": 0.4,
        "counts": cases.count_outcomes(x.selected.case for x in shown),
        "cases": shown,
        "reference": 0.05,
        "grid": (7, 7),
        "colour_bar_png": PNG,
        "seed": 3,
        "opacity": 0.6,
    }
    return report.Report(**(values | changes))


class Page(html.parser.HTMLParser):
    """The elements and the text of a page."""

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
        self.text += data


MALICIOUS = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}.png'


def test_strings_from_the_data_are_only_text():
    shown = explained(
        MALICIOUS,
        dataset="<b>nih</b>",
        metadata={"findings": "</dd><script>alert(3)</script>", "<i>": "x"},
    )

    page = Page(
        report.render_html(a_report(shown, split="<s>", class_names=("<u>", "'\" onload='x")))
    )

    assert not {"script", "s", "u", "i"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert MALICIOUS in page.text
    assert any(MALICIOUS in value for tag, name, value in page.attributes if name == "alt")


def test_the_page_needs_no_network():
    page = Page(report.render_html(a_report(explained())))

    sources = [value for _, name, value in page.attributes if name in ("src", "href", "action")]
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    policy = [value for _, name, value in page.attributes if name == "content"]
    assert any(value.startswith("default-src 'none'") for value in policy)


def test_every_image_has_an_alternative_text():
    page = Page(report.render_html(a_report(explained())))

    images = page.tags.count("img")
    assert images == sum(1 for tag, name, _ in page.attributes if (tag, name) == ("img", "alt"))


def test_the_case_says_all_that_is_known():
    text = Page(report.render_html(a_report(explained()))).text

    for said in (
        DISCLAIMER,
        "film.png",
        "False negative",
        "0.123, threshold 0.400",
        "0.031 logits, lower left",
        cases.Reason.MISSED.value,
        "Age in years",
        "pediatric",
        "≥ 0.050",
    ):
        assert said in text


def test_expert_boxes_are_explained_only_where_drawn():
    assert "expert" not in Page(report.render_html(a_report(explained()))).text
    boxed = explained(boxes=((0.1, 0.1, 0.2, 0.2),))
    assert "expert" in Page(report.render_html(a_report(boxed))).text


def test_an_empty_map_says_so():
    text = Page(report.render_html(a_report(explained(peak=0.0, place="nowhere")))).text

    assert "no place adds to the logit" in text


def test_a_report_of_empty_maps_has_no_scale():
    page = Page(report.render_html(a_report(explained(peak=0.0, place="nowhere"), reference=0.0)))

    assert "Every map here is empty" in page.text
    assert "≥" not in page.text
    assert ("img", "class", "bar") not in page.attributes


def test_the_index_is_json_and_adds_up():
    shown = explained(boxes=((0.1, 0.2, 0.3, 0.4),))

    index = json.loads(json.dumps(report.index(a_report(shown))))

    assert index["films"] == 1
    assert index["counts"]["pediatric"]["false negative"] == 1
    assert index["cases"][0]["outcome"] == "false negative"
    assert index["cases"][0]["boxes"] == [[0.1, 0.2, 0.3, 0.4]]
    assert index["cases"][0]["metadata"]["age_years"] == "5"


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "< 0.001"), (0.0014, "0.001"), (0.5, "0.500"), (1.0, "> 0.999")]
)
def test_probabilities_are_never_rounded_to_certainty(value, said):
    assert report.format_probability(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (0.0312, "0.031"), (0.5, "0.50"), (12.3, "12"), (123.4, "123"), (1e-9, "1.0e-09")],
)
def test_logits_have_two_significant_digits(value, said):
    assert report.format_logits(value) == said


def test_the_report_is_the_same_every_time():
    one = a_report(explained())

    assert report.render_html(one) == report.render_html(dataclasses.replace(one))
