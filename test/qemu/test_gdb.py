# SPDX-License-Identifier: BSD-2-Clause
"""scripts/gdb/perch.py: its commands, by gdb-multiarch in batch mode, on a machine that runs.

QEMU's stub stops the machine at reset and at breakpoints; what the commands print is compared
with what must be true there.
"""

import os
import re
import socket
import subprocess

import pytest
from conftest import BUILD, TOP

SCRIPT = os.path.join(TOP, "scripts/gdb/perch.py")


@pytest.fixture
def gdb(perch):
    """gdb(options of the machine, commands...) -> what GDB printed."""
    def session(options, *commands):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        run = perch(GDB=port, **options)
        words = ["gdb-multiarch", "-nx", "-batch", os.path.join(BUILD, "perch.elf")]
        for command in ("set pagination off", "set tcp connect-timeout 30", f"source {SCRIPT}",
                        f"target remote 127.0.0.1:{port}", *commands, "kill"):
            words += ["-ex", command]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=120, check=False)
        run.log.write(done.stdout + done.stderr)
        run.close()
        assert "Traceback" not in done.stderr and "Error occurred in Python" not in done.stderr
        return done.stdout + done.stderr
    return session


def test_commands_inside_a_window(gdb):
    """Stopped where entries are broken: everyone is parked, and the change has not ended."""
    text = gdb({"ARGS": "run=stress only=storm cycles=5"}, "hbreak pmap_window_va_one",
               "hbreak pmap_window_all_one", "continue", "perch-park", "perch-trace 400",
               "perch-walk 0xffffffff80000000", "perch-pcpu 0", "perch-pcpu",
               "print kernel_pmap.root[511]", "print (va_t){0xffff000000001000}")
    park = re.search(r"^window=(\d+) generation=\1 online=0xf token=cpu0$", text, re.M)
    assert park and int(park[1]) > 0
    boxes = re.findall(r"^  cpu(\d) door=(\w+) request=(\d+) ack=(\d+) .*?( PARKED)?", text, re.M)
    assert len(boxes) == 4
    parked = re.findall(rf"^  cpu[123] door=kernel request={park[1]} ack={park[1]} "
                        r"release=\d+ PARKED", text, re.M)
    sent = re.search(rf"cpu0 park-send {park[1]} cpus ([\d,]+) NOT ENDED", text)
    assert sent and len(parked) == len(sent[1].split(","))
    for cpu in sent[1].split(","):
        assert re.search(rf"cpu{cpu} park {park[1]} .* NOT ENDED", text)
    assert re.search(r"cpu0 change 2 MiB at 0xffffa0\w+ 0x\w+ -> 0x\w+ by [a-z]\w+\+0x\w+", text)
    walk = re.findall(r"^  L(\d)\[\d+\] \w{16} (\w+) pa=", text, re.M)
    assert walk[:4] == [("0", "table"), ("1", "table"), ("2", "table"), ("3", "page")]
    assert "  holds kernel_pmap\n" in text and text.count(" slice=0xffff8000") == 5
    assert re.search(r"^  installs +\d+$", text, re.M)
    assert re.search(r"= 0x\w{16} table or page pa=0x\w+", text)
    assert "= 0xffff000000001000\n" in text


def test_a_recursion_is_caught_and_explained(gdb):
    """At the very vector, before Perch's own report: entry, culprit, and where it began."""
    text = gdb({"ARGS": "run=stress bbm=naive pcpu=scattered seed=7 cycles=2000"},
               "perch-recursion catch", "continue", "perch-recursion", "bt 1")
    assert re.search(r"hit Breakpoint 1, spx_sync", text)
    # The initiator may be the first to meet it, reading its own stack inside the window.
    assert re.search("this exception: data abort, translation fault, level 2, (read|write), "
                     "on the exception stack: RECURSION", text)
    far = int(re.search(r"^  elr \w+ \w+.*, far (0x\w+), spsr", text, re.M)[1], 16)
    walk = re.search(r"^walk of 0x\w+:\n((?:  L\d.*\n)+)", text, re.M)[1].rstrip().split("\n")
    assert walk[-1].startswith(f"  L2[{far >> 21 & 511}] ") and walk[-1].endswith("INVALID")
    broke = re.search(r"^who broke it:\n  cpu0 change 2 MiB at (0x\w+) \w+ -> \w+ by (\w+)\+\w+ "
                      r"NOT ENDED$", text, re.M)
    assert broke and int(broke[1], 16) == far & ~0x1FFFFF and broke[2] == "change_block"
    kept = re.search(r"^  the last one from SP0 or EL0: elr (0x\w+)", text, re.M)[1]
    assert re.search(rf"^  (its frame: .*, elr {kept} |no frame of it: )", text, re.M)


def test_errors_are_one_line(gdb):
    text = gdb({"ARGS": "run=stress only=fill cycles=1"}, "perch-park", "hbreak stress_main",
               "continue", "perch-walk", "perch-walk nonsense", "perch-pcpu 9", "perch-trace x",
               "perch-recursion now", "perch-walk 0", "perch-walk 1ull<<60")
    assert "perch-park: " in text       # nothing has booted
    assert "usage: perch-walk ADDRESS" in text
    assert 'No symbol "nonsense" in current context' in text
    assert "there is no cpu9" in text
    assert "usage: perch-recursion [catch]" in text
    assert "is not canonical" in text
    assert re.search(r"^  L0\[0\] 0{16} INVALID$", text, re.M)
