"""The pages about a model, and what notebooks call: `load`, and the plots of `report.plots`."""

from __future__ import annotations

from components.report.figures import FILE_NAME, Figures


def load(uri: str) -> Figures:
    """What a report says, as data: its plots are drawn from it by the modules of `report.plots`.

    ```python
    figures = report.load(report_uri)
    discrimination.roc(figures)
    ```

    Args:
      uri: of a `ModelReport`.
    """
    # Here, since it imports TFX.
    from tfx.dsl.io import fileio

    with fileio.open(f"{uri}/{FILE_NAME}", "rb") as file:
        return Figures.model_validate_json(file.read())
