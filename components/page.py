"""The pages that nodes write: one look, one file each, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from components.disclaimer import DISCLAIMER


def render(
    template: str, *, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any
) -> str:
    """A whole page, by a template that extends `page.html.jinja`.

    Every string is escaped, and a content security policy forbids what the page does not need.

    Args:
      template: its path below `components/`.
      filters: what the template uses, by name.
      **values: likewise.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(disclaimer=DISCLAIMER, **values)
