"""TFMA's own dashboard as a page that needs no network."""
