# SPDX-License-Identifier: BSD-2-Clause
"""scripts/abi and scripts/flat: what they make of the table and of init, and what they refuse."""

import os
import re
import struct
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ABI, FLAT = os.path.join(TOP, "scripts/abi"), os.path.join(TOP, "scripts/flat")
CALL = '[[call]]\nnumber = {number}\nname = "{name}"\ndoc = "It does it."\ncost = "constant"\n'


@pytest.fixture
def abi(tmp_path):
    """abi(table text, words...): runs the generator on a table of its own."""
    def run(table, *words):
        path = tmp_path / "calls.toml"
        path.write_text(table)
        return subprocess.run([ABI, *words], env={**os.environ, "ABI_TABLE": str(path)},
                              capture_output=True, text=True, timeout=60, check=False)
    return run


def one(extra="", number=0, name="it"):
    return CALL.format(number=number, name=name) + extra


def test_planned_call_has_a_stub_and_nothing_else(abi, tmp_path):
    table = one() + one("planned = true\n", 1, "later")
    assert abi(table, str(tmp_path / "gen")).returncode == 0
    made = {name: (tmp_path / "gen" / name).read_text() for name in os.listdir(tmp_path / "gen")}
    assert "CALL_LATER = 1" in made["call_nr.h"] and "sys_later(" in made["sys_calls.h"]
    assert "later" not in made["call_args.h"] + made["call_table.c"]
    assert "call_it(struct thread *self, struct call_result *r)" in made["call_args.h"]
    assert abi(table, "--doc", str(tmp_path / "api.md")).returncode == 0
    text = (tmp_path / "api.md").read_text()
    assert "### 0 it" in text and "later" not in text


def test_checks_appear_in_the_order_of_the_arguments(abi, tmp_path):
    table = one('args = [{ name = "event", type = "handle", object = "event", rights = "WRITE" },\n'
                '{ name = "bits", type = "word", align = "8" },\n'
                '{ name = "range", type = "range", align = "page" }]\n')
    assert abi(table, str(tmp_path)).returncode == 0
    text = (tmp_path / "call_table.c").read_text()
    found = re.findall(r"TRY\((\w+)\((.*?)\);", re.sub(r"\s+", " ", text))
    assert [name for name, _ in found[:3]] == ["arg_handle", "arg_word", "arg_range"]
    assert "x[0], KOBJ_EVENT, RIGHT_WRITE" in found[0][1]
    assert "x[1]" in found[1][1] and "&x[2], PAGE_BYTES" in found[2][1]


@pytest.mark.parametrize("table, says", [
    (one("speed = 1\n"), "speed"),
    (one(number=3), "number 3"),
    (one('args = [{ name = "a", type = "colour" }]\n'), "colour"),
    (one('args = [{ name = "a", type = "handle", object = "door" }]\n'), "door"),
    (one('args = [{ name = "a", type = "handle", object = "event", zero = "self" }]\n'), "zero"),
    (one('args = [{ name = "a", type = "word", mask = "1" }]\n'), "argument"),
    (one("args = [" + '{ name = "a", type = "range", align = "page" },' * 4 + "]\n"), "registers"),
    (one('results = ["a", "b", "c", "d", "e"]\n'), "registers"),
    ("[[call]]\nname = 7 7\n", "calls.toml"),
])
def test_table_without_meaning_is_refused(abi, tmp_path, table, says):
    result = abi(table, str(tmp_path / "gen"))
    assert result.returncode == 1 and says in result.stderr
    assert not (tmp_path / "gen").exists()


def test_changed_documentation_is_noticed(abi, tmp_path):
    page = str(tmp_path / "api.md")
    assert abi(one(), "--doc", page).returncode == 0
    assert abi(one(), "--check", page).returncode == 0
    assert abi(one("errors = [\"DEAD: it died\"]\n"), "--check", page).returncode == 1


# A program: entry, then (type, flags, offset, address, bytes in the file, in memory) of segments.
def make_elf(segments, machine=183, kind=2):
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x200000, 64, 0, 0, 64, 56,
                        len(segments), 64, 0, 0)
    for segment in segments:
        number, flags, offset, address, filled, size = segment
        head += struct.pack("<IIQQQQQQ", number, flags, offset, address, address, filled, size,
                            4096)
    return head.ljust(4096, b"\0") + bytes(range(256)) * 48


TEXT = (1, 5, 4096, 0x200000, 300, 300)
DATA = (1, 6, 8192, 0x201000, 100, 9000)


def flatten(tmp_path, data):
    (tmp_path / "in.elf").write_bytes(data)
    return subprocess.run([FLAT, str(tmp_path / "in.elf"), str(tmp_path / "out")],
                          capture_output=True, text=True, timeout=60, check=False)


def test_flat_image_has_pages_and_contents(tmp_path):
    assert flatten(tmp_path, make_elf([TEXT, DATA])).returncode == 0
    image = (tmp_path / "out").read_bytes()
    numbers = struct.unpack_from("<13Q", image)
    assert numbers[1:3] == (0x200000, 2)
    assert numbers[3:8] == (0x200000, 4096, 4096, 300, 5)       # read, execute
    assert numbers[8:13] == (0x201000, 12288, 8192, 100, 3)     # read, write
    assert len(image) == 3 * 4096
    assert image[4096:4396] == (bytes(range(256)) * 2)[:300] and not any(image[4396:8192])


@pytest.mark.parametrize("data, says", [
    (make_elf([TEXT], machine=62), "not a static AArch64 program"),
    (make_elf([TEXT], kind=3), "not a static AArch64 program"),
    (make_elf([]), "0 segments"),
    (make_elf([(1, 7, 4096, 0x200000, 8, 8)]), "writable and executable"),
    (make_elf([(1, 5, 4096, 0x200010, 8, 8)]), "pages of its own"),
    (make_elf([TEXT, (1, 6, 8192, 0x200000, 8, 8)]), "pages of its own"),
])
def test_flat_refuses_what_the_kernel_cannot_load(tmp_path, data, says):
    result = flatten(tmp_path, data)
    assert result.returncode == 1 and says in result.stderr
    assert not (tmp_path / "out").exists()
