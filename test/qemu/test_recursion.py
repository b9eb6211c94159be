# SPDX-License-Identifier: BSD-2-Clause
"""The report of an exception without a way back: what it says, and that it ends.

The pcpu recursion is the real thing (bbm=naive pcpu=scattered): CPU 0 breaks the block in which
the slices lie, and the others fall in. The report must name the entry, the culprit and the first
cause although recorders and stacks lie in the very mapping that is gone.
"""

import re

SEED = 7


def report(run):
    """Run to the end; the text from the report's first line to its end marker."""
    status = run.finish()
    assert status == 1, f"status {status}, see {run.log_path}"
    found = re.search(r"^(RECURSION|FATAL) .*?^REPORT END$", run.text, re.M | re.S)
    assert found, f"no whole report, see {run.log_path}"
    return found[0]


def test_pcpu_recursion_names_entry_and_culprit(perch):
    run = perch(ARGS=f"run=stress bbm=naive pcpu=scattered seed={SEED} cycles=2000", TIMEOUT=90)
    text = report(run)
    head = re.match(r"RECURSION cpu(\d) depth=2 cause=sync/data abort va=(0x[0-9a-f]+) "
                    r"elr=0x[0-9a-f]+ esr=0x[0-9a-f]+ entry=L2\[(\d+)\]\n", text)
    assert head, text.split("\n", maxsplit=1)[0]
    # The control of the stress's zero: the counter that it reports does count.
    assert re.search(r"^x18=.* recursions=1$", text, re.M)
    va, index = int(head[2], 16), int(head[3])
    assert index == va >> 21 & 511
    # The entry, as it was found; decoded level by level.
    walk = re.search(r"^walk of .* when it happened:\n((?:  L\d.*\n)+)", text, re.M)[1]
    assert [line.split("[")[0].strip() for line in walk.splitlines()] == ["L0", "L1", "L2"]
    assert walk.count(" table pa=") == 2 and walk.rstrip().endswith("INVALID")
    assert re.search(r"^owner: not pinned: kmap", text, re.M)
    # Who: the stress breaks from CPU 0, and names the block that FAR lies in.
    broke = re.search(r"^  cpu(\d) at tick \d+: broke va=(0x[0-9a-f]+), old entry \w+$", text, re.M)
    assert broke and broke[1] == "0"
    assert int(broke[2], 16) == va & ~0x1FFFFF
    assert re.search(r"^  for [a-z]\w+\+0x[0-9a-f]+, to become [0-9a-f]{16}$", text, re.M)
    assert re.search(r"^  (never made again: |made again: the window took \d+ ticks)", text, re.M)
    # Symbols, and the tail in order of time with that very break in it.
    assert re.search(r"^elr: [a-z]\w+\+(0x)?[0-9a-f]+$", text, re.M)
    tail = re.search(r"^recorders, .*\n((?:  \d+ cpu.*\n)+)", text, re.M)[1].splitlines()
    times = [int(line.split()[0]) for line in tail]
    assert len(times) == 16 and times == sorted(times)
    assert any(f"change a={broke[2][:-3]}" in line for line in tail)


def test_pcpu_recursion_shows_where_it_began_or_says_it_is_lost(perch):
    run = perch(ARGS=f"run=stress bbm=naive pcpu=scattered seed={SEED} cycles=2000", TIMEOUT=90)
    text = report(run)
    own = re.search(r"^backtrace cpu\d:\n((?:  .*\n)+)", text, re.M)[1]
    below = own.partition("  -- exception: ")[2]
    # The initiator may be the first to meet it, in its own window: no exception came before.
    in_window = re.search(r"#0 \w+ pmap_retry_\w+\+.*\n(  .*\n)+?.* change_block\+", own)
    assert "work_loop+" in below or in_window or "first cause lost" in text
