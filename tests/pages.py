"""The commands that README and the documentation's pages tell a user to type."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CONTINUED = re.compile(r"\\\n\s*")
_COMMENT = re.compile(r"(^|\s)#.*$")
_ASSIGNMENT = re.compile(r"\w+=")


@dataclasses.dataclass(frozen=True)
class Command:
    """One line of an `sh` block.

    Attributes:
      page: the file, from the project's folder on.
      line: as it is typed: without its comment, continued lines joined.
      variables: names of the environment variables that it sets for itself.
      words: the command and its arguments, without quotes.
    """

    page: str
    line: str
    variables: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"

    def starts(self, prefix: str) -> bool:
        """Whether its first words are those."""
        words = tuple(prefix.split())
        return self.words[: len(words)] == words


def commands_of(page: Path) -> list[Command]:
    """The commands of a page's `sh` blocks, each once."""
    found = []
    for block in _BLOCK.findall(page.read_text()):
        for written in _CONTINUED.sub("", block).splitlines():
            if line := _COMMENT.sub("", written).strip():
                words = shlex.split(line)
                variables = []
                while _ASSIGNMENT.match(words[0]):
                    variables.append(words.pop(0).partition("=")[0])
                found.append(
                    Command(str(page.relative_to(ROOT)), line, tuple(variables), tuple(words))
                )
    return list(dict.fromkeys(found))
