"""One flipped bit anywhere in what was written is noticed."""

import errno
import hashlib
import json
import random

import pytest

from comoto.checksums import (
    Damaged,
    content_sha256,
    read_json_object,
    seal_line,
    sealed_file,
    unseal_bytes,
    unseal_line,
    write_sealed_json,
)
from comoto.errors import DatasetError

CONTENT = {"format": "test-2", "name": "Müller", "shares": [0.1, 1e-9, None], "nested": {"b": 1, "a": "x"}}


def test_the_checksum_is_that_of_the_compact_sorted_text():
    # printf '{"a":1,"b":[2.5,"\\\\u00fc"]}' | sha256sum
    expected = "ef4278f6db0b54819868a6de98e5739bddfc9104e2fb2e66f8140181d83ff09f"
    assert content_sha256({"b": [2.5, "ü"], "a": 1}) == expected


def test_a_sealed_object_comes_back(tmp_path):
    path = tmp_path / "a.json"
    write_sealed_json(path, CONTENT)
    assert read_json_object(path, DatasetError, "make it again") == CONTENT


def test_every_flipped_bit_of_a_sealed_object_is_told(tmp_path):
    path = tmp_path / "a.json"
    write_sealed_json(path, CONTENT)
    good = path.read_bytes()
    unnoticed = []
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            content = read_json_object(path, DatasetError, "make it again", unsealed=("test-1",))
        except DatasetError:
            continue
        if content != CONTENT:  # a blank between two values may become another blank
            unnoticed.append(bit)
    assert unnoticed == []


def test_a_former_format_has_no_checksum_and_the_present_one_must(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"format": "test-1", "x": 1}))
    assert read_json_object(path, DatasetError, "", unsealed=("test-1",)) == {"format": "test-1", "x": 1}
    path.write_text(json.dumps({"format": "test-2", "x": 1}))
    with pytest.raises(DatasetError, match="checksum"):
        read_json_object(path, DatasetError, "", unsealed=("test-1",))


@pytest.mark.parametrize("content", [b"\xff{}", b"[1]", b"{", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_no_json_object_is_one_named_error(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.json: is damaged .*; make it again"):
        read_json_object(path, DatasetError, "make it again")


@pytest.mark.parametrize("text", ["", "{}", '{"a": "ü"}'])
def test_lines(text):
    line = seal_line(text)
    assert unseal_line(line) == text
    for k in range(len(line)):
        with pytest.raises(Damaged):
            unseal_line(line[:k] + chr(ord(line[k]) ^ 1) + line[k + 1 :])
        with pytest.raises(Damaged):
            unseal_line(line[:k])


def test_bytes(tmp_path):
    payload = random.Random(0).randbytes(1000)
    with sealed_file(tmp_path / "state", "state-2") as file:
        for part in (payload[:300], payload[300:]):
            assert file.write(part) == len(part)
    sealed = (tmp_path / "state").read_bytes()
    assert sealed == f"state-2 {hashlib.sha256(payload).hexdigest()}\n".encode() + payload
    assert unseal_bytes("state-2", sealed) == payload
    for k in range(len(sealed)):
        with pytest.raises(Damaged):
            unseal_bytes("state-2", sealed[:k] + bytes([sealed[k] ^ 4]) + sealed[k + 1 :])
    with pytest.raises(Damaged):
        unseal_bytes("state-3", sealed)


def test_a_full_disk_is_told_whatever_the_writer_makes_of_it(tmp_path):
    def save():
        with sealed_file(tmp_path / "state", "state-2") as file:
            file.failure = OSError(errno.ENOSPC, "No space left on device")
            raise RuntimeError("unexpected position")

    with pytest.raises(OSError, match="No space left"):
        save()
