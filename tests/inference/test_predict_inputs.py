"""What is predicted on: every image once, under a key of its own, and nothing bad stops the rest."""

import json
import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from comoto import api
from comoto.errors import ConfigError, DatasetError, DicomError
from comoto.inference.inputs import PredictionRequest, collect_jobs
from comoto.records import Manifest, Modality, Split
from dicom_files import breast, write_dicom
from rights import without_rights
from tiny_exams import Exams

UID = "1.2.826.0.1.3680043.8.498."


def volume(path: Path, **tags: object) -> Path:
    given = {"PatientID": "P", "StudyInstanceUID": f"{UID}1", "ViewPosition": "CC", **tags}
    return write_dicom(path, breast(3, 80, 48, "L"), "raw", tags=given)


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three volumes of one view and one study."""
    return [volume(tmp_path / "in" / f"vol{k}.dcm") for k in range(3)]


class TestKeys:
    def rows(self, run: Path, inputs: list[Path], out: Path) -> list[tuple[str, str]]:
        files = api.predict(run, inputs, out, overrides=["aggregation.min_score=0"])
        table = pd.read_csv(files.table, keep_default_na=False)
        sidecar = json.loads(files.sidecar.read_text())
        keys = [(one["study_id"], one["view_key"]) for one in sidecar["images"]]
        assert set(zip(table["StudyUID"], table["View"], strict=True)) == set(keys)
        assert len(set(keys)) == len(keys) == len(inputs)
        return keys

    def test_a_repeated_view_is_numbered(self, student_run, three, tmp_path, told):
        keys = self.rows(student_run, three, tmp_path / "p.csv")
        assert keys == [(f"{UID}1", view) for view in ("lcc", "lcc1", "lcc2")]
        assert "2 volumes repeat a view of their study" in told.readouterr().err

    def test_blank_studies_are_told_apart_by_their_path(self, student_run, tmp_path, told):
        some = [volume(tmp_path / f"{k}.dcm", PatientID="", StudyInstanceUID="") for k in range(2)]
        keys = self.rows(student_run, some, tmp_path / "p.csv")
        assert keys == [(str(path), "lcc") for path in some]
        assert f"2 images do not say their study (first {some[0]})" in told.readouterr().err

    def test_the_twin_carries_uids(self, exams, student_run, teacher_run, tmp_path):
        path = volume(tmp_path / "a.dcm", SeriesInstanceUID=f"{UID}7", SOPInstanceUID=f"{UID}8")
        files = api.predict(student_run, [path], tmp_path / "p.csv")
        (image,) = json.loads(files.sidecar.read_text())["images"]
        assert (image["series_instance_uid"], image["sop_instance_uid"]) == (f"{UID}7", f"{UID}8")
        mammogram = next(exams.vindr_mammo.rglob("*.dicom"))
        files = api.predict(teacher_run, [mammogram], tmp_path / "m.csv", mammograms=True)
        (image,) = json.loads(files.sidecar.read_text())["images"]
        assert {"series_instance_uid", "sop_instance_uid"} <= set(image)


class TestKnown:
    """A folder of BCS-DBT is predicted on under the names that its labels have."""

    def test_tables_in_the_folder(self, exams: Exams, student_run, tmp_path, told):
        bare = api.predict(student_run, [exams.bcs_dbt], tmp_path / "bare.csv")
        said = told.readouterr().err
        assert f"{exams.bcs_dbt}: names the studies of {bare.num_images} of {bare.num_images} images" in said
        api.predict(student_run, [exams.manifests / "bcs-dbt"], tmp_path / "known.csv")
        tables = [pd.read_csv(tmp_path / name) for name in ("bare.csv", "known.csv")]
        order = list(tables[0].columns)
        one, other = (table.sort_values(order, ignore_index=True) for table in tables)
        pd.testing.assert_frame_equal(one, other)
        assert one["StudyUID"].str.startswith("DBT-S").all()

    def test_a_manifest_for_files(self, exams: Exams, tmp_path, told):
        manifest = exams.manifests / "bcs-dbt"
        records = list(Manifest.load(manifest).records())
        bare = volume(tmp_path / "other.dcm")
        jobs = collect_jobs(PredictionRequest([records[0].path, bare], manifest=manifest)).jobs
        assert jobs[records[0].image_id].keys == (
            records[0].patient_id,
            records[0].study_id,
            records[0].view_key,
        )
        assert jobs[str(bare)].keys is None
        assert "1 of 2 images are not in" in told.readouterr().err
        with pytest.raises(DatasetError, match="knows none of the images, by their paths"):
            collect_jobs(PredictionRequest([bare], manifest=manifest))

    def test_a_split_of_files(self, exams: Exams):
        manifest = exams.manifests / "bcs-dbt"
        folder = exams.bcs_dbt / "Breast-Cancer-Screening-DBT"
        found = collect_jobs(PredictionRequest([folder], Split.TEST, manifest=manifest))
        wanted = Manifest.load(manifest).split(Split.TEST).images["image_id"]
        assert set(found.jobs) == set(wanted)
        assert "not in split test" in next(iter(found.left_out.values()))

    def test_a_manifest_on_the_way(self, exams: Exams, tmp_path, told):
        """Files beside their manifest, in a sub-folder of what is searched; a strange one is named."""
        path = volume(tmp_path / "in" / "set" / "v.dcm")
        images = Manifest.load(exams.manifests / "bcs-dbt").images.iloc[:1]
        images = images.assign(path=str(path), image_id="mine", study_id="S", num_slices=3)
        lesions = Manifest.load(exams.manifests / "bcs-dbt").lesions.iloc[:0]
        Manifest("made", images, lesions).save(tmp_path / "in" / "set")
        (tmp_path / "in" / "set" / "deep").mkdir()
        (tmp_path / "in" / "set" / "deep" / "manifest.json").write_text('{"name": "web page"}')
        other = volume(tmp_path / "in" / "set" / "deep" / "w.dcm")
        jobs = collect_jobs(PredictionRequest([tmp_path / "in"])).jobs
        assert jobs["mine"].path == path
        assert jobs[str(other)].keys is None
        assert "not used for the keys of images" in told.readouterr().err


class TestOnce:
    def test_a_file_named_twice(self, three):
        assert list(collect_jobs(PredictionRequest([three[0], three[0]])).jobs) == [str(three[0])]

    def test_a_folder_and_a_file_in_it_and_links(self, three, tmp_path):
        (three[0].parent / "ring").symlink_to(".")
        (tmp_path / "link.dcm").symlink_to(three[1])
        found = collect_jobs(PredictionRequest([three[0].parent, three[0], tmp_path / "link.dcm"]))
        assert (list(found.jobs), found.failed) == ([str(path) for path in three], {})

    def test_a_manifest_and_its_files(self, exams: Exams):
        manifest = exams.manifests / "bcs-dbt"
        record = next(Manifest.load(manifest).records())
        for inputs in ([record.path, manifest], [manifest, record.path]):
            assert str(record.path) not in collect_jobs(PredictionRequest(inputs)).jobs

    def test_one_id_for_two_files(self, exams: Exams, tmp_path):
        manifest = Manifest.load(exams.manifests / "bcs-dbt")
        path = volume(tmp_path / "v.dcm")
        manifest.select(manifest.images.index == 0).save(tmp_path / "a")
        other = Manifest(
            manifest.name, manifest.images.iloc[:1].assign(path=str(path)), manifest.lesions.iloc[:0]
        )
        other.save(tmp_path / "b")
        with pytest.raises(DatasetError, match=r"image_id '.*' stands for .* and for .*v\.dcm"):
            collect_jobs(PredictionRequest([tmp_path / "a", tmp_path / "b"]))

    def test_names_in_another_form_of_unicode(self, tmp_path):
        name = "Müller Größe"
        path = volume(tmp_path / unicodedata.normalize("NFD", name) / "v.dcm")
        typed = tmp_path / unicodedata.normalize("NFC", name) / "v.dcm"
        assert list(collect_jobs(PredictionRequest([typed])).jobs) == [str(path)]


BAD = {
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("hello"),
    "deflated": lambda path: write_dicom(path, breast(3, 80, 48, "L"), "deflated"),
    "missing": lambda path: None,
    "link": lambda path: path.symlink_to("nowhere"),
    "folder": lambda path: path.mkdir(),
    "header": lambda path: path.write_bytes(volume(path).read_bytes()[:700]),
}


class TestBad:
    """Named as a list, by a pattern or in a folder: the good one is done, the bad one is named."""

    @pytest.mark.parametrize("kind", BAD)
    @pytest.mark.parametrize("way", ["list", "folder"])
    def test_one_bad_among_good(self, student_run, tmp_path, kind, way):
        good, bad = volume(tmp_path / "in" / "good.dcm"), tmp_path / "in" / "bad.dcm"
        BAD[kind](bad)
        if kind == "missing" and way == "folder":
            pytest.skip("a folder misses nothing")
        inputs = [bad, good] if way == "list" else [tmp_path / "in"]
        files = api.predict(student_run, inputs, tmp_path / "p.csv")
        assert files.num_images == 1
        assert [path for path, _ in files.failed] == [str(bad)]
        assert json.loads(files.sidecar.read_text())["failed"][0]["path"] == str(bad)

    def test_locked(self, tmp_path):
        good, bad = volume(tmp_path / "in" / "good.dcm"), volume(tmp_path / "in" / "bad.dcm")
        folder = tmp_path / "in" / "locked"
        folder.mkdir()
        inside = volume(folder / "x.dcm")
        with without_rights(bad, folder):
            one = collect_jobs(PredictionRequest([tmp_path / "in"]))
            other = collect_jobs(PredictionRequest([good, bad, inside]))
        assert list(one.jobs) == list(other.jobs) == [str(good)]
        assert set(one.failed) == {str(bad), str(folder)}
        assert set(other.failed) == {str(bad), str(inside)}

    def test_a_locked_file_that_is_named_does_not_stop_the_command(
        self, student_run, tmp_path, monkeypatch, comoto
    ):
        """The command line must not ask for rights before the inputs are looked at one by one."""
        good, bad = volume(tmp_path / "good.dcm"), tmp_path / "bad.dcm"
        bad.write_bytes(b"")
        monkeypatch.setattr("os.access", lambda path, mode: Path(path) != bad)
        answer = comoto("predict", bad, good, "--model", student_run, "--out", tmp_path / "p.csv")
        assert answer.code == 2
        assert f"1 of 2 images could not be read and are left out: {bad}" in answer.error
        assert len(json.loads((tmp_path / "p.json").read_text())["images"]) == 1

    def test_slices_that_make_no_volume(self, student_run, tmp_path):
        """They are a volume that nobody looked at, and no mere company: code 2, with the reason."""
        for k in range(6):
            tags = {"SeriesInstanceUID": f"{UID}{k + 1}", "InstanceNumber": k + 1}
            tags |= {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3", "StudyInstanceUID": f"{UID}9"}
            write_dicom(tmp_path / "in" / "s" / f"{k}.dcm", breast(1, 80, 48, "L"), "raw", tags=tags)
        good = volume(tmp_path / "in" / "good.dcm")
        files = api.predict(student_run, [tmp_path / "in"], tmp_path / "p.csv")
        ((path, reason),) = files.failed
        assert (files.num_images, path) == (1, str(tmp_path / "in" / "s"))
        assert "each of a series of its own" in reason
        good.unlink()
        with pytest.raises(DicomError, match="each of a series of its own"):
            api.predict(student_run, [tmp_path / "in"], tmp_path / "q.csv")

    def test_all_bad(self, student_run, tmp_path):
        with pytest.raises(DatasetError, match=r"none of 2 images .*the first: .*a\.dcm: no such file"):
            api.predict(student_run, [tmp_path / "a.dcm", tmp_path / "b.dcm"], tmp_path / "p.csv")
        assert list(tmp_path.iterdir()) == []

    def test_names_that_are_no_text(self, exams, teacher_run, tmp_path):
        name = b"latin1-\xfc.dcm".decode("utf-8", "surrogateescape")
        path = tmp_path / name
        path.write_bytes(next(exams.vindr_mammo.rglob("*.dicom")).read_bytes())
        files = api.predict(teacher_run, [path], tmp_path / "m.csv", mammograms=True)
        assert pd.read_csv(files.table)["image_id"].str.endswith("latin1-\\udcfc.dcm").all()


class TestModality:
    def test_a_teacher_on_volumes(self, exams, teacher_run, tmp_path):
        path = next(exams.bcs_dbt.rglob("*.dcm"))
        with pytest.raises(ConfigError, match="is a teacher, trained on mammograms; add --mammograms"):
            api.predict(teacher_run, [path], tmp_path / "p.csv")
        assert api.predict(teacher_run, [path], tmp_path / "p.csv", other_modality=True).num_images == 1

    def test_a_student_on_mammograms(self, exams, student_run, tmp_path):
        path = next(exams.vindr_mammo.rglob("*.dicom"))
        with pytest.raises(ConfigError, match="is a student, trained on tomosynthesis slices"):
            api.predict(student_run, [path], tmp_path / "p.csv", mammograms=True)

    def test_the_switch_is_missing(self, exams, student_run, tmp_path):
        with pytest.raises(DatasetError, match="nothing to predict on here; mammograms are there: add --mam"):
            api.predict(student_run, [exams.vindr_mammo], tmp_path / "p.csv")
        with pytest.raises(DicomError, match="for a mammogram add --mammograms, with a teacher"):
            api.predict(student_run, [next(exams.vindr_mammo.rglob("*.dicom"))], tmp_path / "p.csv")

    def test_the_switch_is_wrong(self, exams):
        found = collect_jobs(PredictionRequest([exams.bcs_dbt], modality=Modality.MAMMOGRAM))
        assert "volumes are there: leave out --mammograms" in str(found.failed[str(exams.bcs_dbt)])


def test_a_file_of_the_run_names_the_run(student_run):
    by_file = api.load_model(student_run / "model.safetensors")
    assert by_file.sha256 == api.load_model(student_run).sha256
    assert by_file.name == student_run.name
