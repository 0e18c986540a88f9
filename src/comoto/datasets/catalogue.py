"""What every data set is, who may use it and how to cite it: the source of ``comoto datasets``.

One entry per name of ``comoto.components.DATASETS``, in alphabetical order; a test compares the two.
"""

from __future__ import annotations

from comoto.components import DATASETS, allow_typed, resolve, suggest
from comoto.datasets.reading.about import DatasetAbout
from comoto.datasets.reading.options import Option, ReaderOptions, describe_options, options_of
from comoto.errors import ConfigError

_ENTRIES = (
    DatasetAbout(
        name="csv",
        title="Your own images: a table of images and a table of lesions",
        modalities=("any",),
        boxes="as your table says",
        access="yours",
        licence="yours",
        commercial_use="unknown",
        citation="Cite what your images come from.",
        url="docs/datasets/csv.md",
        options={
            "tables": "folder of images.csv and lesions.csv, or one file with both; ROOT if not given",
            "images": "name of the images table, if it is not images.csv",
            "lesions": "name of the lesions table, or none",
            "columns": "names of your columns, ours:yours,ours:yours",
            "words": "meanings of your words for side, view, modality and split, yours:ours,yours:ours",
            "first-slice": "0 (default) or 1: number of the first slice in your table",
            "corners": "edges (default) or pixels: x2 and y2 are edges, or the last pixels inside",
            "boxes": "pixels (default), normalised (shares of the image) or yolo (shares about a centre)",
            "boxes-on": "stored (default), corrected or mirrored: the pictures that boxes were drawn on",
            "headers": "needed (default), all or never: which image headers are opened",
            "encoding": "of the tables, such as cp1252; UTF-8 and UTF-16 are recognised",
            "delimiter": "comma, semicolon, tab or pipe; recognised if not given",
            "decimal": "comma or point; recognised if not given",
            "exclude": "images that are left out wholly, by image_id or path, with commas",
        },
        notes="The column path is enough; what the tables do not say is read from the image headers.",
    ),
    DatasetAbout(
        name="omidb",
        title="OMI-DB, the OPTIMAM Mammography Image Database (Royal Surrey, UK)",
        modalities=("FFDM",),
        boxes="radiologists' marks, number not published",
        access="by application",
        licence="agreement",
        commercial_use="by agreement",
        citation=(
            "Halling-Brown MD, Warren LM, Ward D, Lewis E, Mackenzie A, Wallis MG, Wilkinson LS, "
            "Given-Wilson RM, McAvinchey R, Young KC. OPTIMAM Mammography Image Database: A Large-Scale "
            "Resource of Mammography Images and Clinical Data. Radiology: Artificial Intelligence 3(1), "
            "e200103, 2021. doi.org/10.1148/ryai.2020200103"
        ),
        url="https://medphys.royalsurrey.nhs.uk/omidb/",
        options={
            "tables": "folder of the clients' JSON, if it is not ROOT or ROOT/data",
            "data": "the same",
            "images": "folder of the DICOM files, if it is not ROOT or ROOT/images",
            "nbss": "folder of the NBSS files, if it is not that of the data",
            "categories": "what a mark must show to count as a lesion, such as mass; repeatable",
            "conspicuity": "comma separated: obvious, subtle, very_subtle, occult, not_recalled, unknown",
            "status": "comma separated states of the breast in which marks count, such as malignant",
            "intent": "presentation (default), processing or both",
            "dbt": "report (default) or include: tomosynthesis objects",
            "label": "side (default), episode or client: whose state becomes the label",
            "unmarked": "drop (default) or keep: images without a mark of a breast with cancer",
            "sites": "comma separated; clients of other sites are left out",
            "clients": "comma separated; others are left out",
        },
        notes=(
            "More than 2,000,000 images of 172,282 women (May 2020). No official splits. For-presentation "
            "mammograms are taken unless asked otherwise."
        ),
    ),
    DatasetAbout(
        name="omidb-selection",
        title="A flat extract of OMI-DB: omidb-selection.csv and PNG files cropped to the breast",
        modalities=("FFDM",),
        boxes="one a row",
        access="not distributed; needs OMI-DB",
        licence="that of OMI-DB",
        commercial_use="by agreement",
        citation="As OMI-DB.",
        url="https://medphys.royalsurrey.nhs.uk/omidb/",
        options={
            "tables": "the table or its folder, if it is not ROOT",
            "scanner": "comma separated, such as HOLOGIC; all if not given",
            "types": "comma separated of M, MU, B, N; all if not given",
        },
        notes="8-bit PNG of one side each, right breasts mirrored by the extract's authors. No splits.",
    ),
)

_WITHOUT_READER = (
    DatasetAbout(
        name="csaw-cc",
        title="CSAW-CC, mammography screening cohort (Karolinska)",
        modalities=("FFDM",),
        boxes="none in its table",
        access="on request: Swedish National Data Service",
        licence="not stated",
        commercial_use="no",
        citation=(
            "Dembrower K, Lindholm P, Strand F. A multi-million mammography image dataset and "
            "population-based screening cohort for the training and evaluation of deep neural networks: the "
            "cohort of screen-aged women (CSAW). Journal of Digital Imaging 33, 408-413, 2020"
        ),
        url="https://kib.ki.se/node/2734",
        notes="98,788 images of 8,723 women, 873 with cancer.",
        not_read=(
            "its table has no boxes. Where you have boxes, 'comoto index csv' reads it; see "
            "docs/datasets/csaw-cc.md"
        ),
    ),
    DatasetAbout(
        name="embed",
        title="EMBED open data (Emory)",
        modalities=("FFDM", "C-view"),
        boxes="circles, not tied to findings",
        access="registration and agreement",
        licence="EMBED research use agreement",
        commercial_use="no",
        citation=(
            "Jeong JJ, Vey BL, Bhimireddy A, et al. The EMory BrEast imaging Dataset (EMBED): a racially "
            "diverse, granular dataset of 3.4 million screening and diagnostic mammographic images. "
            "Radiology: Artificial Intelligence 5(1), e220047, 2023"
        ),
        url="https://github.com/Emory-HITI/EMBED_Open_Data",
        notes=(
            "480,323 images of 22,382 patients. Models trained on it may not be made public without "
            "permission. No tomosynthesis volumes in the open release."
        ),
        not_read=(
            "its circles are not tied to findings. docs/datasets/embed.md has a script that makes tables for "
            "'comoto index csv'"
        ),
    ),
)

_FORMER = {about.name: about for about in _ENTRIES}
WITHOUT_READER: dict[str, DatasetAbout] = {about.name: about for about in _WITHOUT_READER}
"""Data sets that are often asked for and have no reader, with the reason and the way round it."""


def about_dataset(name: str) -> DatasetAbout:
    """Return what a data set is.

    Args:
        name: of ``comoto.components.DATASETS`` or ``WITHOUT_READER``, or ``module:function`` of outside code.

    Raises:
        ConfigError: there is none of that name, or outside code that does not say what it reads.
    """
    if name in WITHOUT_READER:
        return WITHOUT_READER[name]
    if name not in DATASETS and ":" not in name:
        raise ConfigError(f"unknown data set '{name}'; {suggest(name, [*DATASETS, *WITHOUT_READER])}")
    kind = _options(name)
    if kind is None:
        return _FORMER[name]
    return kind.about


def catalogue() -> dict[str, DatasetAbout]:
    """Return every data set that is read, in alphabetical order."""
    return {name: about_dataset(name) for name in sorted(DATASETS)}


def options_of_dataset(name: str) -> list[Option]:
    """Return the options of a data set's reader; none for one that takes them as plain arguments."""
    kind = _options(name)
    return list(describe_options(kind)) if kind else []


def _options(name: str) -> type[ReaderOptions] | None:
    allow_typed({"kind": name})
    return options_of(resolve("data set", name))
