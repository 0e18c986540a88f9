"""Data sets that are often asked for and have no reader, with the reason and the way round it."""

from __future__ import annotations

from comoto.datasets.about import DatasetAbout

_ENTRIES = (
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

WITHOUT_READER: dict[str, DatasetAbout] = {about.name: about for about in _ENTRIES}
