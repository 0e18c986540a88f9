"""Several manifests as one, in which one identifier is one person.

Two data sets may both count their patients from 1, so identifiers get the set's name in front
(``cmmd:D1-0001``) unless the user says that they are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from comoto.arguments import named_path
from comoto.errors import DatasetError
from comoto.records import Manifest, Modality, Split

SEPARATOR = ":"
_LISTED = 5
_SAME_PEOPLE = (frozenset({"omidb", "omidb-selection"}), frozenset({"tsynth", "msynth"}))
"""Data sets made of the same people, or phantoms, under the same patient ids."""
_FOLDERS = {Modality.MAMMOGRAM: "mammograms", Modality.TOMOSYNTHESIS: "tomosynthesis"}


@dataclass(frozen=True)
class MergeSource:
    """One manifest that goes into a merger.

    Attributes:
        alias: stands in front of its identifiers; two sources of the same alias share their patients.
        manifest: its images and lesions.
    """

    alias: str
    manifest: Manifest


@dataclass(frozen=True)
class Merged:
    """Several data sets as one.

    Attributes:
        manifest: all images, sorted by ``image_id``. ``split`` is the official one of each patient who has
            one, else ``train``.
        sources: as given, sorted by alias.
        shared_ids: identifiers are those of the sources, equal ones are the same person.
        patients: one row a patient, sorted; columns ``patient_id``, ``sets`` (the aliases of the sets that
            hold the patient, joined by ``+``), ``has_lesion``, ``official`` (the official split, missing
            where no set of the patient has any) and ``validation_given`` (such a set has official
            validation patients).
    """

    manifest: Manifest
    sources: tuple[MergeSource, ...]
    shared_ids: bool
    patients: pd.DataFrame

    def by_modality(self) -> dict[str, Manifest]:
        """Return the manifest's mammograms and volumes apart, as ``mammograms`` and ``tomosynthesis``."""
        modality = self.manifest.images["modality"]
        chosen = {folder: modality == word.value for word, folder in _FOLDERS.items()}
        return {folder: self.manifest.select(rows) for folder, rows in chosen.items() if rows.any()}


def read_sources(texts: Sequence[str], *, shared_ids: bool) -> tuple[MergeSource, ...]:
    """Load manifests named by ``FOLDER`` or ``NAME=FOLDER``.

    Without a name a source is called like its data set. Two sources are only called alike on purpose: by
    the same ``NAME=`` (both hold the same patients), or with ``shared_ids``.

    Raises:
        DatasetError: a folder holds no manifest, a name is empty or holds a ``:``, or two sources are called
            alike by accident.
    """
    sources: list[MergeSource] = []
    unnamed: set[str] = set()
    for text in texts:
        alias, folder = named_path(text)
        manifest = Manifest.load(folder)
        name = manifest.name if alias is None else alias
        if not name or SEPARATOR in name or "+" in name or name.strip() != name:
            raise DatasetError(f"{text}: '{name}' is no name for a data set; use letters, digits and hyphens")
        clash = name in {source.alias for source in sources} and (alias is None or name in unnamed)
        if clash and not shared_ids:
            raise DatasetError(
                f"{text}: two manifests are named {name}; write NAME=FOLDER with two names if they hold "
                "different people, with one name for both if equal patient ids are the same person"
            )
        if alias is None:
            unnamed.add(name)
        sources.append(MergeSource(name, manifest))
    return tuple(sources)


def merge(sources: Sequence[MergeSource], *, shared_ids: bool = False, official: bool = True) -> Merged:
    """Join manifests; the order of the sources changes nothing.

    Args:
        sources: at least one. Of several, ``image_id`` gets the alias in front; ``study_id`` only where two
            sets have one in common, because tables of results are keyed by it.
        shared_ids: equal patient ids are the same person in all sources.
        official: keep the splits that the sets came with.

    Raises:
        DatasetError: nothing to merge, an image has no patient, an image id stands twice within one name,
            two sets that are known to hold the same people have two names, or the official splits of two sets
            contradict each other about a patient.
    """
    if not sources:
        raise DatasetError("no manifest is named; give the folders that 'comoto index' wrote")
    ordered = tuple(sorted(sources, key=_sort_key))
    for source in ordered:
        _refuse_nobody(source)
    if not shared_ids:
        _refuse_two_names_for_the_same_people(ordered)
    aliases = sorted({source.alias for source in ordered})
    several = len(aliases) > 1
    common = _common_studies(ordered) if several else frozenset()
    prefix_patients = several and not shared_ids
    tables = [_renamed(source, several, prefix_patients, common) for source in ordered]
    images = pd.concat([table[0] for table in tables], ignore_index=True)
    lesions = pd.concat([table[1] for table in tables], ignore_index=True)
    repeated = images["image_id"][images["image_id"].duplicated()]
    if len(repeated):
        raise DatasetError(
            f"image ids stand in two manifests of one name: {', '.join(repeated.head(_LISTED))}; they are "
            "the same images, leave one manifest out; or give the manifests two names with NAME=FOLDER"
        )
    if not official:
        images["official_set"] = False
    patients = _patients(images, lesions)
    words = patients.set_index("patient_id")["official"]
    images["split"] = images["patient_id"].map(words).fillna(Split.TRAIN.value)
    images = images.sort_values("image_id", ignore_index=True)
    lesions = lesions.sort_values(list(lesions.columns), ignore_index=True)
    notes = [_told(source, line, several) for source in ordered for line in source.manifest.notes]
    notes.extend(_alike_note(patients))
    dropped = tuple(_told(source, line, several) for source in ordered for line in source.manifest.dropped)
    if common:
        notes.append(
            f"{len(common)} study ids stand in two sets, so all study ids got the set's name in front"
        )
    columns = [name for name in images.columns if name != "alias"]
    manifest = Manifest("+".join(aliases), images[columns], lesions, tuple(notes), dropped)
    return Merged(manifest, ordered, shared_ids, patients)


def _refuse_nobody(source: MergeSource) -> None:
    """Images without a patient may be of one person or of a hundred, in one part or in all of them."""
    images = source.manifest.images
    if images.empty:
        raise DatasetError(f"{source.alias}: the manifest has no images; leave it out")
    blank = images["image_id"][images["patient_id"].fillna("").str.strip() == ""]
    if len(blank):
        raise DatasetError(
            f"{source.alias}: {len(blank)} images have no patient_id, such as {blank.iloc[0]}; whoever they "
            "are, no split can keep them apart from others: give them one in the table and index it again"
        )


def _alike_note(patients: pd.DataFrame) -> list[str]:
    """Name patients whose ids differ in capitals, blanks or the bytes of a letter only."""
    names = patients["patient_id"]
    plain = names.str.normalize("NFKC").str.casefold().str.replace(r"\s", "", regex=True)
    alike = [list(group) for _, group in names.groupby(plain, sort=True) if len(group) > 1]
    if not alike:
        return []
    first = " and ".join(f"'{name}'" for name in alike[0])
    return [
        f"{len(alike)} patient ids are the same but for capitals or blanks, such as {first}: if they are one "
        "person, write them alike in the table and index it again, or the person may train and be tested"
    ]


def _refuse_two_names_for_the_same_people(sources: Sequence[MergeSource]) -> None:
    """A patient would become two, and might then stand in two parts."""
    for people in _SAME_PEOPLE:
        aliases = sorted({source.alias for source in sources if source.manifest.name in people})
        if len(aliases) > 1:
            raise DatasetError(
                f"{' and '.join(aliases)} hold the same people under the same patient ids; give their "
                f"manifests one name, such as {aliases[0]}=FOLDER for each of them"
            )


def _sort_key(source: MergeSource) -> tuple[str, str, str]:
    images = source.manifest.images["image_id"]
    return source.alias, source.manifest.name, str(images.min()) if len(images) else ""


def _told(source: MergeSource, line: str, several: bool) -> str:
    return f"{source.alias}: {line}" if several else line


def _common_studies(sources: Sequence[MergeSource]) -> frozenset[str]:
    """Return the study ids that stand in sets of two names."""
    seen: dict[str, str] = {}
    common: set[str] = set()
    for source in sources:
        for study in set(source.manifest.images["study_id"]):
            if seen.setdefault(study, source.alias) != source.alias:
                common.add(study)
    return frozenset(common)


def _renamed(
    source: MergeSource, prefix_images: bool, prefix_patients: bool, common: frozenset[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return images (with the column ``alias``) and lesions under their merged names."""
    images, lesions = source.manifest.images.copy(), source.manifest.lesions.copy()
    front = source.alias + SEPARATOR
    if prefix_images:
        images["image_id"] = front + images["image_id"]
        lesions["image_id"] = front + lesions["image_id"]
    if prefix_patients:
        images["patient_id"] = front + images["patient_id"]
    if common:
        images["study_id"] = front + images["study_id"]
    return images.assign(alias=source.alias, official_set=_has_official(source.manifest)), lesions


def _has_official(manifest: Manifest) -> bool:
    """Say whether the data set came with splits: everything is ``train`` where it did not."""
    return bool((manifest.images["split"] != Split.TRAIN.value).any())


def _patients(images: pd.DataFrame, lesions: pd.DataFrame) -> pd.DataFrame:
    """Return the table ``Merged.patients``; takes the helper column ``official_set`` away again."""
    official_set = images.pop("official_set").astype(bool)
    with_lesion = images["image_id"].isin(lesions["image_id"])
    by_patient = images.groupby("patient_id", sort=True)
    table = pd.DataFrame(
        {
            "sets": by_patient["alias"].agg(lambda names: "+".join(sorted(set(names)))),
            "has_lesion": with_lesion.groupby(images["patient_id"]).any(),
        }
    )
    words = images[official_set].groupby("patient_id")["split"]
    torn = words.nunique()
    torn = torn[torn > 1]
    if len(torn):
        raise DatasetError(
            f"the official splits of two data sets disagree about {len(torn)} patients of the same id, such "
            f"as {', '.join(torn.index[:_LISTED])}; if they are different people leave --shared-ids out or "
            "give the manifests two names, else leave one set out or draw anew with --ignore-official"
        )
    table["official"] = words.first().reindex(table.index)
    given = images[official_set & (images["split"] == Split.VALIDATION.value)]["alias"].unique()
    has_validation = images["alias"].isin(given) & official_set
    table["validation_given"] = has_validation.groupby(images["patient_id"]).any()
    return table.reset_index().rename(columns={"index": "patient_id"})
