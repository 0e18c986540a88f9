"""From manifests to a folder that a whole experiment starts from: ``split.json`` and split manifests.

::

    split.json        who trains, validates and is tested (file.py)
    summary.txt       the same in numbers
    mammograms/       manifest of the mammograms, its splits are those of the file
    tomosynthesis/    manifest of the volumes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from comoto.errors import DatasetError
from comoto.output_files import atomic_folder, refuse_folder, write_text
from comoto.records import Manifest, Split
from comoto.splits.assign import SplitPlan, assign_fractions, assign_parts, unused_shares
from comoto.splits.duplicates import find_duplicates, refuse_duplicates
from comoto.splits.file import SplitFile, about_source, build_split, load_split_file, save_split_file
from comoto.splits.merge import Merged, MergeSource, merge

SPLIT_FILE, SUMMARY = "split.json", "summary.txt"
_FEW = 10
_OWN = {SPLIT_FILE, SUMMARY, "mammograms", "tomosynthesis"}


@dataclass(frozen=True)
class SplitOptions:
    """How sets are joined and searched.

    Attributes:
        shared_ids: equal patient ids are the same person in all manifests.
        fractions: shares of the training patients to choose as well.
        headers: look for the same image twice in the headers, not only by path.
        drop_duplicates: keep the first copy of an image of one patient, instead of refusing.
    """

    shared_ids: bool = False
    fractions: tuple[float, ...] = ()
    headers: bool = True
    drop_duplicates: bool = False


@dataclass(frozen=True)
class MadeSplit:
    """A split and the images that it is of; ``merged.manifest`` carries the parts as its splits.

    Attributes:
        split: who trains, validates and is tested.
        merged: the sets.
        unused: which shares were named and decide nothing.
    """

    split: SplitFile
    merged: Merged
    unused: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"MadeSplit({self.split.sizes()})"

    def summary(self) -> str:
        """Return numbers of each part and what was noted, as text."""
        split = self.split
        lines = [
            f"split of {', '.join(f'{about.alias} ({about.patients} patients)' for about in split.sets)}"
        ]
        table = self.merged.patients.assign(
            part=self.merged.patients["patient_id"].map(
                {name: part.value for part, names in split.patients.items() for name in names}
            )
        )
        lines.append(f"{'set':<28}{'part':<12}{'patients':>9}{'with lesion':>13}")
        for sets, rows in table.groupby("sets", sort=True):
            for part in Split:
                own = rows[rows["part"] == part.value]
                if len(own):
                    lines.append(
                        f"{sets!s:<28}{part.value:<12}{len(own):>9}{int(own['has_lesion'].sum()):>13}"
                    )
        lines.extend(_cautions(table))
        lines.extend(f"note: {words}" for words in self.unused)
        for key, names in split.fractions.items():
            lines.append(f"fraction {key}: {len(names)} of {len(split.part(Split.TRAIN))} training patients")
        lines.append(f"hash: {split.hash}")
        lines.append(self.merged.manifest.summary())
        return "\n".join(lines)


def _cautions(patients: pd.DataFrame) -> list[str]:
    """Say which parts hold nobody, or hardly anybody with a lesion."""
    lines = []
    for part in Split:
        own = patients[patients["part"] == part.value]
        positive = int(own["has_lesion"].sum())
        if own.empty and part is not Split.TEST:
            lines.append(f"note: nobody is in {part.value}")
        elif len(own) and positive < _FEW:
            some = "1 patient has" if positive == 1 else f"{positive} patients have"
            lines.append(f"note: {some} a lesion in {part.value}: metrics of so few are chance")
    return lines


def join(sources: Sequence[MergeSource], plan: SplitPlan, options: SplitOptions) -> Merged:
    """Merge manifests and look for images that are in them twice; slow where headers are read."""
    merged = merge(sources, shared_ids=options.shared_ids, official=plan.official)
    pairs, notes = find_duplicates(merged.manifest, headers=options.headers)
    kept = refuse_duplicates(merged.manifest, pairs, drop=options.drop_duplicates)
    noted = Manifest(kept.name, kept.images, kept.lesions, (*kept.notes, *notes), kept.dropped)
    return replace(merged, manifest=noted)


def assign(merged: Merged, plan: SplitPlan, fractions: Sequence[float] = ()) -> MadeSplit:
    """Draw the parts of merged sets; several folds share one merger."""
    parts = assign_parts(merged.patients, plan)
    split = build_split(merged, plan, parts, assign_fractions(merged.patients, parts, fractions, plan.seed))
    unused = tuple(unused_shares(merged.patients, plan))
    return MadeSplit(split, replace(merged, manifest=split.apply(merged.manifest)), unused)


def verify_split(path: Path, sources: Sequence[MergeSource], *, headers: bool = True) -> SplitFile:
    """Check that a split file is whole and that manifests fit it.

    Args:
        path: of the file, or of its folder.
        sources: the manifests as they are now; empty checks the file alone.
        headers: as in ``SplitOptions``.

    Raises:
        DatasetError: the file is damaged or holds a patient twice, a manifest has other content than when
            the split was made, or the same image is in two parts.
    """
    split = load_split_file(path)
    if not sources:
        return split
    known = {about.content: about for about in split.sets}
    for source in sources:
        about = about_source(source)
        if about.content not in known:
            raise DatasetError(
                f"{source.alias}: not the manifest that {path} was made of (now {about.images} images "
                f"of {about.patients} patients); make the split again, or use the manifest of then"
            )
        split.apply(source.manifest)
    merged = merge(sources, shared_ids=split.shared_ids, official=split.plan.official)
    refuse_duplicates(merged.manifest, find_duplicates(merged.manifest, headers=headers)[0])
    return split


def save_split_folder(made: MadeSplit, folder: Path, overwrite: bool = False) -> None:
    """Write the folder; it appears when it is complete.

    Raises:
        OutputExistsError: see ``refuse_split_folder``.
    """
    refuse_split_folder(folder, overwrite)
    with atomic_folder(folder, overwrite) as part:
        for name, manifest in made.merged.by_modality().items():
            manifest.save(part / name)
        write_text(part / SUMMARY, made.summary() + "\n")
        save_split_file(part / SPLIT_FILE, made.split)


def refuse_split_folder(folder: Path, overwrite: bool) -> None:
    """Check before the work starts that a split may be written into the folder.

    Raises:
        OutputExistsError: the folder is not empty, holds more than a split, or cannot be made.
    """
    refuse_folder(folder, "a split", _OWN, overwrite)
