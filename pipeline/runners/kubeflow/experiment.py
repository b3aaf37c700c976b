"""An experiment as text that travels with each pod, from which its pipeline can be made again.

It is no parameter and no argument of a node: those are part of Kubeflow's cache key, and a change
of any setting would then invalidate every node.
"""

from __future__ import annotations

import dataclasses
import json

from components.errors import InputError
from pipeline.config import Config
from pipeline.pipeline import Places

ANNOTATION = "cxr/experiment"
ENV = "CXR_EXPERIMENT"


def experiment_text(config: Config, places: Places) -> str:
    """The experiment and its places as JSON.

    What Kubernetes was told of (`kubeflow`) is left out: a running pod cannot change it.
    """
    # What was left out of the experiment stays so: some settings ask whether others were given.
    settings = config.model_dump(mode="json", exclude_unset=True, exclude={"kubeflow"})
    # In their order, which is that of the datasets.
    return json.dumps({"config": settings, "places": dataclasses.asdict(places)})


def read_experiment(text: str) -> tuple[Config, Places]:
    """What `experiment_text` wrote.

    Raises:
      InputError: if the pod was given nothing.
    """
    if not text:
        raise InputError(
            "this pod has no experiment: submit the whole file that cxr compile wrote, its second "
            "document too"
        )
    read = json.loads(text)
    return Config.model_validate(read["config"]), Places(**read["places"])


def check_root(text: str, root: str) -> None:
    """Refuse to push from a run that has another root: its models would be served beside others.

    Args:
      text: as compiled, see `experiment_text`.
      root: of the run.

    Raises:
      InputError: naming both, and the parameter to give.
    """
    _, places = read_experiment(text)
    if root != places.pipeline_root:
        raise InputError(
            f"the pipeline root of this run is {root}, and the models of {places.pipeline_root} "
            f"are pushed to {places.serving}: say where those of this run go, by its parameter "
            "serving_root"
        )
