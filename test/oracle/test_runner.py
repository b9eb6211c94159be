#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""scripts/oracle: the exit status is the verdict, whatever QEMU's own status says."""
import os
import runpy
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
RUNNER = os.path.join(TOP, "scripts/oracle")
GUEST = os.path.join(BUILD, "oracle/guest39.elf")
PLAIN = os.path.join(BUILD, "oracle/plain.elf")
QEMU = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-m", "512",
        "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio"]
NOTHING_THERE = [word for word in QEMU if word != "stdio"] + ["null"]


@pytest.fixture(scope="session", autouse=True)
def built():
    subprocess.run(["make", "-s", "-f", "test/oracle/oracle.mk", "oracle-plugin",
                    f"BUILD_DIR={BUILD}"], cwd=TOP, check=True)


def status(*words):
    done = subprocess.run([RUNNER, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=90)
    return done.returncode, done.stdout + done.stderr


def test_violations_are_status_1():
    code, output = status("limit=60", f"kernel={GUEST}", "--", *QEMU, "-kernel", GUEST)
    assert code == 1 and "guest: end cases=" in output and "violations" in output


def test_nothing_judged_is_status_2():
    code, output = status("limit=60", "--", *QEMU, "-kernel", PLAIN)
    assert code == 2 and "silent" in output


def test_a_machine_that_does_not_end_is_status_124():
    code, output = status("limit=2", "--", *NOTHING_THERE)
    assert code == 124 and "ended after 2 s" in output


@pytest.mark.parametrize("report, code", [
    ({"verdict": "fail", "violations": 3}, 1), ({"verdict": "pass"}, 124),
    ({"verdict": "silent"}, 124), (None, 124)])
def test_violations_count_although_the_machine_did_not_end(report, code):
    """A foreign kernel need not power off; what it did wrong until then is wrong."""
    runner = runpy.run_path(RUNNER)
    assert runner["status_of"](dict(runner["OWN_KEYS"]), "", True, report) == code


def test_qemu_that_cannot_start_is_status_2():
    code, output = status("limit=20", "--", "qemu-system-aarch64", "-M", "no-such-machine")
    assert code == 2 and "without a report" in output


@pytest.mark.parametrize("words", [[], ["--"], ["kernel=x"], ["colour=blue", "--", "true"],
                                   ["limit", "--", "true"], ["limit=soon", "--", "true"],
                                   ["--", "no-such-program"]])
def test_wrong_usage_is_status_4(words):
    code, output = status(*words)
    assert code == 4 and "USAGE" in output


@pytest.mark.parametrize("said, code", [("breaks=7", 0), ("breaks=8", 3), ("", 3)])
def test_counts_must_agree(tmp_path, said, code):
    """A stand-in for QEMU writes a report of seven breaks; the guest says what it says."""
    fake = tmp_path / "machine"
    fake.write_text('#!/bin/sh\njson=${2#*json=}\njson=${json%%,*}\n'
                    'echo \'{"verdict": "pass", "breaks": 7}\' >"$json"\n'
                    f'echo "stress: {said}"\n')
    fake.chmod(0o755)
    got, output = status("same=breaks", "--", str(fake))
    assert got == code, output


def test_missing_end_line_is_status_3(tmp_path):
    fake = tmp_path / "machine"
    fake.write_text('#!/bin/sh\njson=${2#*json=}\necho \'{"verdict": "pass"}\' >"${json%%,*}"\n'
                    'echo PERCH END status=1\n')
    fake.chmod(0o755)
    assert status("end=^PERCH END status=0", "--", str(fake))[0] == 3
    assert status("end=^PERCH END status=1", "--", str(fake))[0] == 0
