"""A small backbone and a Transform graph, as the Trainer's tests make them."""

from tests.components.trainer.conftest import small_registry, transform_graph

__all__ = ["small_registry", "transform_graph"]
