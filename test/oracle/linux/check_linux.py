#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's arm64 Linux under the oracle: a kernel that its authors did not write for us.

It must boot, run test/oracle/linux/init.c and power off, and every finding must be one that
docs/oracle.md explains. An unexplained finding is a defect: of Linux, which then belongs into that
document, or of the oracle. `LINUX_IMAGE=package` chooses another kernel than the distribution's.
Run by `make oracle-linux` only: it downloads a kernel.
"""
import json
import os
import subprocess

import pytest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
LINUX = os.path.join(BUILD, "oracle", os.environ.get("LINUX_IMAGE", "linux"))
LIMIT_SECONDS = 1200  # for what hangs; an idle machine needs 20


def identity_mapped(finding):
    return int(finding["pc"], 16) < 1 << 47


def kpti_operand(finding):
    """docs/oracle.md, L1: an unmasked address as the operand of TLBI VAAE1 (Linux 6.1)."""
    return (finding["rule"] == "wrong-level-hint" and identity_mapped(finding)
            and "asid any/15 local" in finding["tlbi"])


def early_map_dsb(finding):
    """docs/oracle.md, L2: TLBI VMALLE1, ISB and no DSB before the text is mapped again (6.12)."""
    return (finding["rule"] == "no-dsb-after-tlbi" and identity_mapped(finding)
            and "cpu0 all 0 local" in finding["tlbi"])


@pytest.fixture(scope="session", autouse=True)
def prepared():
    subprocess.run(["make", "-s", "-f", "test/oracle/oracle.mk", "oracle-plugin",
                    f"BUILD_DIR={BUILD}"], cwd=TOP, check=True)
    subprocess.run([os.path.join(TOP, "test/oracle/linux/prepare"), LINUX], check=True)


def boot(tmp_path, cpu, cpus, arguments):
    path = str(tmp_path / "oracle.json")
    done = subprocess.run(
        [os.path.join(TOP, "scripts/oracle"), f"json={path}", "end=^init: end", "max=5000",
         f"limit={LIMIT_SECONDS}", "--", "qemu-system-aarch64", "-M", "virt,gic-version=3",
         "-cpu", cpu, "-smp", str(cpus), "-m", "1G", "-accel", "tcg,thread=multi",
         "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio",
         "-kernel", os.path.join(LINUX, "Image"), "-initrd", os.path.join(LINUX, "initrd"),
         "-append", f"console=ttyAMA0 quiet loglevel=4 panic=-1 arm64.nolva {arguments}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=LIMIT_SECONDS + 60)
    assert "init: end" in done.stdout, done.stdout + done.stderr
    with open(path) as file:
        return json.load(file)


@pytest.mark.parametrize("cpu, cpus, arguments", [
    ("cortex-a72", 4, ""),
    ("cortex-a72", 1, "nokaslr"),
    ("cortex-a72", 2, "nokaslr kpti=on"),
    ("max", 2, ""),
])
def test_linux_has_no_unexplained_finding(tmp_path, cpu, cpus, arguments):
    report = boot(tmp_path, cpu, cpus, arguments)
    unexplained = [finding for finding in report["findings"]
                   if not kpti_operand(finding) and not early_map_dsb(finding)]
    assert unexplained == []
    assert len(report["findings"]) == report["violations"]
    assert report["unsupported"] == 0
    assert report["breaks"] > 50000 and report["tlbi"] > 50000  # it really looked
