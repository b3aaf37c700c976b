"""The page on which to try a served model in a browser."""

from serving.page.routes import Models, add_routes

__all__ = ["Models", "add_routes"]
