"""A split as a file that people can read, with a hash of its content that is checked when it is read.

::

    {"format": "comoto-split-2", "hash": "...", "name": "bcs-dbt+cmmd", "shared_ids": false,
     "plan": {"seed": 0, ...}, "sets": [{"alias": "cmmd", "name": "cmmd", "patients": 1775, ...}, ...],
     "patients": {"train": [...], "validation": [...], "test": [...]}, "fractions": {"0.1": [...]}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ValidationError, field_validator, model_validator

from comoto.config.explain import first_problem
from comoto.config.models import StrictModel
from comoto.errors import ConfigError, DatasetError
from comoto.output_files import write_json
from comoto.records import Manifest, Split
from comoto.splits.assign import SplitPlan
from comoto.splits.merge import SEPARATOR, Merged, MergeSource

_LISTED = 3
_MADE_AGAIN = "make it again with 'comoto split'"


class SetAbout(StrictModel):
    """One manifest of a split.

    Attributes:
        alias: what stands in front of its patient ids, if anything does.
        name: the manifest's own name.
        content: SHA-256 of its images, patients and lesions; not of their paths, which differ per machine.
    """

    alias: str
    name: str
    patients: int
    images: int
    lesions: int
    content: str


class SplitFile(StrictModel):
    """Who trains, validates and is tested.

    Attributes:
        name: of the merged manifest.
        shared_ids: equal ids of two sets are the same person.
        plan: how the patients were dealt out.
        sets: what was split.
        patients: sorted patients by part.
        fractions: sorted training patients by fraction, such as ``0.1``; smaller ones lie in larger ones.
    """

    format: Literal["comoto-split-2"] = "comoto-split-2"
    hash: str
    name: str
    shared_ids: bool
    plan: SplitPlan
    sets: tuple[SetAbout, ...]
    patients: dict[Split, tuple[str, ...]]
    fractions: dict[str, tuple[str, ...]]

    @field_validator("fractions")
    @classmethod
    def _numbers(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key in value:
            if not 0 < float(key) <= 1:
                raise ValueError(f"a fraction of {key}")
        return value

    @model_validator(mode="after")
    def _one_part_each(self) -> SplitFile:
        """Refuse a patient in two parts, and fractions that are not nested in the training patients."""
        seen: dict[str, Split] = {}
        for part, names in self.patients.items():
            for name in names:
                if name in seen:
                    raise ValueError(f"patient {name} stands in {seen[name].value} and in {part.value}")
                seen[name] = part
        inner: set[str] = set()
        for key in sorted(self.fractions, key=float):
            names = self.fractions[key]
            if not inner <= set(names) <= set(self.patients.get(Split.TRAIN, ())):
                raise ValueError(
                    f"fraction {key} is not nested: in the training patients, around smaller ones"
                )
            inner = set(names)
        if self.hash != content_hash(self.model_dump(mode="json")):
            raise ValueError("the content does not fit its hash: it was changed by hand, or damaged")
        return self

    def __repr__(self) -> str:
        fractions = f"; fractions {', '.join(self.fractions)}" if self.fractions else ""
        return f"SplitFile({self.sizes()}{fractions})"

    def sizes(self) -> str:
        """Return the name and the number of patients of each part, as text."""
        parts = ", ".join(f"{part.value} {len(names)}" for part, names in self.patients.items())
        return f"{self.name}: patients {parts}"

    def part(self, part: Split) -> frozenset[str]:
        """Return the patients of a part, by the file's names."""
        return frozenset(self.patients.get(part, ()))

    def fraction(self, fraction: float) -> frozenset[str]:
        """Return the training patients of a fraction.

        Raises:
            ConfigError: the file holds no such fraction.
        """
        if fraction == 1:
            return self.part(Split.TRAIN)
        for key, names in self.fractions.items():
            if abs(float(key) - fraction) < 1e-9:
                return frozenset(names)
        known = ", ".join(self.fractions) or "none"
        raise ConfigError(
            f"the split file holds no fraction {fraction:g} (it has: {known}); "
            "make it again with 'comoto split --fractions'"
        )

    def names_in(self, manifest: Manifest) -> pd.Series[str]:
        """Return the file's name of the patient of each image, aligned with ``manifest.images``.

        The manifest may be the merged one that ``comoto split`` wrote, or one of those that it was given.

        Raises:
            DatasetError: the manifest is another one, or has patients that the file does not know.
        """
        own = manifest.images["patient_id"]
        if manifest.name == self.name:
            return self._known(manifest, own)
        aliases = [about.alias for about in self.sets if about.name == manifest.name]
        if len(set(aliases)) != 1:
            held = ", ".join(sorted({about.name for about in self.sets}))
            why = "holds several sets of that name" if aliases else f"is of {held}"
            raise DatasetError(
                f"{manifest.name}: the split file {why}; use the manifests that 'comoto split' wrote, "
                "or a file that was made of this data set"
            )
        prefixed = not self.shared_ids and len({about.alias for about in self.sets}) > 1
        return self._known(manifest, aliases[0] + SEPARATOR + own if prefixed else own)

    def _known(self, manifest: Manifest, names: pd.Series[str]) -> pd.Series[str]:
        everybody = frozenset[str]().union(*self.patients.values())
        unknown = sorted(set(names) - everybody)
        if unknown:
            raise DatasetError(
                f"{manifest.name}: {len(unknown)} patients are in no part of the split file, such as "
                f"{', '.join(unknown[:_LISTED])}; {_MADE_AGAIN} of the manifests that are there now"
            )
        return names

    def apply(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the file's parts as its splits.

        Raises:
            DatasetError: as ``names_in``.
        """
        by_name = {name: part.value for part, names in self.patients.items() for name in names}
        images = manifest.images.assign(split=self.names_in(manifest).map(by_name))
        return Manifest(manifest.name, images, manifest.lesions, manifest.notes, manifest.dropped)


def content_hash(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a split file's content without its own ``hash``.

    Not ``content_sha256``, which spaces the text otherwise: users have split files with this one.
    """
    rest = {key: value for key, value in content.items() if key != "hash"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def build_split(
    merged: Merged, plan: SplitPlan, parts: Mapping[str, Split], fractions: Mapping[float, list[str]]
) -> SplitFile:
    """Return the file of a draw."""
    content: dict[str, Any] = {
        "format": "comoto-split-2",
        "name": merged.manifest.name,
        "shared_ids": merged.shared_ids,
        "plan": plan.model_dump(mode="json"),
        "sets": [about_source(source).model_dump(mode="json") for source in merged.sources],
        "patients": {
            part.value: sorted(name for name, own in parts.items() if own is part) for part in Split
        },
        "fractions": {str(fraction): names for fraction, names in fractions.items()},
    }
    return SplitFile.model_validate({**content, "hash": content_hash(content)})


def about_source(source: MergeSource) -> SetAbout:
    """Describe a manifest; neither the order of its rows nor where its files lie matters."""
    images, lesions = source.manifest.images, source.manifest.lesions
    columns = [name for name in images.columns if name != "path"]
    digest = hashlib.sha256()
    for table in (images[columns], lesions):
        lines = sorted(table.to_csv(index=False, header=False, lineterminator="\n").splitlines())
        digest.update("\n".join([*lines, ""]).encode())
    return SetAbout(
        alias=source.alias,
        name=source.manifest.name,
        patients=int(images["patient_id"].nunique()),
        images=len(images),
        lesions=len(lesions),
        content=digest.hexdigest(),
    )


def save_split_file(path: Path, split: SplitFile) -> None:
    """Write a split as JSON; the file appears when it is complete."""
    write_json(path, split.model_dump(mode="json"))


def load_split_file(path: Path) -> SplitFile:
    """Read what ``save_split_file`` wrote, and check it.

    Raises:
        DatasetError: the file is missing or is something else, its content does not fit its hash, or a
            patient stands in two parts.
    """
    path = Path(path)
    if path.is_dir() and (path / "split.json").is_file():
        path = path / "split.json"
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; name the split.json that 'comoto split' wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SplitFile.model_validate(content)
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_problem(error)}; {_MADE_AGAIN}") from error
    except (ValueError, RecursionError) as error:  # not JSON, or not text
        raise DatasetError(f"{path}: not a split file ({error}); {_MADE_AGAIN}") from error
