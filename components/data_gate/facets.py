"""Facets Overview for a page that needs no network.

Google's What-If Tool (the wheel `tensorboard-plugin-wit`, Apache-2.0) holds it as a web component.
TFDV's own page loads the same from the web.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import statistics_pb2

from components.data_gate import tables
from components.data_gate.tables import Statistics

_FONTS = re.compile(r"@font-face\s*\{[^}]*\}")
_END_OF_TEMPLATES = "<style>\n  html,"
# The wheel lacks this template, without which the search field fails.
_MISSING_TEMPLATE = (
    '<dom-module id="facets-overview-filter-validator"><template></template></dom-module>'
)


def templates() -> str:
    """The web components' templates, as HTML; without the fonts, which lie on a server."""
    text = _read("wit_tb_bin.html").removeprefix("<!doctype html>")
    return _FONTS.sub("", text[: text.rindex(_END_OF_TEMPLATES)]) + _MISSING_TEMPLATE


def script() -> str:
    """The web components' script, ready to stand within a page."""
    return _read("wit_tb_bin.js").replace("</script", "<\\/script")


def script_hash(text: str) -> str:
    """What a content security policy calls a script that it lets run."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def encode(statistics: Mapping[str, Statistics]) -> str:
    """Statistics for `<facets-overview proto-input="...">`.

    Args:
      statistics: by the name that Facets shows.
    """
    shown = statistics_pb2.DatasetFeatureStatisticsList()
    for name, one in statistics.items():
        shown.datasets.add(
            name=name, num_examples=one.num_examples, features=tables.shown_features(one)
        )
    return base64.b64encode(shown.SerializeToString()).decode("ascii")


def _read(name: str) -> str:
    folder = importlib.resources.files("tensorboard_plugin_wit").joinpath("static")
    return folder.joinpath(name).read_text("utf-8")
