"""What MkDocs does with pages that are read on their own, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_TO_PAGE = re.compile(r"\]\(docs/")
_TO_README = re.compile(r"(?<=\]\()((?:\.\./)*)\.\./README\.md")
_TO_CODE = re.compile(r"\[((?:[^][]|\[[^][]*\])+)\]\((?!https?:|#|mailto:)([^)]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The first page is the README, also to links; and the site has none to what is not on it."""
    if page.file.src_uri == "index.md":
        markdown = _TO_PAGE.sub("](", (_ROOT / "README.md").read_text(encoding="utf-8"))
    markdown = _TO_README.sub(r"\1index.md", markdown)
    folder = (_ROOT / "docs" / page.file.src_uri).parent

    def link(match: re.Match[str]) -> str:
        target = (folder / match[2].split("#")[0]).resolve()
        return match[0] if target.is_relative_to(_ROOT / "docs") and target.is_file() else match[1]

    return _TO_CODE.sub(link, markdown)
