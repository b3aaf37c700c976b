"""A page in a notebook's output, without a network."""

from __future__ import annotations

import dataclasses
import html


@dataclasses.dataclass(frozen=True)
class Page:
    """A page that a notebook shows where a cell ends with it.

    Attributes:
      html: the whole page.
      height: of its frame, in CSS pixels.
    """

    html: str
    height: int = 900

    def _repr_html_(self) -> str:
        return as_iframe(self.html, self.height)


def as_iframe(page: str, height: int = 900) -> str:
    """A page as an element that holds all of it, for JupyterLab, Notebook and VS Code.

    Its scripts run apart from the notebook: the sandbox keeps its document, cookies and storage
    out of their reach.

    Args:
      page: HTML that fetches nothing.
      height: in CSS pixels.
    """
    return (
        f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {height}px; border: 0" title="Report"></iframe>'
    )
