"""Text tables as spreadsheets write them: one reader for every command."""

import pytest

from comoto.csv_rows import CsvForm, decimal_mark, read_csv_rows, read_numbers
from comoto.datasets.reading.tables import read_table
from comoto.errors import DatasetError

SETTABLE = CsvForm(settable=True)

CELLS = [["a", "1"], ["b;c,d", "2"]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_encodings_and_line_ends(tmp_path, mark, encoding, end):
    path = tmp_path / "t.csv"
    lines = [mark.join(["näme", "number"]), "", mark.join(["a", "1"]), mark.join(['"b;c,d"', " 2 "]), ""]
    path.write_bytes(end.join(lines).encode(encoding))
    table = read_table(path)
    assert list(table.rows.columns) == ["näme", "number"]
    assert table.rows.to_numpy().tolist() == CELLS
    assert list(table.rows.index) == [3, 4]


def test_excels_first_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\na;b\n1,5;2\n")
    table = read_table(path)
    assert table.rows.to_numpy().tolist() == [["1,5", "2"]]
    assert list(table.rows.index) == [3]


def test_empty_cells_beyond_the_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,,\n1,2,,\n")
    assert read_table(path).rows.to_numpy().tolist() == [["1", "2"]]


def test_a_quoted_cell_over_two_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"1\n1",2\n3,4\n')
    assert list(read_table(path).rows.index) == [3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "is an Excel workbook; save the sheet as 'CSV UTF-8'"),
        ("a,b\nMüller,1\n".encode("cp1252"), "line 2 is not UTF-8 text.*encoding=cp1252"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header has 2 .separated by comma.; quote"),
        (b'a,b\n"1,2\n', "is not CSV"),
        (b"a,a\n1,2\n", "the column a stands twice"),
        (b"a\0b\n", "is no text"),
        (b"a," + b"x" * (1 << 25) + b"\n1,2\n", "is not CSV .field larger than"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_table(path, form=SETTABLE)


def test_a_long_name_of_a_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"path;{'x' * 200_000}\n1;2\n")
    assert read_table(path).rows["path"].tolist() == ["1"]


def test_named_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a\nMüller\n".encode("cp1252"))
    assert read_table(path, form=CsvForm("cp1252")).rows["a"].tolist() == ["Müller"]


@pytest.mark.parametrize(
    ("cells", "decimal", "expected"),
    [
        (["1.5", "2", ""], None, [1.5, 2, None]),
        (["1,5", "2", "NA"], None, [1.5, 2, None]),
        (["1,500", "2,25"], None, [1.5, 2.25]),
        (["1,500", "-2,250"], "comma", [1.5, -2.25]),
        (["1e2", "+3"], None, [100, 3]),
    ],
)
def test_numbers(tmp_path, cells, decimal, expected):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["n;x", *(f"{cell};x" for cell in cells)]))
    values = read_table(path, form=SETTABLE).optional_numbers("n", decimal)
    assert [None if value != value else value for value in values] == expected


@pytest.mark.parametrize(
    ("cells", "decimal", "message"),
    [
        (["1,500", "2"], None, "may mark decimals or thousands in line 2.*--set decimal=comma"),
        (["1,5"], "point", "n is no number in line 2"),
        (["1.500,25"], None, "n is no number in line 2"),
        (["x"], None, "n is no number in line 2"),
    ],
)
def test_numbers_refused(tmp_path, cells, decimal, message):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["n;x", *(f"{cell};x" for cell in cells)]))
    with pytest.raises(DatasetError, match=message):
        read_table(path, form=SETTABLE).optional_numbers("n", decimal)


def test_hints_name_options_only_where_there_are_some(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\nMüller,1\n".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"CSV UTF-8'$"):
        read_csv_rows(path)
    path.write_text("a,b\n1,2,3\n")
    with pytest.raises(DatasetError, match=r"quote cells that hold the separator$"):
        read_csv_rows(path)


def test_a_fallback_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a\nMüller\n".encode("cp1252"))
    content = read_csv_rows(path, CsvForm(fallback="cp1252"))
    assert (content.rows, content.encoding) == ([["Müller"]], "cp1252")
    path.write_text("a\nMüller\n", encoding="utf-8")
    assert read_csv_rows(path, CsvForm(fallback="cp1252")).encoding == "utf-8-sig"


def test_a_line_above_the_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# made by detector 1.2\na,b\n1,2\n")
    with pytest.raises(
        DatasetError, match=r"first line must name the columns, and it is '# made by detector 1.2'"
    ):
        read_csv_rows(path)


def test_a_comma_in_exponents_and_before_thousandths():
    found = read_numbers(["1,5e-05", "-0,123", "2"])
    assert found.values.tolist() == [1.5e-05, -0.123, 2.0]
    assert decimal_mark(["1,500", "12,345"]) is None
    assert decimal_mark(["1,500", "0,345"]) == "comma"


@pytest.mark.parametrize("cell", ["1_000", "13%", "1.500,25", "1,234,567", "0x10", "zwei"])
def test_no_number(cell):
    assert read_numbers([cell]).bad.tolist() == [True]
