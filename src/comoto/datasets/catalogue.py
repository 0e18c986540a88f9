"""What every data set is, who may use it and how to cite it: the source of ``comoto datasets``.

A data set that is read says so itself, in the class of its reader's options.
"""

from __future__ import annotations

from comoto.components import DATASETS, allow_typed, resolve, suggest
from comoto.datasets.reading.options import DatasetAbout, Option, ReaderOptions, describe_options, options_of
from comoto.errors import ConfigError

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
        raise ConfigError(f"data set '{name}' does not say what it reads, its reader has no ReaderOptions")
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
