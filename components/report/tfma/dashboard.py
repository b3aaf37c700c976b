"""TFMA's web components on one page, offline.

TFMA shows evaluations with a notebook widget that current notebooks do not load, and that draws
with Google Charts from the web. Its components (in the wheel, Apache-2.0) work on any page on
which something answers to the name of Google Charts: here `google_charts.js`.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Mapping
from typing import Any

import markupsafe
import tensorflow_model_analysis

from components import page
from components.data_gate import facets
from components.evaluator import eval_config
from components.report.tfma.evaluation import Evaluation, Plots, load_evaluation
from components.report.tfma.table import Table, to_table

# Keeps the components from asking Google's server for a font.
_NO_FONTS = "window.polymerSkipLoadingFontRoboto = true;\n"


@dataclasses.dataclass(frozen=True)
class Section:
    """One evaluation on the page.

    Attributes:
      title: what it is of, such as `Test images`.
      table: its figures.
      slices: those that have plots, in order.
      classes: likewise, outputs with their classes.
      data: for `dashboard.js`.
    """

    title: str
    table: Table
    slices: tuple[str, ...]
    classes: tuple[str, ...]
    data: Mapping[str, Any]


def render_dashboard(evaluations: Mapping[str, str]) -> str:
    """One HTML file of TFMA's components; every script is in it, and nothing may be fetched.

    Every string out of the data is escaped or shown as text, and a content security policy lets
    only the page's own scripts run.

    Args:
      evaluations: URIs of ModelEvaluation artifacts, by the title of their section.
    """
    scripts = [_own("google_charts.js"), _NO_FONTS + _components(), _own("dashboard.js")]
    return page.render(
        "report/tfma/dashboard.html.jinja",
        sections=[_section(title, load_evaluation(uri)) for title, uri in evaluations.items()],
        version=tensorflow_model_analysis.__version__,
        scripts=[markupsafe.Markup(script) for script in scripts],
        hashes=[facets.script_hash(script) for script in scripts],
    )


def _section(title: str, evaluation: Evaluation) -> Section:
    slices = _each(one.slice_name for one in evaluation.plots)
    classes = _each(one.of for one in evaluation.plots)
    return Section(
        title=title,
        table=to_table(evaluation),
        slices=slices,
        classes=classes,
        data={
            "weights": evaluation.weights,
            "outputs": _shown_at_first(evaluation),
            "slices": [{"slice": one.name, "metrics": one.metrics} for one in evaluation.slices],
            "plots": _by_choice(evaluation.plots, slices, classes),
        },
    )


def _each(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _shown_at_first(evaluation: Evaluation) -> list[str]:
    """The outputs of which TFMA's table shows every class at once.

    All of them for a single class; only the probability's of many, or it would have hundreds of
    columns.
    """
    classes = {
        output: set(classes) for one in evaluation.slices for output, classes in one.metrics.items()
    }
    many = any(len(names) > 1 for names in classes.values())
    return [eval_config.PROBABILITY] if many and eval_config.PROBABILITY in classes else [*classes]


def _by_choice(
    plots: tuple[Plots, ...], slices: tuple[str, ...], classes: tuple[str, ...]
) -> list[list[Mapping[str, Any] | None]]:
    """The plots of each slice and class, None where a slice lacks those of a class."""
    found = {
        (one.slice_name, one.of): {"packed": one.packed, "defined": one.defined} for one in plots
    }
    return [[found.get((slice_name, of)) for of in classes] for slice_name in slices]


def _components() -> str:
    """TFMA's web components, ready to stand within a page."""
    folder = importlib.resources.files("tensorflow_model_analysis").joinpath("static")
    text = folder.joinpath("vulcanized_tfma.js").read_text("utf-8")
    return text.replace("</script", "<\\/script")


def _own(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")
