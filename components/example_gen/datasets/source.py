"""Settings of one dataset, which its module reads."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.settings import Settings

ColumnName = Literal["image", "findings", "patient", "age", "sex", "view", "follow_up"]


class Source(Settings):
    """One dataset.

    Attributes:
      folder: below the data root; the dataset's usual folder names are tried without it.
      table: the CSV file in that folder, if it is not called as usual.
      columns: the table's names of columns that are not called as usual, such as
        `{findings: my_labels}`.
      normals_per_pneumonia: leave out normal images until so many are left for each pneumonia
        image, within each split; nothing is left out without it. Not where all findings are labels.
    """

    folder: str | None = None
    table: str | None = None
    columns: dict[ColumnName, str] = {}
    normals_per_pneumonia: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
