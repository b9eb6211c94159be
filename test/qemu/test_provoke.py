# SPDX-License-Identifier: BSD-2-Clause
"""provoke=: every way to break the kernel on purpose, and what its report must say.

Each ends in its report, on every board and interrupt controller: the first line, the entry, who
broke it and in which function, where it began, with symbols. Nothing may follow the end marker.
"""

import re

import pytest

MACHINES = {
    "gic2": {"CPU": "cortex-a72", "GIC": 2},
    "gic3": {"CPU": "max", "GIC": 3},
    "pi4": {"BOARD": "raspi4b"},
}
# Of the other two machines, what depends on the machine: interrupts, the CPU's TLB operations.
SHORT = {"gic2": None, "gic3": {"pcpu", "vector"}, "pi4": {"pcpu", "nmi"}}

NUMBER = r"0x[0-9a-f]+"
HEAD = {
    "pcpu": rf"RECURSION cpu\d depth=2 cause=sync/data abort va={NUMBER} elr={NUMBER} "
            rf"esr={NUMBER} entry=L2\[\d+\]",
    "stack": rf"FATAL cpu1 reason=sp0/data abort va={NUMBER} elr={NUMBER} esr={NUMBER} "
             rf"entry=L2\[\d+\]",
    "vector": rf"WARDEN cpu1 cause=vectors va={NUMBER} entry=L3\[\d+\]",
    "timer": rf"RECURSION cpu1 depth=2 cause=sync/data abort va={NUMBER} elr={NUMBER} "
             rf"esr={NUMBER} entry=L2\[\d+\]",
    "current": rf"RECURSION cpu1 depth=2 cause=sync/data abort va={NUMBER} elr={NUMBER} "
               rf"esr={NUMBER} entry=L2\[\d+\]",
    "call": rf"RECURSION cpu1 depth=2 cause=sync/data abort va={NUMBER} elr={NUMBER} "
            rf"esr={NUMBER} entry=L2\[\d+\]",
    "trace": rf"RECURSION cpu0 depth=2 cause=sync/data abort va={NUMBER} elr={NUMBER} "
             rf"esr={NUMBER} entry=L2\[\d+\]",
    "tables": rf"FATAL cpu0 reason=fault/data abort va={NUMBER} elr={NUMBER} esr={NUMBER} "
              rf"entry=L3\[5\]",
    "overflow": r"PANIC cpu0: stack overflow: a red zone of cpu0 is overwritten",
    "x18": rf"FATAL cpu0 reason=x18/data abort va=0x200000000000 elr={NUMBER} esr={NUMBER} "
           rf"entry=L0\[64\]",
    "report": rf"RECURSION cpu0 depth=2 cause=sync/data abort va=0x200000000000 elr={NUMBER} "
              rf"esr={NUMBER} entry=L0\[64\]",
    "deadlock": r"PANIC cpu0: park: cpu1 has not parked for \d+ ms",
    "nmi": rf"RECURSION cpu0 depth=2 cause=irq elr={NUMBER}",
}
# What every report of a provocation must say beside its first line.
FACTS = {
    "pcpu": [
        # As a rule the entry path faults; the break may also meet a CPU in its handler.
        r"^vector: spx sync$",
        r"^elr: (sp0_irq|enter_sp0|trap_\w+|sched_\w+|timerq_\w+|gic\w*)\+(0x)?[0-9a-f]+$",
        rf"^(first cause|last exception from SP0 or EL0): elr={NUMBER} count_for_ever\+0x[0-9a-f]+",
        r"^  L2\[\d+\] 0{16} INVALID$",
        r"^owner: not pinned: kmap",
        r"^  slices are unmapped",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_pcpu\+0x",
    ],
    "stack": [
        r"^elr: push_for_ever\+0x",
        r"^first cause: this exception$",
        r"^walk of \w+ when it happened:\n(  L[01].*\n)*  L2\[\d+\] 0{16} INVALID$",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_stack\+0x",
    ],
    "vector": [
        r"^pinned: kernel image sp0_sync\+0, must be \w+ at L3, is 0{16}$",
        r"^walk of \w+ in the live tables:\n(  L[012].*\n)*  L3\[\d+\] 0{16} INVALID$",
        r"^owner: pinned, kernel image",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_vector\+",
        r"^  (left broken|never made again)",
        r"^  cpu0 DID NOT STOP ",
    ],
    "timer": [
        r"^vector: spx sync\nesr: data abort, translation fault, level 2, read\n"
        r"elr: account_tick\+",
        r"^  L2\[\d+\] 0{16} INVALID$",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_timer\+0x",
        r"^last exception from SP0 or EL0: elr=\w+ tick_for_ever\+0x",
        r"^backtrace cpu1:\n.* account_tick\+(.*\n)+?"
        r"  -- exception: interrupt, spsr=\w+ from SP0, masked ---- --\n.* tick_for_ever\+",
    ],
    # As a rule the very entry, which cannot save the first registers of EL0; the break may also
    # meet a CPU that serves an interrupt already, or resumes the thread. An interrupt keeps ELR,
    "current": [
        r"^vector: spx sync\nesr: data abort, translation fault, level 2, (read|write)\n"
        r"elr: [a-z]\w+\+\w+$",
        r"^spsr=\w+ from SPx, masked DAIF$",
        r"^(first cause|last exception from SP0 or EL0): elr=0x10[0-9a-f]{3} in EL0",
        r"^  L2\[\d+\] 0{16} INVALID$",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_thread\+0x",
        r"^backtrace cpu1:\n  #0 \w+ [a-z]\w+\+",
    ],
    # a system call says which it was.
    "call": [
        r"^vector: spx sync$",
        r"^(first cause lost: a system call of EL0, x8=0 x30=0x3030, which keeps no ELR"
        r"|last exception from SP0 or EL0: elr=0x10[0-9a-f]{3} in EL0)$",
        r"^  L2\[\d+\] 0{16} INVALID$",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_thread\+0x",
    ],
    "trace": [
        r"^elr: trace_hook\+0x",
        r"^  L2\[\d+\] 0{16} INVALID$",
        rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_trace\+",
        r"^  never made again",
        r"^backtrace cpu0:\n.* trace_hook\+.*\n.* flush_\w+_on_spx\+",
    ],
    "tables": [
        r"^elr: provoke_tables\+0x",
        r"^first cause: this exception$",
        r"^  L3\[5\] [0-9a-f]{16} page pa=",
        r"^  nobody: no recorder holds a break of it$",
    ],
    "overflow": [r"(^  #\d+ 0x[0-9a-f]+ descend\+0x.*\n){8}"],
    "x18": [
        r"^elr: provoke_\w+\+0x",
        r"^  L0\[64\] 0{16} INVALID$",
        r"^first cause: this exception$",
    ],
    "report": [
        r"^elr: provoke_\w+\+0x",
        rf"^RECURSION cpu0 depth=3 cause=sync/data abort va=0x100000000000 elr={NUMBER} "
        rf"esr={NUMBER} entry=L0\[32\]\nREPORT END$",
    ],
    "deadlock": [
        r"^  cpu1 DID NOT STOP .* door=kernel$",
        rf"^  cpu1 masked interrupts last at {NUMBER} be_deaf\+0x",
        r"^  #\d+ \w+ park_wait\+",
        r"^  #\d+ \w+ provoke_deadlock\+",
    ],
    "nmi": [r"^elr: open_the_mask\+0x", r"^backtrace cpu0:\n.* open_the_mask\+"],
}


# With a threaded emulator CPU 0 may be the first to miss its stack, inside the window.
BY_INITIATOR = [
    r"^elr: pmap_retry_\w+\+0x",
    r"^  L2\[\d+\] 0{16} INVALID$",
    rf"^  cpu0 at tick \d+: broke va={NUMBER}, old entry \w+\n  for provoke_pcpu\+0x",
    r"^backtrace cpu0:\n.* pmap_retry_\w+\+(.*\n)+?.* provoke_pcpu\+",
]


def cases():
    for machine, short in SHORT.items():
        for name in HEAD:
            full = short is not None and name not in short
            marks = [pytest.mark.full] if full else []
            yield pytest.param(machine, name, id=f"{name}-{machine}", marks=marks)


@pytest.mark.parametrize("machine, name", cases())
def test_provocation_ends_in_its_report(perch, machine, name):
    run = perch(ARGS=f"provoke={name}", **MACHINES[machine])
    assert run.finish() == 1, f"see {run.log_path}"
    text = run.text
    found = re.search(rf"^{HEAD[name]}\n", text, re.M)
    assert found, f"no such first line, see {run.log_path}"
    report = text[found.start():]
    # One report, which ends: nothing but the end of the machine follows.
    assert len(re.findall(r"^(?:REPORT|PANIC) END$", report, re.M)) == 1
    assert re.search(r"^(REPORT|PANIC) END\nPERCH END status=1$", report, re.M)
    by_initiator = name == "pcpu" and report.startswith("RECURSION cpu0 ")
    for fact in BY_INITIATOR if by_initiator else FACTS[name]:
        assert re.search(fact, report, re.M), f"{fact}: see {run.log_path}"


def test_entry_named_in_the_first_line_is_the_one_of_va(perch):
    """The index is that of the address at the level: not of another walk."""
    run = perch(ARGS="provoke=stack")
    run.finish()
    head = re.search(r"^FATAL .* va=(\w+) .* entry=L(\d)\[(\d+)\]$", run.text, re.M)
    level = int(head[2])
    assert int(head[3]) == int(head[1], 16) >> (39 - 9 * level) & 511


def test_what_began_in_el0_is_the_instruction_that_was_interrupted(perch):
    """The first ELR is of the thread's loop of two instructions, and FAR lies in the thread."""
    run = perch(ARGS="provoke=current")
    assert run.finish() == 1
    thread = re.search(rf"provoke: current: thread \d+ of cpu1 at ({NUMBER}) runs ({NUMBER})$",
                       run.text, re.M)
    block, loop = (int(word, 16) for word in thread.groups())
    first = re.search(r"^(?:first cause|last exception from SP0 or EL0): elr=(\w+) ",
                      run.text, re.M)
    assert int(first[1], 16) in (loop, loop + 4)
    far = int(re.search(r"^RECURSION cpu1 .* va=(\w+) ", run.text, re.M)[1], 16)
    assert 0 < far - block < 1024


def test_warden_watches_a_healthy_run_in_silence(perch):
    """The control: a warden that finds nothing does not disturb, and takes no work."""
    text = perch(ARGS="run=stress cycles=200 warden=cpu3", TIMEOUT=60).passed()
    assert re.search(r"boot: warden=cpu3$", text, re.M)
    assert " cpus=3 " in text and "WARDEN" not in text


def test_warden_reports_a_cpu_that_does_not_beat(perch):
    """A CPU that is deaf for ever, while nobody wants it to park."""
    run = perch(ARGS="provoke=silence warden=cpu2", TIMEOUT=60)
    assert run.finish() == 1
    assert re.search(r"^WARDEN cpu2 cause=silence cpus=0x2$", run.text, re.M)
    assert re.search(r"^  cpu1 DID NOT STOP ", run.text, re.M)
    assert re.search(r"^  cpu1 masked interrupts last at \w+ be_deaf\+", run.text, re.M)


@pytest.mark.parametrize("argument, why", [("cpu0", "this CPU runs the program"),
                                           ("cpu9", "no such CPU")])
def test_warden_that_cannot_be_is_refused(perch, argument, why):
    run = perch(ARGS=f"run=none warden={argument}")
    run.passed()
    assert run.lines(rf"warden={argument}: {why}; no warden")


def test_unknown_provocation_is_named(perch):
    run = perch(ARGS="provoke=nonsense")
    assert run.finish() == 2
    assert run.lines("provoke=nonsense is unknown")


def test_provocations_are_not_in_release(perch, release_image):
    run = perch(ARGS="provoke=x18 run=none", IMAGE=release_image)
    run.passed()
    assert run.lines("debug builds only")
