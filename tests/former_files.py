"""What a former version wrote (tests/golden/old), as a working folder."""

import json
import lzma
import shutil
import tarfile
from pathlib import Path

from comoto.checksums import write_sealed_json
from comoto.records import Manifest

OLD = Path(__file__).parent / "golden" / "old"
MADE_AT = "/data/comoto-old"
"""Where it was written; absolute paths in manifests and studies begin so."""


def unpack(folder: Path) -> None:
    """Write a folder for each version."""
    with lzma.open(OLD / "files.tar.xz") as archive, tarfile.open(fileobj=archive) as files:
        files.extractall(folder, filter="data")


def moved(source: Path, to: Path) -> Path:
    """Copy a version's folder, and change the place in its files, as if the code had run there."""
    shutil.copytree(source, to)
    for path in (*to.rglob("study.yaml"), *to.rglob("config.yaml"), *to.rglob("spec.json")):
        text = path.read_text(encoding="utf-8").replace(MADE_AT, str(to))
        path.write_text(text, encoding="utf-8")
        if '"checksum"' in text:
            content = {key: value for key, value in json.loads(text).items() if key != "checksum"}
            write_sealed_json(path, content)
    for folder in (to / "manifests").iterdir():
        manifest = Manifest.load(folder)
        paths = manifest.images["path"].str.replace(MADE_AT, str(to), regex=False)
        Manifest(manifest.name, manifest.images.assign(path=paths), manifest.lesions).save(folder)
    return to
