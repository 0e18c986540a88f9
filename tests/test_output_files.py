"""Files appear whole or not at all, and what exists is not overwritten by accident."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of
from comoto.output_files import (
    atomic_folder,
    atomic_write,
    new_part,
    no_link,
    output_file,
    output_files,
    refuse_existing,
    refuse_inputs_as_outputs,
    refuse_working_folder,
    sweep_parts,
    write_json,
    write_text,
)


def test_a_file_and_its_folders_appear(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"figure": 1})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"figure": 1}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failing_writer_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "result.json"
    write_text(path, "old")

    def fail():
        with atomic_write(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


def test_what_a_killed_command_left_of_a_file_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / "froc.png"
    left, other = tmp_path / ".froc.png.0123abcd.part", tmp_path / ".roc.png.0123abcd.part"
    for each in (left, other):
        each.touch()
    output_files({path: b"picture"}, overwrite=False)
    assert sorted(each.name for each in tmp_path.iterdir()) == [other.name, path.name]
    assert path.read_bytes() == b"picture"


def test_one_command_writes_a_file_at_a_time(tmp_path):
    path = tmp_path / "froc.png"
    with (
        output_file(path, overwrite=False),
        pytest.raises(OutputExistsError, match=r"froc\.png: another command is writing it; wait"),
        output_file(path, overwrite=True),
    ):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["froc.png"]


def test_a_file_that_came_meanwhile_stays(tmp_path):
    path = tmp_path / "froc.png"
    path.write_bytes(b"of another command")
    with pytest.raises(OutputExistsError, match=r"froc\.png: exists"):
        output_files({path: b"picture"}, overwrite=False)
    assert path.read_bytes() == b"of another command"
    output_files({path: b"picture"}, overwrite=True)
    assert path.read_bytes() == b"picture"


def test_of_several_files_all_are_written_or_none(tmp_path):
    contents = {tmp_path / "result.json": b"{}", tmp_path / "froc.png": b"picture"}
    (tmp_path / "froc.png").touch()
    with pytest.raises(OutputExistsError, match=r"froc\.png: exists"):
        output_files(contents, overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["froc.png"]


def test_a_full_disk_is_told_with_the_path(tmp_path):
    """A limit on the size of files stands for the full disk: the write itself fails."""
    program = (
        "import resource, sys; from pathlib import Path; from comoto.output_files import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_text(Path(sys.argv[1]), 'x' * 5000)\n"
        "except OSError as error: print(error.filename)"
    )
    path = tmp_path / "large.txt"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_file_of_a_folder_without_its_hidden_name(tmp_path):
    def fill_the_disk(part):
        write_text(part / "small.txt", "small")
        raise OSError(errno.ENOSPC, "No space left on device", str(part / "large.txt"))

    def read_another(_):
        (tmp_path / "of another folder").read_text()

    for work, name in ((fill_the_disk, "run/large.txt"), (read_another, "of another folder")):
        with pytest.raises(OSError) as caught, atomic_folder(tmp_path / "run", False) as part:  # noqa: PT011
            work(part)
        assert caught.value.filename == str(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_existing_outputs_are_refused(tmp_path):
    path = tmp_path / "result.json"
    refuse_existing([path], overwrite=False)
    path.write_text("old")
    refuse_existing([path], overwrite=True)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        refuse_existing([path], overwrite=False)
    with pytest.raises(OutputExistsError, match="is a folder"):
        refuse_existing([tmp_path], overwrite=True)


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.json.part", ".a.json.part"):
        (out / name).symlink_to(victim)
    write_text(out / "a.json", "content")
    assert victim.read_text() == "mine"
    assert (out / "a.json").read_text() == "content"


def test_an_unfinished_file_is_new_hidden_and_another_each_time(tmp_path):
    one, other = new_part(tmp_path / "a.json"), new_part(tmp_path / "a.json")
    assert one != other
    assert one.name.startswith(".a.json.")
    assert one.read_bytes() == b""
    (tmp_path / "old.json.part").write_text("of a former version")
    (tmp_path / "kept.json").write_text("kept")
    sweep_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path):
    path = tmp_path / ("ü" * 125 + ".json")
    write_text(path, "content")
    assert path.read_text() == "content"


def test_nothing_is_appended_through_a_planted_link(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "worker.log").symlink_to("victim")
    with (
        pytest.raises(OSError, match=r"worker\.log"),
        open(tmp_path / "worker.log", "a", opener=no_link),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "kept"
    with open(tmp_path / "other.log", "a", opener=no_link) as file:
        file.write("line")
    assert (tmp_path / "other.log").read_text() == "line"


def test_a_folder_appears_when_it_is_whole(tmp_path):
    folder = tmp_path / "above" / "folder"
    with atomic_folder(folder, overwrite=False) as part:
        (part / "a").write_text("new")
        assert not folder.exists()
    assert (folder / "a").read_text() == "new"
    with pytest.raises(RuntimeError), atomic_folder(folder, overwrite=True) as part:
        raise RuntimeError((part / "a").write_text("half"))
    assert (folder / "a").read_text() == "new"
    with atomic_folder(folder, overwrite=True) as part:
        (part / "b").write_text("newer")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_folder_that_was_filled_in_the_meantime_is_kept(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputExistsError, match="not empty"), atomic_folder(folder, overwrite=False):
        (folder / "of another command").touch()
    assert [path.name for path in folder.iterdir()] == ["of another command"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_commands_do_not_write_one_folder_at_once(tmp_path, overwrite):
    folder = tmp_path / "folder"
    with atomic_folder(folder, overwrite) as part:
        (part / "of the first").touch()
        with (
            pytest.raises(OutputExistsError, match="another command is writing it"),
            atomic_folder(folder, overwrite),
        ):
            pass
    assert [path.name for path in folder.iterdir()] == ["of the first"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_to_a_folder_stays_and_its_folder_is_filled(tmp_path):
    (tmp_path / "large disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to("large disk")
    for content, overwrite in (("a", False), ("b", True)):
        with atomic_folder(link, overwrite) as part:
            (part / content).touch()
        assert link.is_symlink()
        assert [path.name for path in (tmp_path / "large disk").iterdir()] == [content]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large disk", "link"]


@pytest.mark.parametrize("name", [".", "..", "../here"])
def test_the_working_folder_is_not_taken_away(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputExistsError, match="name a folder in it"):
        refuse_working_folder(Path(name))
    refuse_working_folder(Path("new"))


@pytest.mark.parametrize("letter", ["a", "é", "界", "\U0001f600"])
def test_long_names_have_room_for_what_stands_around_them(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    with atomic_write(tmp_path / name) as part:
        part.write_text("x")
    with hold(lock_of(tmp_path / name), "busy"):
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert lock_of(tmp_path / name) != lock_of(tmp_path / name[:-1])


def test_outputs_that_are_inputs_or_each_other(tmp_path):
    table = tmp_path / "found.csv"
    table.write_text("content")
    link = tmp_path / "link.csv"
    link.symlink_to(table)
    for out in (table, link, tmp_path / "nowhere" / ".." / "found.csv"):
        with pytest.raises(OutputExistsError, match="is one of the inputs and would be lost"):
            refuse_inputs_as_outputs([tmp_path / "new.json", out], [None, table])
    with pytest.raises(OutputExistsError, match="is named for two outputs"):
        refuse_inputs_as_outputs([tmp_path / "new", None, tmp_path / "new"], [table])
    with pytest.raises(OutputExistsError, match="holds an input"):
        refuse_inputs_as_outputs([tmp_path], [table])
    refuse_inputs_as_outputs([tmp_path / "new.json", tmp_path / "new.png"], [table, link])


def test_long_lists_of_numbers_stand_on_one_line(tmp_path: Path) -> None:
    content = {
        "rows": [{"profile": [0.5, 0.25], "box": [1, 2], "text": 'a "profile": [\n1,\n2]'}],
        "profile": [],
    }
    write_json(tmp_path / "a.json", content, ("profile",))
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == content
    assert '"profile": [0.5, 0.25],' in text
    assert '"box": [\n' in text
