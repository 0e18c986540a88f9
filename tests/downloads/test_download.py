"""``comoto download``: what is chosen, what arrives, and what is refused."""

import shlex
import sys
import types
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_index import (
    FOR_PRESENTATION,
    MR,
    RAW,
    TOMOSYNTHESIS,
    FakeClient,
    index_row,
    tiny_bucket,
    web_server,
    write_index,
)

from comoto import api
from comoto.downloads import fetch, index, web_tables
from comoto.downloads.collections import COLLECTIONS, find_collection
from comoto.downloads.fetch import PARTIAL, Download, check_disk, check_reachable, jobs_of, size_text
from comoto.downloads.index import read_index
from comoto.downloads.run import DownloadRequest, plan_download, run_download
from comoto.downloads.select import LESION, NORMAL, OTHER, select_series
from comoto.downloads.web_tables import WebTable, fetch_tables
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.records import Split
from tiny_releases import VOLUMES, BcsTree

PORT_9 = "http://127.0.0.1:9/"
"""Nobody listens there."""


@pytest.fixture
def commons(tmp_path):
    """The tiny BCS-DBT release in the Commons: (client, index), its tables in the user's folder."""
    bucket, rows = tiny_bucket(tmp_path / "bucket")
    root = tmp_path / "bcs-dbt"
    root.mkdir()
    BcsTree(root).write_tables()
    return FakeClient(bucket), write_index(tmp_path / "index.parquet", rows), root


def download(commons, request=None, **options):
    client, path, root = commons
    plan = plan_download("bcs-dbt", root, request or DownloadRequest(), index=path)
    run_download(plan, client=lambda: client, reach=lambda: None, **options)
    return plan


# ---- what is chosen ---------------------------------------------------------------------------------------


def wanted(**people):
    """Patients with two series each: name -> (split, finding)."""
    return pd.DataFrame(
        [
            {"series_uid": f"{name}.{number}", "person": name, "split": split, "finding": finding}
            for name, (split, finding) in people.items()
            for number in (1, 2)
        ]
    )


def index_of(table):
    columns = [
        "series_uid",
        "study_uid",
        "patient_id",
        "sop_class",
        "num_files",
        "num_bytes",
        "licence",
        "url",
    ]
    rows = [(uid, "1", uid[:-2], "", 1, 10, "CC0", "") for uid in sorted(table["series_uid"])]
    return pd.DataFrame(rows, columns=columns)


def test_all_with_a_lesion_and_no_normals_unless_asked_for():
    table = wanted(a=("train", LESION), b=("train", NORMAL), c=("train", OTHER), d=("test", LESION))
    chosen = select_series(table, index_of(table), DownloadRequest())
    assert list(chosen.series["series_uid"]) == ["a.1", "a.2", "d.1", "d.2"]
    assert list(chosen.series["split"]) == ["train", "train", "test", "test"]
    assert chosen.patients == {
        ("train", LESION): (1, 1),
        ("train", NORMAL): (0, 1),
        ("train", OTHER): (0, 1),
        ("test", LESION): (1, 1),
    }
    assert not chosen.is_whole
    both = select_series(table, index_of(table), DownloadRequest(normals=5, splits=(Split.TRAIN,)))
    assert set(both.series["patient_id"]) == {"a", "b"}


@settings(max_examples=30)
@given(
    lesion=st.integers(1, 8),
    normal=st.integers(1, 8),
    few=st.integers(0, 8),
    more=st.integers(0, 8),
    seed=st.integers(0, 3),
)
def test_more_patients_contain_fewer_and_all_series_of_a_patient_come(lesion, normal, few, more, seed):
    people = {f"s{n}": ("train", LESION) for n in range(lesion)} | {
        f"h{n}": ("train", NORMAL) for n in range(normal)
    }
    table = wanted(**people)
    small, large = sorted((few, more))
    if not large:
        return
    chosen = []
    for number in (small, large):
        request = DownloadRequest(patients=number, normals=number, seed=seed)
        if number:
            found = select_series(table, index_of(table), request).series
            assert found["patient_id"].value_counts().eq(2).all()
            patients = set(found["patient_id"])
            assert sum(name[0] == "s" for name in patients) == min(number, lesion)
            assert sum(name[0] == "h" for name in patients) == min(number, normal)
            chosen.append(patients)
    assert chosen[0] <= chosen[-1]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (DownloadRequest(splits=(Split.VALIDATION,)), r"--split validation: this data set has train, test"),
        (DownloadRequest(normals=1), "no patients that are known to be without a finding"),
        (DownloadRequest(patients=0), "no patient is chosen"),
    ],
)
def test_what_cannot_be_chosen(request_, message):
    table = wanted(a=("train", LESION), d=("test", LESION))
    with pytest.raises((ConfigError, DatasetError), match=message):
        select_series(table, index_of(table), request_)


def test_sets_without_splits_and_series_that_are_not_in_the_index():
    table = wanted(a=("", LESION), b=("", LESION))
    with pytest.raises(ConfigError, match="no official splits; make some with 'comoto split'"):
        select_series(table, index_of(table), DownloadRequest(splits=(Split.TRAIN,)))
    chosen = select_series(table, index_of(table).iloc[:3], DownloadRequest())
    assert chosen.absent == ("b.2",)
    with pytest.raises(
        DatasetError, match=r"none of the 4 series of the tables is in the index, such as a\.1"
    ):
        select_series(table, index_of(table).iloc[:0], DownloadRequest())
    with pytest.raises(ConfigError, match="cannot be negative"):
        DownloadRequest(patients=-1)


def test_bcs_dbt_takes_patients_by_their_worst_label(commons):
    _, path, root = commons
    plan = plan_download("bcs-dbt", root, DownloadRequest(), index=path)
    assert {job.uid for job in plan.jobs} == {
        VOLUMES[2].series_uid,
        VOLUMES[3].series_uid,
        VOLUMES[5].series_uid,
    }
    plan = plan_download(
        "bcs-dbt", root, DownloadRequest(patients=0, normals=1, splits=(Split.TRAIN,)), index=path
    )
    assert {job.uid for job in plan.jobs} == {VOLUMES[0].series_uid, VOLUMES[1].series_uid}
    text = plan.text()
    assert "train: 0 of 1 patients with a lesion" in text
    assert "train: 1 of 1 patients without any finding" in text
    assert "licence: CC BY-NC 4.0" in text
    assert "commercial use: no" in text
    assert "Buda M" in text


def test_ea1141_takes_volumes_and_mammograms_for_presentation(tmp_path):
    rows = [
        index_row("ea1141", "E1", "1.1", 10, sop_class=TOMOSYNTHESIS),
        index_row("ea1141", "E1", "1.2", 10, sop_class=FOR_PRESENTATION),
        index_row("ea1141", "E1", "1.3", 10, sop_class=RAW),
        index_row("ea1141", "E1", "1.4", 10, sop_class=MR),
        index_row("ea1141", "E2", "2.1", 10, sop_class=FOR_PRESENTATION),
        index_row("cmmd", "E1", "3.1", 10),
    ]
    path = write_index(tmp_path / "index.parquet", rows)
    plan = plan_download("ea1141", tmp_path / "e", DownloadRequest(), index=path)
    assert [job.uid for job in plan.jobs] == ["1.1", "1.2"]
    assert plan.missing_bytes == 20
    assert "  1 of 1 patients\n" in plan.text()


def test_cbis_ddsm_follows_its_tables_and_keeps_a_patient_in_one_split(tmp_path):
    """P_1 is in the training of masses and in the test of calcifications, so all of P_1 is test."""
    root = tmp_path / "cbis"
    root.mkdir()
    common = "left or right breast,image view,abnormality id,abnormality type"
    paths = "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    cases = {
        ("mass", "train"): ("P_1", "P_2"),
        ("mass", "test"): ("P_3",),
        ("calc", "train"): ("P_2",),
        ("calc", "test"): ("P_1",),
    }
    series = []
    for (kind, part), patients in cases.items():
        what = "mass shape,mass margins" if kind == "mass" else "calc type,calc distribution"
        density = "breast_density" if kind == "mass" else "breast density"
        lines = [f"patient_id,{density},{common},{what},{paths}"]
        for patient in patients:
            case = f"{kind.title()}-{'Training' if part == 'train' else 'Test'}_{patient}_LEFT_CC"
            uids = [f"1.2.{len(series) + k}" for k in range(2)]
            series += [(uid, case) for uid in uids]
            full, roi = f"{case}/9.9/{uids[0]}/000000.dcm", f"{case}_1/9.9/{uids[1]}/00000"
            lines.append(
                f'{patient},3,LEFT,CC,1,{kind},a,b,4,MALIGNANT,4,{full},"{roi}0.dcm\n","{roi}1.dcm\n"'
            )
        (root / f"{kind}_case_description_{part}_set.csv").write_text("\n".join([*lines, ""]))
    rows = [index_row("cbis_ddsm", case, uid, 10) for uid, case in series]
    path = write_index(tmp_path / "index.parquet", rows)
    plans = {
        split: plan_download("cbis-ddsm", root, DownloadRequest(splits=(split,)), index=path)
        for split in (Split.TRAIN, Split.TEST)
    }
    assert plans[Split.TRAIN].selection.patients == {("train", LESION): (1, 1)}
    assert plans[Split.TEST].selection.patients == {("test", LESION): (2, 2)}
    assert len(plans[Split.TRAIN].jobs) == 4
    assert len(plans[Split.TEST].jobs) == 6
    with pytest.raises(ConfigError, match="--split validation: this data set has train, test"):
        plan_download("cbis-ddsm", root, DownloadRequest(splits=(Split.VALIDATION,)), index=path)


# ---- what arrives -----------------------------------------------------------------------------------------


def test_the_whole_way_to_a_manifest(commons):
    plan = download(commons)
    _, _, root = commons
    first = VOLUMES[2]
    folder = root / "breast_cancer_screening_dbt" / first.patient / first.study_uid / first.series_uid
    assert [path.suffix for path in folder.iterdir()] == [".dcm"]
    assert not (root / PARTIAL).exists()
    record = pd.read_csv(root / "download.csv")
    assert list(record["licence"].unique()) == ["CC BY-NC 4.0"]
    assert list(record["num_bytes"]) == [job.num_bytes for job in plan.jobs]
    assert all((root / path).is_dir() for path in record["path"])
    words = shlex.split(plan.next_step())
    assert words == ["comoto", "index", "bcs-dbt", str(root), "--allow-missing", "--out", "manifests/bcs-dbt"]
    manifest = api.index("bcs-dbt", root, allow_missing=True)
    assert len(manifest) == 3
    assert len(manifest.lesions) == 4


def test_a_whole_split_needs_no_allow_missing(commons):
    plan = download(commons, DownloadRequest(splits=(Split.TEST,)))
    assert "--allow-missing" not in plan.next_step()


def test_nothing_is_downloaded_twice_and_more_patients_add_to_it(commons):
    client, path, root = commons
    download(commons)
    assert [len(call) for call in client.calls] == [3]
    plan = plan_download("bcs-dbt", root, DownloadRequest(), index=path)
    assert plan.missing_bytes == 0
    run_download(plan, client=pytest.fail, reach=pytest.fail)
    download(commons, DownloadRequest(normals=1))
    assert client.calls[1:] == [[VOLUMES[0].series_uid, VOLUMES[1].series_uid]] or client.calls[1:] == [
        [VOLUMES[1].series_uid, VOLUMES[0].series_uid]
    ]


@pytest.mark.parametrize("fault", ["cut", "missing", "raise", "log"])
def test_a_fault_is_asked_for_again(commons, fault):
    client, _, _ = commons
    client.faults[VOLUMES[3].series_uid] = fault
    plan = download(commons)
    assert not plan.missing
    again = 1 if fault in ("cut", "missing") else 3  # after an error nothing of the batch is trusted
    assert [len(call) for call in client.calls] == [3, *[1] * again]


@pytest.mark.parametrize("fault", ["cut", "missing", "raise"])
def test_a_series_that_does_not_arrive_whole_is_not_there(commons, fault):
    client, path, root = commons
    bad = VOLUMES[3].series_uid

    class Faulty(FakeClient):
        def download_from_selection(self, *arguments, **named):
            self.faults[bad] = fault
            super().download_from_selection(*arguments, **named)

    faulty = Faulty(client.bucket)
    with pytest.raises(
        DatasetError,
        match=rf"of 3 series did not arrive whole, such as .*{'reset' if fault == 'raise' else bad}",
    ):
        download((faulty, path, root))
    assert not list(root.glob(f"**/{bad}"))
    assert not (root / "download.csv").exists()
    download(commons)  # goes on with what is missing
    assert (root / "download.csv").exists()
    assert client.calls[0].count(bad) == 1


def test_an_interruption_leaves_nothing_that_looks_finished(commons):
    client, _, root = commons
    client.faults[VOLUMES[3].series_uid] = "stop"
    with pytest.raises(KeyboardInterrupt):
        download(commons)
    inside = {path.parent.name for path in root.glob("breast_cancer_screening_dbt/**/*.dcm")}
    assert inside == set()  # the batch was not checked yet
    plan = download(commons)
    assert not plan.missing
    assert not (root / PARTIAL).exists()


def test_what_another_program_left_is_replaced_but_foreign_files_are_not(commons):
    _, _, root = commons
    folder = (
        root
        / "breast_cancer_screening_dbt"
        / VOLUMES[2].patient
        / VOLUMES[2].study_uid
        / VOLUMES[2].series_uid
    )
    folder.mkdir(parents=True)
    (folder / "half.dcm").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"notes\.txt: is in the way of a series"):
        download(commons)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    download(commons)
    assert not (folder / "half.dcm").exists()


def test_ea1141_leaves_a_table_for_the_csv_reader(tmp_path):
    bucket, rows = tiny_bucket(tmp_path / "bucket")
    rows = [{**row, "collection_id": "ea1141"} for row in rows[:2]]
    path = write_index(tmp_path / "index.parquet", rows)
    plan = plan_download("ea1141", tmp_path / "e", DownloadRequest(), index=path)
    client = FakeClient(bucket)
    run_download(plan, client=lambda: client, reach=lambda: None)
    place = tmp_path / "e"
    assert plan.next_step() == f"comoto index csv {place} --set lesions=none --out manifests/ea1141"
    manifest = api.index("csv", place, lesions="none")
    assert set(manifest.images["patient_id"]) == {"DBT-P00001"}
    assert list(manifest.images["modality"]) == ["tomosynthesis"] * 2


def test_batches_are_small(monkeypatch):
    jobs = [Download(str(n), Path(str(n)), 1, size) for n, size in enumerate([4, 4, 4, 30, 1, 1, 1, 1])]
    monkeypatch.setattr(fetch, "_BATCH_BYTES", 10)
    monkeypatch.setattr(fetch, "_BATCH_SERIES", 3)
    assert [[job.uid for job in batch] for batch in fetch._batches(jobs)] == [
        ["0", "1"],
        ["2"],
        ["3"],
        ["4", "5", "6"],
        ["7"],
    ]


def test_the_disk_is_asked_first(commons, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda place: types.SimpleNamespace(free=200_000_010))
    with pytest.raises(
        DatasetError, match=r"to download, but only 200\.0 MB free on that disk; choose another"
    ):
        download(commons)
    check_disk(commons[2] / "not" / "there", 10)
    with pytest.raises(DatasetError):
        check_disk(commons[2] / "not" / "there", 11)


@pytest.mark.parametrize(
    ("size", "text"),
    [(999, "1.0 kB"), (65_548_150, "65.5 MB"), (1_637_812_393_364, "1.6 TB"), (20 * 10**9, "20.0 GB")],
)
def test_sizes_for_people(size, text):
    assert size_text(size) == text


# ---- the network ------------------------------------------------------------------------------------------

TABLE = WebTable("t.csv", b"PatientID,", 3)
CONTENT = b"PatientID,View\n1,lcc\n2,rcc\n"


def test_tables_are_fetched_once(tmp_path):
    with web_server({"t.csv": b"\xef\xbb\xbf" + CONTENT}) as (base, asked):
        assert fetch_tables([TABLE], tmp_path, base) == []
        assert fetch_tables([TABLE], tmp_path, base) == []
    assert asked == ["t.csv"]
    assert (tmp_path / "t.csv").read_bytes() == b"\xef\xbb\xbf" + CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_revised_table_is_said(tmp_path):
    with web_server({"t.csv": CONTENT + b"3,lcc\n4,lcc\n"}) as (base, _):
        assert fetch_tables([TABLE], tmp_path, base) == ["t.csv has 5 lines, it had 3: a revised release?"]


def test_tables_of_another_release_are_taken_as_they_are(tmp_path):
    (tmp_path / "BCS-DBT labels-train.csv").write_bytes(CONTENT)
    tables = [table for table in COLLECTIONS["bcs-dbt"].tables_of((Split.TRAIN,)) if "labels" in table.name]
    assert fetch_tables(tables, tmp_path, PORT_9) == []
    with pytest.raises(DatasetError, match=r"labels-test-PHASE-2\.csv: cannot be reached"):
        fetch_tables(
            [table for table in COLLECTIONS["bcs-dbt"].tables_of((Split.TEST,)) if "labels" in table.name],
            tmp_path,
            PORT_9,
        )


@pytest.mark.parametrize(
    ("files", "faults", "message"),
    [
        ({}, {}, r"t\.csv: the server answers 404 Not Found; else download t\.csv from the"),
        ({"t.csv": b"<!DOCTYPE html><title>Moved"}, {}, r"not the table, it begins with '<!DOCTYPE html>"),
        ({"t.csv": CONTENT}, {"t.csv": "cut"}, r"bytes arrived; run the command again|cannot be reached"),
    ],
)
def test_what_is_no_table_is_not_kept(tmp_path, files, faults, message):
    with web_server(files, faults) as (base, _), pytest.raises(DatasetError, match=message):
        fetch_tables([TABLE], tmp_path, base)
    assert list(tmp_path.iterdir()) == []


def test_offline_is_said_with_the_remedy(tmp_path):
    with pytest.raises(
        DatasetError,
        match=r"t\.csv: cannot be reached .*offline\? else download t\.csv from .*put it into",
    ):
        fetch_tables([TABLE], tmp_path, PORT_9)
    with pytest.raises(DatasetError, match=r"else download (\S+\.csv, ){8}\S+\.csv from .*put them into"):
        fetch_tables(COLLECTIONS["bcs-dbt"].tables_of(()), tmp_path, PORT_9)
    with pytest.raises(DatasetError, match=r"cannot be reached .*HTTPS_PROXY.*on a machine with a network"):
        check_reachable(PORT_9)
    with web_server({}) as (base, _):
        check_reachable(base)  # any answer will do


def test_the_library_is_kept_quiet_and_its_errors_are_told(commons, capsys):
    import logging

    class Logging(FakeClient):
        def download_from_selection(self, *arguments, **named):
            logger = logging.getLogger("idc_index.index")
            logger.setLevel(logging.INFO)
            logger.info("Disk size needed")
            logger.error("no such\nhost")

    client, path, root = commons
    with pytest.raises(
        DatasetError, match=r"3 of 3 series did not arrive whole, such as .* \(no such host\); the"
    ):
        download((Logging(client.bucket), path, root))
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


# ---- the index --------------------------------------------------------------------------------------------


def test_sizes_are_whole_bytes(tmp_path):
    path = write_index(
        tmp_path / "i.parquet",
        [index_row("cmmd", "a", "2", 65_548_150), index_row("cmmd", "a", "1", 8_786_292)],
    )
    assert list(read_index("cmmd", path)["num_bytes"]) == [8_786_292, 65_548_150]


def test_other_files_and_unknown_collections(tmp_path):
    (tmp_path / "i.parquet").write_text("no index")
    with pytest.raises(DatasetError, match=r"i\.parquet: not an index of the Imaging Data Commons"):
        read_index("cmmd", tmp_path / "i.parquet")
    pd.DataFrame({"collection_id": ["cmmd"]}).to_parquet(tmp_path / "j.parquet")
    with pytest.raises(DatasetError, match="not an index"):
        read_index("cmmd", tmp_path / "j.parquet")
    path = write_index(tmp_path / "k.parquet", [index_row("other", "a", "1", 10)])
    with pytest.raises(DatasetError, match="no collection cmmd"):
        read_index("cmmd", path)
    with pytest.raises(ConfigError, match="'bcs' cannot be downloaded here; did you mean 'bcs-dbt'"):
        find_collection("bcs")


def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(index.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"needs the package idc-index; install it with: pip install idc-index"
    ):
        plan_download("cmmd", tmp_path / "x", DownloadRequest())
    monkeypatch.setitem(sys.modules, "idc_index", None)
    with pytest.raises(ConfigError, match=r"needs the package idc-index .*pip install idc-index"):
        fetch.idc_client()


# ---- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def installed(commons, monkeypatch):
    """The index and the client as if the package were installed; the network is a loopback server."""
    client, path, root = commons
    monkeypatch.setattr(index, "index_path", lambda: path)
    package = types.ModuleType("idc_index")
    package.IDCClient = types.SimpleNamespace(client=lambda: client)
    monkeypatch.setitem(sys.modules, "idc_index", package)
    monkeypatch.setattr(web_tables, "PUBLISHER", PORT_9)
    with web_server({}) as (base, _):
        monkeypatch.setattr(fetch, "BUCKETS", base)
        yield root


def test_the_command(installed, comoto):
    arguments = ["download", "bcs-dbt", "--split", "train", "--normals", 1, "--out", installed]
    code, said, _ = comoto(*arguments, "--dry-run")
    assert code == 0
    assert "to download: 4 series" in said
    assert "complete" not in said
    code, _, error = comoto(*arguments)
    assert code == 2
    assert "nobody is there to confirm the download; add --yes" in error
    assert not (installed / "breast_cancer_screening_dbt").exists()
    code, said, _ = comoto(*arguments, "--yes")
    assert code == 0
    last = said.splitlines()[-1]
    assert last == f"next: comoto index bcs-dbt {installed} --out manifests/bcs-dbt"
    code, said, _ = comoto(*arguments)  # nothing is left to confirm
    assert code == 0
    assert "4 series are there already" in said


def test_a_user_who_says_no(installed, monkeypatch, comoto):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True, readline=lambda: "n\n"))
    monkeypatch.setattr("typer.confirm", lambda text, abort: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, _ = comoto("download", "bcs-dbt", "--out", installed)
    assert code == 1
    assert not (installed / "breast_cancer_screening_dbt").exists()


def test_offline_the_command_stops_before_the_client(installed, monkeypatch, comoto):
    monkeypatch.setattr(fetch, "BUCKETS", PORT_9)
    monkeypatch.setitem(sys.modules, "idc_index", None)
    code, _, error = comoto("download", "bcs-dbt", "--yes", "--out", installed)
    assert code == 2
    assert "are you offline" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bcs-dbt", "--split", "tests"), "unknown split 'tests'; did you mean 'test'?"),
        (("vindr-mammo",), "'vindr-mammo' cannot be downloaded here"),
    ],
)
def test_wrong_calls(installed, arguments, message, comoto):
    code, _, error = comoto("download", *arguments, "--out", installed)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cmmd", "--split", "train"), "no official splits; make some with 'comoto split'"),
        (("ea1141", "--split", "test"), "no official splits"),
        (("cbis-ddsm", "--split", "validation"), "--split validation: this data set has train, test"),
        (("cmmd", "--normals", "3"), "no patients that are known to be without a finding"),
        (("cbis-ddsm", "--normals", "3"), "no patients that are known to be without a finding"),
        (("bcs-dbt", "--patients", "0"), "no patient is chosen"),
    ],
)
def test_what_a_set_does_not_have_is_refused_before_anything_is_asked_for(
    arguments, message, tmp_path, monkeypatch, comoto
):
    """Neither the index, nor the publisher's tables, nor the images are asked for; no folder is made."""

    def asked(*_, **__):
        raise AssertionError("asked for too early")

    monkeypatch.setattr(index, "index_path", asked)
    monkeypatch.setattr(web_tables.urllib.request, "urlopen", asked)
    out = tmp_path / "out"
    code, _, error = comoto("download", *arguments, "--out", out)
    assert (code, out.exists()) == (2, False), error
    assert message in error


def test_places_follow_the_layout_of_the_commons(tmp_path):
    path = write_index(tmp_path / "i.parquet", [index_row("cmmd", "D1-0001", "1.2", 10, study="1.3")])
    (job,) = jobs_of(read_index("cmmd", path), tmp_path, "cmmd")
    assert job.folder == tmp_path / "cmmd" / "D1-0001" / "1.3" / "1.2"
    assert (job.num_files, job.num_bytes) == (1, 10)
