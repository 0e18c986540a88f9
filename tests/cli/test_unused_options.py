"""What a call has no use for is named in one line; what contradicts another option is refused."""

import errno

import pytest

BCS = ("--manifest", "volumes")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("evaluate", "--seed", 3, "--interval", "bca"),
            "--seed and --interval: not used without --bootstrap",
        ),
        (("evaluate", "--rule", "center", "--iou", 0.3), "--iou: not used with --rule center"),
        (("evaluate", "--log-axis"), "--log-axis: not used without --figure"),
        (
            ("prepare", "--out", "s", *BCS, "--step", 2, "--reach", 0.2),
            "--step and --reach: not used without",
        ),
        (("prepare", "--out", "s", "--verify", *BCS), "--manifest: not used with --verify"),
        (
            ("draw", "--out", "o.png", "--min-score", 0.5, "no.dcm"),
            "--min-score: not used without --predictions",
        ),
        (("split", "--verify", "split.json", "--seed", 3), "--seed: not used with --verify"),
        (
            ("split", "a", "--out", "o", "--folds", 2, "--validation", 0.2),
            "--validation: not used with --folds",
        ),
        (
            ("config", "keys", "full", "--markdown", "--role", "teacher", "--set", "seed=1"),
            "preset and --role and --set: not used with --markdown",
        ),
    ],
)
def test_it_is_said(comoto, tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    assert line in comoto(*words).err


def test_defaults_are_not_named(comoto, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "not used" not in comoto("evaluate").err


def test_a_setting_given_by_option_and_set(refused, tmp_path):
    words = ("predict", "--model", "m", "--out", tmp_path / "o.csv", "a.dcm", "--aggregation", "nms_3d")
    refused((*words, "--set", "aggregation.kind=tracks"), "by --aggregation and by --set; give it once")


def test_a_run_folder_and_a_misspelt_preset(refused, tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    words = ("train", "teacher", "--mammograms", "s", "--out", tmp_path / "r", "--preset")
    refused((*words, tmp_path), "did you mean", "config.yaml", "the settings of that run")
    refused((*words, "Full"), "did you mean 'full'?")


def test_a_data_set_in_capitals(refused, tmp_path):
    refused(("index", "BCS-DBT", tmp_path, "--out", tmp_path / "m"), "did you mean 'bcs-dbt'?")


def test_no_folder_for_temporary_files(refused, tmp_path, monkeypatch):
    def none_of_them(*_args, **_options):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("comoto.api.predict", none_of_them)
    words = ("predict", "--model", "m", "--out", tmp_path / "o.csv", "a.dcm")
    refused(words, "no folder for temporary files can be written to; TMPDIR")


def test_a_teacher_resumed_as_a_student(comoto, teacher_run):
    """It was answered with a missing --tomosynthesis."""
    answer = comoto("train", "student", "--resume", "--out", teacher_run)
    assert answer.code == 2
    assert "is a run of 'comoto train teacher'" in answer.error
