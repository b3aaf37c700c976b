"""What the exported model's contract says of its explanations."""

from __future__ import annotations

import dataclasses
import json

from components.errors import InputError
from components.trainer.contract_file import find_output

_SETTING = "grad_cam.finding, or --finding"

RETRAIN = "train the model again, so that it is exported with explanations"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelContract:
    """The part of the model's contract that explaining one of its outputs needs.

    Attributes:
      output: number of the output.
      name: of the output.
      class_names: of the negative and the positive class.
      threshold: the operating point, a calibrated probability.
      method: how maps are made, such as `grad_cam`.
      layer: whose input they are maps of; empty for the activations that are pooled.
      grid: rows and columns of a map.
      reference: the value of the hottest colour, in logits.
      opacity: of the hottest colour in the model's own overlays.
    """

    output: int
    name: str
    class_names: tuple[str, str]
    threshold: float
    method: str
    layer: str
    grid: tuple[int, int]
    reference: float
    opacity: float

    @property
    def adds_up(self) -> bool:
        """Whether a cell's value is what it adds to the logit, to first order."""
        return self.method == "hires_cam" or (self.method == "grad_cam" and not self.layer)

    @classmethod
    def from_json(cls, text: str, finding: str = "") -> ModelContract:
        """Read it from the model's `model_contract.json`.

        Args:
          text: the JSON.
          finding: of a multi-label model, the name of the output; empty for a binary one.

        Raises:
          InputError: if an entry is missing or wrong, or there is no such output.
        """
        try:
            contract = json.loads(text)
            number = find_output(
                [output["name"] for output in contract["outputs"]], finding, _SETTING
            )
            output = contract["outputs"][number]
            explanation = contract["explanation"]
            rows, columns = explanation["grid"]
            return cls(
                output=number,
                name=output["name"],
                class_names=_words(finding) if finding else tuple(contract["class_names"]),
                threshold=float(output["operating_point"]["threshold"]),
                method=str(explanation["method"]),
                layer=str(explanation["layer"]),
                grid=(int(rows), int(columns)),
                reference=float(explanation["references"][number]),
                opacity=float(explanation["opacity"]),
            )
        except KeyError as error:
            raise InputError(f"the model contract has no entry {error}: {RETRAIN}") from error
        except InputError:
            raise
        except (TypeError, IndexError, ValueError) as error:
            raise InputError(f"the model contract cannot be read: {error}: {RETRAIN}") from error


def _words(finding: str) -> tuple[str, str]:
    words = finding.replace("_", " ").lower()
    return f"no {words}", words
