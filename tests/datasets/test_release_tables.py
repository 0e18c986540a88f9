"""Release tables as spreadsheets leave them: read to the same manifest, or refused with lines."""

import pytest

from comoto import api
from comoto.errors import DatasetError


def same(manifest, other):
    return manifest.images.equals(other.images) and manifest.lesions.equals(other.lesions)


def rewritten(path, separator=";", encoding="utf-8", decimal=False):
    """The table as another spreadsheet saves it; cells of these tables hold no quotes but VinDr's lists."""
    import csv
    import io

    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    if decimal:
        rows[1:] = [
            [cell.replace(".", ",") if cell.replace(".", "").isdigit() else cell for cell in row]
            for row in rows[1:]
        ]
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "utf-16")])
def test_bcs_dbt_from_another_spreadsheet(bcs_tree, separator, encoding):
    before = api.index("bcs-dbt", bcs_tree.root)
    for path in bcs_tree.tables.glob("*.csv"):
        rewritten(path, separator, encoding)
    assert same(api.index("bcs-dbt", bcs_tree.root), before)


def test_bcs_dbt_with_what_spreadsheets_add(bcs_tree):
    """An index column, empty rows, whole numbers with a point, paths with the separators of Windows."""
    before = api.index("bcs-dbt", bcs_tree.root)
    boxes = bcs_tree.table("boxes")
    lines = boxes.read_text(encoding="utf-8").splitlines()
    lines = [lines[0], *(f"{line}.0" for line in lines[1:])]
    numbered = [f"{number},{line}" if number else f",{line}" for number, line in enumerate(lines)]
    boxes.write_text("\n".join([*numbered, "", "," * 12, ""]), encoding="utf-8")
    paths = bcs_tree.table("file-paths")
    paths.write_text(paths.read_text(encoding="utf-8").replace("/", "\\"), encoding="utf-8")
    assert same(api.index("bcs-dbt", bcs_tree.root), before)


@pytest.mark.parametrize("layout", ["descriptive", "descriptive-na"])
def test_bcs_dbt_paths_of_windows_in_the_descriptive_layout(bcs_tables, layout):
    bcs_tables.write_volumes(layout)
    before = api.index("bcs-dbt", bcs_tables.root)
    paths = bcs_tables.table("file-paths")
    paths.write_text(paths.read_text(encoding="utf-8").replace("/", "\\"), encoding="utf-8")
    assert same(api.index("bcs-dbt", bcs_tables.root), before)


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5,6,50,7", "for the greater part outside .* in line 3"),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5,6,4,7e9", "for the greater part outside .* in line 3"),
        ("boxes", "rmlo1,0,5,0,0", "RMLO1,0,5,0,0", "View is not like .* in line 2; write it in lower case"),
        ("boxes", "6,8,cancer", "6,8,Cancer", "Class is none of benign, cancer in line 2"),
        (
            "boxes",
            "cancer,1,6",
            "cancer,1,60",
            "VolumeSlices is not the number of frames in the file in line 2",
        ),
        (
            "boxes",
            "P00002,DBT-S00002,rmlo1",
            "P00009,DBT-S00002,rmlo1",
            "the volume has no row in .* in line 2",
        ),
        ("labels", "rmlo1,0,0,0,1", "rmlo1,False,False,False,True", "Normal is no number in line 2"),
    ],
)
def test_bcs_dbt_rows_that_cannot_be(bcs_tree, kind, old, new, message):
    bcs_tree.edit(kind, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("bcs-dbt", bcs_tree.root)


@pytest.mark.parametrize("decimal", [False, True])
@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8"), (";", "utf-16"), ("\t", "utf-8-sig")])
def test_vindr_from_another_spreadsheet(vindr_tree, separator, encoding, decimal):
    """German spreadsheets write 20,5 for 20.5."""
    before = api.index("vindr-mammo", vindr_tree.root)
    for path in (vindr_tree.images, vindr_tree.findings):
        rewritten(path, separator, encoding, decimal)
    assert same(api.index("vindr-mammo", vindr_tree.root), before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "['No Finding']",
            "['No finding']",
            r"no list of known categories in line 3; write them as the release",
        ),
        ("['No Finding']", "No Finding", r"no list of known categories in line 3"),
        ("['Focal Asymmetry']", "['focal asymmetry']", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "['No Finding']", r"'No Finding' has a box in line 5"),
        ("-1.5,0,4,5", "-15,0,4,5", r"for the greater part outside of its image in line 5"),
        ("-1.5,0,4,5", "-1.5,0,4,0.5", r"the box is smaller than a pixel in line 5"),
    ],
)
def test_vindr_rows_that_cannot_be(vindr_tree, old, new, message):
    vindr_tree.edit(vindr_tree.findings, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("vindr-mammo", vindr_tree.root)


def test_vindr_with_height_and_width_exchanged(vindr_tree):
    """The box of b1 at 20.5 to 31.5 and 50 to 62 lies beside 30 x 60, and within 60 x 30."""
    vindr_tree.edit(vindr_tree.images, "b1,R,CC,60,30", "b1,R,CC,30,60")
    message = r"wholly outside of its image in line 2; .*with x and y, or rows and columns, exchanged"
    with pytest.raises(DatasetError, match=message):
        api.index("vindr-mammo", vindr_tree.root)


def test_vindr_with_another_word_for_training(vindr_tree):
    text = vindr_tree.images.read_text(encoding="utf-8")
    vindr_tree.images.write_text(text.replace(",training", ",train"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"split is none of training, test in lines 2, 3, 5"):
        api.index("vindr-mammo", vindr_tree.root)
