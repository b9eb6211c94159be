# SPDX-License-Identifier: BSD-2-Clause
"""Programs in EL0: each ends with the line and the status that it should, on each kind of machine.

The behaviours of the kernel are pinned by user/test, one test each; here it is only seen that all
of them passed, and that what is outside a program works: RAM disks, arguments, exceptions, input.
"""

import os
import re
import subprocess

import pytest

from conftest import BUILD

SMALL = {"TIMEOUT": "120"}
MACHINES = [
    pytest.param({"BOARD": "virt", "CPU": "cortex-a72", "GIC": "2"}, id="virt-a72-gic2"),
    pytest.param({"BOARD": "virt", "CPU": "max", "GIC": "3"}, id="virt-max-gic3"),
    pytest.param({"BOARD": "raspi4b"}, id="raspi4b"),
]
VARIANTS = [
    pytest.param({"BOARD": "virt", "CPU": "cortex-a72", "GIC": "3"}, id="virt-a72-gic3"),
    pytest.param({"BOARD": "virt", "CPU": "max", "GIC": "2"}, id="virt-max-gic2"),
    pytest.param({"BOARD": "virt", "CPU": "cortex-a72", "GIC": "3", "SMP": "1"}, id="one-cpu"),
    pytest.param({"BOARD": "virt", "CPU": "max", "GIC": "3", "SMP": "8"}, id="eight-cpus"),
]


def run(perch, args, **options):
    """Boot with these arguments; returns (status, all that was said)."""
    machine = perch(**{**SMALL, **options, "ARGS": args})
    status = machine.finish()
    return status, machine.text


def test_little_memory_is_in_use_when_the_first_program_starts(perch):
    """Image, slices, frame states and tables of 1 GiB and 4 CPUs: below 6 MB."""
    status, said = run(perch, "run=hello", MEM="1G", SMP="4")
    used = int(re.search(r"init: memory: in_use=(\d+)K", said)[1])
    assert status == 0
    assert 2048 < used < 6 * 1024


@pytest.mark.parametrize("options", MACHINES)
def test_hello(perch, options):
    status, said = run(perch, "run=hello", **options)
    assert status == 0
    assert re.search(r"^hello from EL0: hello, argc=\d+$", said, re.M)


@pytest.mark.parametrize("options", MACHINES)
def test_behaviours(perch, options):
    status, said = run(perch, "run=init init=test", **options)
    assert not re.findall(r"FAIL.*", said)
    assert re.search(r"test: result=pass passed=(\d+) failed=0", said)
    assert status == 0


@pytest.mark.parametrize("options", MACHINES + [pytest.param(*p.values, id=p.id,
                                                             marks=pytest.mark.full)
                                                for p in VARIANTS])
def test_stress(perch, options):
    status, said = run(perch, "run=init init=stress", **options)
    line = re.search(r"stress: result=(\w+) el=0 (.*)", said)
    assert line and line[1] == "pass", said[-2000:]
    counts = dict(re.findall(r"(\w+)=(\d+)", line[2]))
    assert int(counts["promotions"]) > 0 and int(counts["superpages"]) > 0
    assert counts["transient_faults"] == counts["corruptions"] == counts["refused"] == "0"
    assert status == 0


def test_stress_finds_a_planted_corruption(perch):
    status, said = run(perch, "run=init init=stress plant=1 cycles=7")
    assert re.search(r"stress: result=fail .*corruptions=1 ", said)
    assert status == 1


@pytest.mark.parametrize("program", ["pager", "dbg"])
def test_program(perch, program):
    status, said = run(perch, f"run={program}")
    assert f"{program}: result=pass" in said
    assert status == 0


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.full),
                                  pytest.param(3, marks=pytest.mark.full)])
def test_fuzz(perch, seed):
    status, said = run(perch, f"run=fuzz calls=300000 seed={seed}", CPU="max", TIMEOUT="240")
    assert re.search(r"fuzz: result=pass calls=\d+", said)
    assert status == 0


def test_soak(perch):
    """Everything at once for a minute; `make soak` does it for an hour."""
    status, said = run(perch, "run=soak seconds=60", TIMEOUT="600")
    assert re.search(r"soak: result=pass seconds=60 .*failed=0 ", said), said[-2000:]
    assert status == 0


def test_unknown_program_is_named(perch):
    status, said = run(perch, "run=init init=nonsense")
    assert "nonsense: not in the archive" in said
    assert status == 110


def test_exception_ends_the_program_by_name(perch):
    status, said = run(perch, "run=init init=test role=read_kernel")
    assert "init: page fault: thread" in said
    assert status == 111


def test_console_reads_a_line(perch):
    machine = perch(**SMALL, ARGS="run=init init=test role=echo")
    machine.expect("say something")
    machine.send("fish\r")
    machine.expect("you said: fish")
    assert machine.finish() == 0


def make_archive(path, files):
    """A newc archive; files: {name: bytes}."""
    folder = path.parent / "disk"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-O", str(path)], cwd=folder,
                   input="\n".join(files).encode(), check=True)
    return path


@pytest.fixture
def hello():
    with open(os.path.join(BUILD, "debug/user/ramdisk/hello"), "rb") as file:
        return file.read()


def test_loaded_ram_disk_comes_first(perch, tmp_path, hello):
    disk = make_archive(tmp_path / "disk.cpio", {"brought": hello})
    status, said = run(perch, "run=init init=brought", INITRD=str(disk))
    assert "hello from EL0: brought" in said
    assert status == 0


@pytest.mark.parametrize("damage, says", [
    (lambda data: data[:len(data) // 2], "the archive is cut off"),
    (lambda data: b"x" + data[1:], "an entry does not begin with 070701"),
])
def test_damaged_ram_disk_is_named(perch, tmp_path, hello, damage, says):
    disk = make_archive(tmp_path / "disk.cpio", {"hello": hello})
    disk.write_bytes(damage(disk.read_bytes()))
    status, said = run(perch, "run=hello", INITRD=str(disk))
    assert says in said and "init: RAM disk: at byte" in said
    assert "hello from EL0" in said     # from init's own
    assert status == 0


@pytest.mark.parametrize("damage, says", [
    (lambda data: b"text" + data[4:], "not an ELF file"),
    (lambda data: data[:18] + b"\x3e\x00" + data[20:], "not for AArch64"),
    (lambda data: data[:200], "the file is cut off"),
])
def test_damaged_program_is_named(perch, tmp_path, hello, damage, says):
    disk = make_archive(tmp_path / "disk.cpio", {"bad": damage(hello)})
    status, said = run(perch, "run=init init=bad", INITRD=str(disk))
    assert f"bad: {says}" in said
    assert status == 110
