#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Perch under the oracle: no violation, and the breaks that the kernel counted are those seen.

`make test` runs a part of it; ORACLE_ALL=1, which `make oracle` sets, is all.
"""
import json
import os
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
IMAGE = os.path.join(BUILD, "perch.img")
SHORT = os.environ.get("ORACLE_ALL") != "1"
LIMIT_SECONDS = 1200  # for what hangs; an idle machine needs a twentieth

# The first pass runs each workload once, whatever the number of cycles.
CYCLES = {1: 600, 2: 60 if SHORT else 600, 4: 40}
CPUS = [("cortex-a72", 2, 3), ("max", 2, 3)]
MATRIX = list(CPUS)
if not SHORT:
    MATRIX += [("cortex-a72", 1, 3), ("max", 1, 2), ("cortex-a72", 2, 2), ("cortex-a72", 4, 3),
               ("max", 4, 3)]

# More CPUs than host cores make the waiting CPUs spin at the expense of those that work: there,
# only the workloads in which CPUs meet.
ONLY = {1: "", 2: "", 4: " only=fill,storm,irq,exec,hotplug,lost,share,hostile"}

# R3 from outside: the pinned map and the kernel image (include/memmap.h) are never broken.
PROTECT = ("protect=0xffff800000000000:0x200000000000", "protect=0xffffffff80000000:0x7fe00000")


def judge(tmp_path, cpu, cpus, gic, arguments, *options):
    """Boot Perch under the oracle; returns (status of scripts/oracle, output, report)."""
    path = str(tmp_path / "oracle.json")
    done = subprocess.run(
        [os.path.join(TOP, "scripts/oracle"), f"json={path}", f"limit={LIMIT_SECONDS}",
         f"kernel={os.path.join(BUILD, 'perch.elf')}", *options, "--", "qemu-system-aarch64",
         "-M", f"virt,gic-version={gic}", "-cpu", cpu, "-smp", str(cpus), "-m", "1G",
         "-accel", "tcg,thread=multi", "-display", "none", "-nic", "none", "-no-reboot",
         "-serial", "stdio", "-kernel", IMAGE, "-append", arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=LIMIT_SECONDS + 60)
    report = None
    if os.path.exists(path):
        with open(path) as file:
            report = json.load(file)
    return done.returncode, done.stdout + done.stderr, report


def must_be_right(tmp_path, cpu, cpus, gic, arguments):
    """No violation, and each break that the kernel counted was seen, and no other."""
    status, output, report = judge(tmp_path, cpu, cpus, gic, arguments, "same=breaks:pairs",
                                   "end=^PERCH END status=0", "strict=use", *PROTECT)
    assert status == 0, output
    assert report["violations"] == 0 and report["pairs"] > 0
    return report


@pytest.mark.parametrize("cpu, cpus, gic", MATRIX)
def test_stress_breaks_are_all_seen_and_all_right(tmp_path, cpu, cpus, gic):
    report = must_be_right(tmp_path, cpu, cpus, gic,
                           f"run=stress cycles={CYCLES[cpus]}{ONLY[cpus]}")
    assert report["nested_in_entry"] == 0


@pytest.mark.parametrize("cpu, cpus, gic", CPUS[:1] if SHORT else CPUS)
def test_el0_stress_breaks_are_all_seen_and_all_right(tmp_path, cpu, cpus, gic):
    must_be_right(tmp_path, cpu, cpus, gic, "run=stress only=el0 cycles=1")


@pytest.mark.parametrize("program", ["test"] if SHORT else ["test", "stress"])
@pytest.mark.parametrize("cpu, cpus, gic", CPUS[:1] if SHORT else CPUS)
def test_el0_programs_breaks_are_all_seen_and_all_right(tmp_path, cpu, cpus, gic, program):
    must_be_right(tmp_path, cpu, cpus, gic, f"run=init init={program}")


@pytest.mark.parametrize("cpu, cpus, gic", MATRIX)
def test_in_kernel_tests_breaks_are_all_seen_and_all_right(tmp_path, cpu, cpus, gic):
    must_be_right(tmp_path, cpu, cpus, gic, "run=test")


def test_bbm_level_2_is_judged_as_such(tmp_path):
    """The mode without a break is right on a CPU of that level, and nowhere else."""
    arguments = "run=stress cycles=100 bbm=bbml2 bbml2=force"
    status, output, report = judge(tmp_path, "max", 2, 3, arguments, "bbm=2",
                                   "end=^PERCH END status=0")
    assert status == 0 and report["changes"] > 0, output
    status, output, report = judge(tmp_path, "max", 2, 3, arguments, "bbm=0")
    assert status == 1, output
    assert report["rules"]["no-break"] == report["violations"] > 0
    assert all("bbml2" in finding["symbol"] for finding in report["findings"])
