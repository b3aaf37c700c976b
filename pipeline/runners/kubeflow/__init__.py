"""Kubeflow Pipelines v2: an experiment's pipeline compiled, adapted, submitted.

TFX compiles it; `adaptations` makes of TFX's intermediate representation one that open-source
Kubeflow runs; `platform` says what only Kubernetes understands. Vertex takes TFX's as it is.
"""
