"""The model card (Mitchell et al. 2019, arXiv:1810.03993), out of the figures alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from components import page
from components.disclaimer import DISCLAIMER
from components.example_gen.split import TEST_UNSAMPLED, VALIDATION
from components.report import explanations, tables
from components.report.caveats import caveats
from components.report.dashboard import verdict
from components.report.figures import Figures, finding_name
from components.report.tables import Table


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the card.

    Attributes:
      heading: over it.
      blocks: paragraphs as text, lists as tuples of text, and tables.
    """

    heading: str
    blocks: tuple[str | tuple[str, ...] | Table, ...]


def sections(figures: Figures) -> list[Section]:
    """The parts of the card, in the order of the paper."""
    return [
        Section("Model details", tuple(_details(figures))),
        Section("Intended use and limits", tuple(_use(figures))),
        Section("Factors", tuple(_factors(figures))),
        Section("Metrics", tuple(_metrics(figures))),
        Section("Data", tuple(_data(figures))),
        Section("Quantitative analyses", tuple(_analyses(figures))),
        Section("Explanations", tuple(_explanations(figures))),
        Section("Ethical considerations", tuple(_ethics())),
        Section("Caveats and recommendations", tuple(_caveats(figures))),
        Section("Versions and lineage", tuple(_lineage(figures))),
    ]


def render_markdown(figures: Figures) -> str:
    """The card as Markdown; what comes out of the data is escaped."""
    lines = [f"# Model card: {_escape(figures.lineage.experiment)}", "", f"**{DISCLAIMER}**"]
    for section in sections(figures):
        lines += ["", f"## {section.heading}"]
        for block in section.blocks:
            lines += ["", *_markdown(block)]
    return "\n".join(lines) + "\n"


def render_html(figures: Figures) -> str:
    """The card as one HTML file that needs no network."""
    return page.render(
        "report/model_card.html.jinja",
        experiment=figures.lineage.experiment,
        blessed=figures.judgement.blessed,
        verdict=verdict(figures.judgement),
        sections=sections(figures),
    )


def _details(figures: Figures) -> Iterator[str | tuple[str, ...]]:
    contract, training = figures.contract, figures.contract["training"]
    outputs = ", ".join(finding_name(one["name"]) for one in contract["outputs"])
    weights = (
        "random weights" if contract["weights"] == "none" else f"{contract['weights']} weights"
    )
    epochs = ", ".join(f"{name} {count}" for name, count in training["epochs"].items())
    yield f"{(figures.lineage.description or figures.lineage.experiment).rstrip('.')}."
    yield (
        f"Outputs: {outputs}; a calibrated probability and a decision of each.",
        f"Network: {contract['backbone']} with {weights}, {contract['precision']}; trained: "
        f"{training['trainable'].replace('_', ' ')}; seed {training['seed']}; epochs: {epochs}.",
        f"Input: {contract['preprocessing']}.",
        f"Verdict: {verdict(figures.judgement)}.",
    )


def _use(figures: Figures) -> Iterator[str]:
    yield figures.contract["intended_use"]
    yield (
        "Out of scope: any decision about a patient; films of other kinds, views, ages or sites "
        "than those under Data; findings that the model has no output for."
    )


def _factors(figures: Figures) -> Iterator[str]:
    features = {key for one in figures.slices() for key in one.slice} - {"dataset"}
    if features:
        named = ", ".join(sorted(feature.replace("_", " ") for feature in features))
        yield f"Figures are given for each dataset, and within the test images by {named}."
    else:
        yield "Figures are given for each dataset; nothing else divides the test images."


def _metrics(figures: Figures) -> Iterator[str | Table]:
    yield (
        "Area under the ROC curve, average precision, sensitivity and specificity at the operating "
        "point, predictive values, Brier score and expected calibration error, each with an "
        "interval. The operating point and the calibration were chosen on validation images, never "
        "on test images."
    )
    yield tables.operating_points(figures)


def _data(figures: Figures) -> Iterator[str | Table]:
    ingest = figures.ingest
    how = (
        "by patient: none is in two splits"
        if ingest["split"]["method"] == "by_patient"
        else "as published"
    )
    yield f"{ingest['read']:,} images and rows were read, and {ingest['kept']:,} were kept."
    yield tables.audit(figures)
    yield f"Divided {how}. Training learns from train, is stopped by val, and is measured on test."
    yield tables.splits(figures)


def _analyses(figures: Figures) -> Iterator[str | tuple[str, ...] | Table]:
    for split, title in (
        ("test", "On test images."),
        (TEST_UNSAMPLED, "On test images before they were balanced."),
        (VALIDATION, "On validation images, which the model was tuned on."),
    ):
        for block in _headlines(figures, split):
            yield title
            yield block
    if figures.slices():
        yield "By slice of the test images."
        yield tables.slices(figures)
    if figures.judgement.baselines:
        yield "Beside trivial models, and the last blessed one, on the same images."
        yield tables.baselines(figures)
    yield "What was asked of it:"
    yield tuple(f"{one.verdict}: {one.sentence}" for one in figures.judgement.gates) or ("nothing",)


def _headlines(figures: Figures, split: str) -> list[Table]:
    found = figures.headlines(split)
    if figures.several_findings:
        return [
            dataclasses.replace(tables.findings(one), caption=one.slice["dataset"]) for one in found
        ]
    return [tables.headlines(figures, split)] if found else []


def _explanations(figures: Figures) -> Iterator[str | tuple[str, ...] | Table]:
    found = figures.explanations
    if found is None:
        yield "None were made in this run."
    else:
        yield (
            f"Heat maps of {found.cases:,} of {found.films:,} test images are in the run’s own "
            f"report, errors first; the hottest colour is {found.reference:.3g} logits. Such maps "
            "show where, not why: a plausible one is no evidence that an answer is right."
        )
    measures = figures.measures
    if measures is None:
        yield "How good they are was not measured."
        return
    yield "How good they are:"
    yield tuple(explanations.sentences(measures))
    if any(one.measures for one in measures.localisation):
        yield explanations.localisation(measures)
    yield explanations.LIMITS


def _ethics() -> Iterator[str]:
    yield (
        "The films are of patients, from public sets that were pseudonymised by their publishers; "
        "the exported model holds no film. A missed finding and a false alarm both harm: the "
        "operating point trades one for the other, and that choice belongs to those who would use "
        "the model."
    )


def _caveats(figures: Figures) -> Iterator[tuple[str, ...]]:
    yield (
        *caveats(figures),
        "Labels are those of the datasets: of reports read by machine, or of few readers. They are "
        "not verified.",
        "An interval tells the uncertainty of the test images alone, not that of other hospitals.",
    )


def _lineage(figures: Figures) -> Iterator[tuple[str, ...]]:
    lineage, contract = figures.lineage, figures.contract
    yield (
        f"Run: {lineage.run_id or tables.NOTHING}; settings: {lineage.config or tables.NOTHING}.",
        f"Weights: {contract['weights_sha256']}.",
        *(
            f"Images, {split}: {digest}."
            for split, digest in contract["training"]["images_sha256"].items()
        ),
        *(f"Code of {node}: {digest}." for node, digest in lineage.code.items()),
        *(
            f"Artifact {source.id}, {finding_name(name)}: {source.uri}"
            for name, source in lineage.artifacts.items()
        ),
        "Packages: "
        + ", ".join(f"{name} {version}" for name, version in lineage.versions.items())
        + ".",
    )


def _markdown(block: str | tuple[str, ...] | Table) -> list[str]:
    if isinstance(block, str):
        return [_escape(block)]
    if isinstance(block, tuple):
        return [f"- {_escape(item)}" for item in block]
    caption = [_escape(block.caption), ""] if block.caption else []
    return [
        *caption,
        _row(block.headings),
        _row(["---", *["---:"] * (len(block.headings) - 1)], escape=False),
        *(_row(row) for row in block.rows),
    ]


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_escape(cell) if escape else cell for cell in cells)} |"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of a table's cell."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))
