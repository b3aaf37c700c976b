"""A message for a chat."""

from __future__ import annotations

import requests

from components.verdict.verdict import Verdict

_SECONDS = 10.0


def post(url: str, text: str, *, state: str, verdict: Verdict | None) -> None:
    """Post a message as JSON.

    Args:
      url: of the webhook.
      text: in Markdown.
      state: of the run, as Kubeflow tells it.
      verdict: None if it is not known; then so is `blessed`.

    Raises:
      requests.RequestException: if nothing answers in time, or with an error.
    """
    answer = requests.post(
        url,
        json={"text": text, "state": state, "blessed": verdict.blessed if verdict else None},
        timeout=_SECONDS,
    )
    answer.raise_for_status()
