#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Perch under the oracle: no violation, and the breaks that the kernel counted are those seen.

ORACLE_SHORT=1 is the part that `make test` runs.
"""
import json
import os
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
IMAGE = os.path.join(BUILD, "perch.img")
LIMIT_SECONDS = 300
SHORT = os.environ.get("ORACLE_SHORT") == "1"

# More CPUs than host cores make the waiting CPUs spin at the expense of those that work.
CYCLES = {1: 2000, 2: 300 if SHORT else 2000, 4: 60}
MATRIX = [(cpu, cpus, gic) for cpu in ("cortex-a72", "max")
          for cpus in ((2,) if SHORT else (1, 2, 4)) for gic in ((3,) if SHORT else (2, 3))]


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


@pytest.mark.parametrize("cpu, cpus, gic", MATRIX)
def test_stress_breaks_are_all_seen_and_all_right(tmp_path, cpu, cpus, gic):
    status, output, report = judge(tmp_path, cpu, cpus, gic,
                                   f"run=stress cycles={CYCLES[cpus]}",
                                   "same=breaks:pairs", "end=^PERCH END status=0")
    assert status == 0, output
    assert report["violations"] == 0 and report["nested_in_entry"] == 0
    assert report["pairs"] > 0


@pytest.mark.parametrize("cpu, cpus, gic", MATRIX)
def test_in_kernel_tests_violate_nothing(tmp_path, cpu, cpus, gic):
    status, output, report = judge(tmp_path, cpu, cpus, gic, "run=test",
                                   "end=^PERCH END status=0")
    assert status == 0, output
    assert report["violations"] == 0 and report["breaks"] > 0
