"""A digest of a node's source, for its cache key.

TFX caches a node by its inputs and settings. The code of a custom node, and of functions given
as dotted paths, is not among them, so an edited node would be answered from a stale cache.
Pass the digest as a setting, and the edit counts.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable
from pathlib import Path

_COMPONENTS = Path(__file__).parent
_TEMPLATE = ".jinja"
_SOURCES = {".py", _TEMPLATE, ".pbtxt", ".js"}
# What every node's page is made with.
_PAGE = ("page.py", "page.html.jinja")


def source_digest(*nodes: str, packages: Iterable[str] = (), modules: Iterable[str] = ()) -> str:
    """A hexadecimal digest of the source files of some nodes, not of folders within them.

    To a node with a template belongs what all pages share.

    Args:
      *nodes: folders in `components/`, such as `trainer` or `example_gen/images`; name the node's
        own and those it calls.
      packages: libraries on whose versions the node's output depends.
      modules: modules outside `components/` that it calls, such as `serving.dicom_image`; of a
        package, such as `serving.server`, all modules count, also those of packages within it.

    Raises:
      ValueError: if there is no such folder, or no such module.
    """
    digest = hashlib.sha256()
    for package in packages:
        digest.update(f"{package}=={importlib.metadata.version(package)}\n".encode())
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ValueError(f"no module {module!r}")
        source = Path(spec.origin)
        is_package = spec.submodule_search_locations is not None
        for file in sorted(source.parent.rglob("*.py")) if is_package else [source]:
            digest.update(f"{module}:{file.relative_to(source.parent).as_posix()}".encode())
            digest.update(file.read_bytes())
    for node in sorted(nodes):
        folder = _COMPONENTS / node
        if not folder.is_dir():
            raise ValueError(f"no node {node!r} in {_COMPONENTS}")
        files = sorted(p for p in folder.iterdir() if p.suffix in _SOURCES)
        if any(file.suffix == _TEMPLATE for file in files):
            files += [_COMPONENTS / name for name in _PAGE]
        for file in files:
            digest.update(file.relative_to(_COMPONENTS).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
