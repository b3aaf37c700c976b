"""Put uv's wheel into a folder, with nothing but Python: for machines without venv, pip and curl.

usage: python3 tools/fetch_uv.py FOLDER
"""

import hashlib
import io
import json
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin

INDEX = "https://pypi.org/pypi/uv/json"
PLATFORMS = {
    ("Linux", "x86_64"): "manylinux_2_17_x86_64",
    ("Darwin", "arm64"): "macosx_11_0_arm64",
}


def main() -> None:
    """Download, verify, unpack."""
    folder = Path(sys.argv[1])
    wanted = PLATFORMS[platform.system(), platform.machine()]
    with urllib.request.urlopen(INDEX, timeout=30) as answer:
        files = json.load(answer)["urls"]
    wheel = next(file for file in files if wanted in file["filename"])
    with urllib.request.urlopen(urljoin(INDEX, wheel["url"]), timeout=120) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        sys.exit(f"{wheel['filename']} is not what the index says")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        program = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target = folder / "bin" / "uv"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(program))
    target.chmod(0o755)


if __name__ == "__main__":
    main()
