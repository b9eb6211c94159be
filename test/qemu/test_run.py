# SPDX-License-Identifier: BSD-2-Clause
"""scripts/run itself: what it makes of a guest that passes, fails, hangs or says nothing.

Every other test here believes the runner's exit status, so the runner is judged first, with
a guest of a few instructions (guest.S) whose behaviour is known.
"""

import os
import subprocess
import time

import pexpect
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, "../../scripts/run")
READY = r"ready\n"
PASS = r"PERCH END status=0\n"
OFF, LOOP, WATCHDOG = 0, 1, 2
VIRT_UART, VIRT_BASE = 0x09000000, 0x40200000
PI_UART, PI_BASE = 0xFE201000, 0x02000000


@pytest.fixture
def guest(tmp_path):
    """Build a guest that prints a text and ends in a given way."""
    def build(text, end, uart=VIRT_UART, base=VIRT_BASE):
        path = str(tmp_path / "guest.elf")
        subprocess.run(
            ["clang-19", "--target=aarch64-none-elf", "-nostdlib", "-fuse-ld=lld-19",
             f"-DUART={uart:#x}", f"-DEND={end}", f'-DTEXT="{text}"',
             f"-Wl,-Ttext={base:#x}", "-o", path, os.path.join(HERE, "guest.S")],
            check=True)
        return path
    return build


def run(*words):
    return subprocess.run([RUN, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


@pytest.mark.parametrize("said, status", [(0, 0), (1, 1), (7, 7), (119, 119), (500, 120)])
def test_marker_decides(guest, said, status):
    path = guest(rf"hello\n\r\nPERCH END status={said}\r\n", OFF)
    result = run(f"IMAGE={path}", "SMP=1", "TIMEOUT=20")
    assert result.returncode == status
    assert "hello" in result.stdout


@pytest.mark.parametrize("text", ["", r"nothing\n", r"xPERCH END status=0\n",
                                  r"PERCH END status=\n", r"PERCH END status=0"])
def test_without_marker_is_failure(guest, text):
    """Not a line of its own, not complete: no marker."""
    result = run(f"IMAGE={guest(text, OFF)}", "SMP=1", "TIMEOUT=20")
    assert result.returncode == 122
    assert "no end marker" in result.stderr


def test_limit_is_kept_and_named(guest):
    start = time.monotonic()
    result = run(f"IMAGE={guest('', LOOP)}", "SMP=1", "TIMEOUT=2")
    assert result.returncode == 124
    assert "TIMEOUT=2 s" in result.stderr
    assert time.monotonic() - start >= 2


def test_guest_that_cannot_power_off_is_ended(guest):
    result = run(f"IMAGE={guest(PASS, LOOP)}", "SMP=1",
                 "TIMEOUT=40")
    assert result.returncode == 0
    assert "TIMEOUT" not in result.stderr


@pytest.mark.parametrize("end", [LOOP, WATCHDOG])
def test_raspi4b_end(guest, end):
    path = guest(r"PERCH END status=3\n", end, PI_UART, PI_BASE)
    result = run("BOARD=raspi4b", "EL=3", f"IMAGE={path}", "TIMEOUT=40")
    assert result.returncode == 3


@pytest.mark.parametrize("words", [
    ["BOARD=pc"], ["SMP=0"], ["SMP=9", "GIC=2"], ["GIC=4"], ["EL=0"], ["MEM=lots"],
    ["TCG=many"], ["TIMEOUT=soon"], ["FOO=1"], ["foo"], ["NUMA=3"], ["NUMA=2", "SMP=1"],
    ["ICOUNT=1", "TCG=multi"], ["BOARD=raspi4b", "SMP=2"], ["BOARD=raspi4b", "EL=1"],
    ["IMAGE=/nonexistent"],
])
def test_wrong_option_is_refused(guest, words):
    image = [] if words[0].startswith("IMAGE") else [f"IMAGE={guest('', OFF)}"]
    result = run(*image, *words)
    assert result.returncode == 121
    assert len(result.stderr.strip().splitlines()) == 1


def test_option_from_environment(guest, monkeypatch):
    monkeypatch.setenv("SMP", "2")
    monkeypatch.setenv("GIC", "")
    result = run(f"IMAGE={guest(PASS, OFF)}", "TIMEOUT=20")
    assert result.returncode == 0
    assert "smp=2" in result.stderr and "gic=3" in result.stderr


def test_threads_follow_host_cores(guest):
    cores = len(os.sched_getaffinity(0))
    path = guest(r"PERCH END status=0\n", OFF)
    many = run(f"IMAGE={path}", f"SMP={min(cores + 1, 100)}", "TIMEOUT=20")
    assert "tcg=single" in many.stderr
    if cores > 1:
        assert "tcg=multi" in run(f"IMAGE={path}", "SMP=1", "TIMEOUT=20").stderr


def test_ctrl_a_x_ends_qemu_and_restores_the_terminal(guest):
    """An interactive run: our terminal is QEMU's, and is handed back as it was."""
    path = guest(r"ready\n", LOOP)
    shell = pexpect.spawn("/bin/sh", encoding="utf-8", timeout=20)
    try:
        shell.sendline(f"stty -a | tr ';' '\\n' | grep -c ' icanon'; {RUN} IMAGE={path} SMP=1; "
                       "echo status=$?; stty -a | grep -c ' icanon'")
        shell.expect("\n1\r\n")
        shell.expect("ready")
        shell.send("\x01x")
        shell.expect("no end marker")
        shell.expect(r"status=122\s+1\s")
    finally:
        shell.close(force=True)


def test_no_orphan_when_the_runner_is_killed(guest):
    runner = subprocess.Popen([RUN, f"IMAGE={guest(READY, LOOP)}", "SMP=1"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert runner.stdout.readline().startswith(b"ready")
    children = f"/proc/{runner.pid}/task/{runner.pid}/children"
    with open(children, encoding="ascii") as listing:
        qemu = int(listing.read().split()[0])
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{qemu}/cmdline") and time.monotonic() < deadline:
        with open(f"/proc/{qemu}/stat", encoding="ascii") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                break       # dead; only its new parent has not noticed yet
        time.sleep(0.1)
    else:
        assert not os.path.exists(f"/proc/{qemu}/cmdline")
