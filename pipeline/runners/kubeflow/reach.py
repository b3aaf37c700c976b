"""Whether pods can open the places that a pipeline reads and writes.

They would find out late: the Pusher is the last of all nodes.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from components.errors import InputError
from components.object_store import ENDPOINT_VARIABLES, scheme_of
from pipeline.pipeline import Places
from pipeline.runners.kubeflow.settings import KubeflowSettings


def check_reach(places: Places, settings: KubeflowSettings) -> None:
    """Refuse data or a serving folder that no pod could open.

    Raises:
      InputError: naming the place, and the setting that would open it.
    """
    for dataset, folder in places.sources.items():
        _check(f"--data-root: {dataset} in {folder}", folder, settings)
    _check(f"--serving-root: {places.serving}", places.serving, settings)


def _check(said: str, place: str, settings: KubeflowSettings) -> None:
    scheme = scheme_of(place)
    if scheme == "minio" and not _variables(settings) & set(ENDPOINT_VARIABLES):
        raise InputError(
            f"{said}: pods do not know where MinIO is: give --set "
            "kubeflow.env.AWS_ENDPOINT_URL=URL, such as http://minio-service.kubeflow:9000 (or "
            "AWS_ENDPOINT_URL in kubeflow.secrets), and its keys in kubeflow.secrets"
        )
    if not scheme and not any(_holds(volume.path, place) for volume in settings.volumes):
        raise InputError(
            f"{said}: no pod has this folder: mount the claim that holds it, as in --set "
            f"'kubeflow.volumes=[{{claim: CLAIM, path: /data}}]', or give a place in object storage"
        )


def _variables(settings: KubeflowSettings) -> set[str]:
    return {*settings.env, *(name for secret in settings.secrets for name in secret.env)}


def _holds(mounted: str, place: str) -> bool:
    return PurePosixPath(place).is_relative_to(mounted)
