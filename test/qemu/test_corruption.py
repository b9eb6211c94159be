# SPDX-License-Identifier: BSD-2-Clause
"""A corruption that nobody foresaw: a random entry of the live tables is overwritten.

THEORY   The stress runs; at a random moment QEMU's GDB stub overwrites one valid entry of the
         live tables, with zero, a flipped bit, noise, or another entry. Whatever that hits, the
         run must end: with a report, a panic, a failure that the stress itself found, or
         unharmed. A hang or endless output fails.
GUARANTEE Without a warden, the entries on the walk of the vectors' page are outside: a CPU that
         cannot fetch its vectors cannot say so. They are predicted before the write, from the
         tables, and not written here; with a warden each of them must be reported.
The seed decides everything but the moment; it is the test's name.
"""

import os
import random
import re
import time

import pytest

import tables
from conftest import BUILD
from gdbstub import Stub

SHORT_SEEDS, FULL_SEEDS, PI_SEEDS = 20, 200, range(1000, 1010)
END = re.compile(r"^(REPORT|PANIC) END$", re.M)
HEAD = re.compile(r"^(RECURSION|FATAL|WARDEN|PANIC) cpu\d+\b", re.M)
LONGEST_REPORT = 100_000    # characters: a report that goes on is endless
WALK_LINE = re.compile(r"^  L(\d)\[(\d+)\] ([0-9a-f]{16}) ", re.M)


class Victim:
    """A machine in the middle of the stress, stopped by the stub."""

    def __init__(self, perch, tmp_path, seed, args, **options):
        socket = str(tmp_path / "gdb")
        # More than the guest's own patience with what a program left behind: 60 s (kern/init.c).
        self.run = perch(ARGS=f"run=stress cycles=2500 seed={seed} {args}", TIMEOUT=180,
                         EXTRA=f"-gdb unix:{socket},server=on,wait=off", **options)
        image = int(self.run.expect(r"image=(0x[0-9a-f]+) ")[1], 16)
        self.run.expect("workload storm")
        time.sleep(random.Random(seed).random() / 4)
        self.stub = Stub(socket)
        self.symbols = tables.Symbols(os.path.join(BUILD, "perch.elf"), image)
        self.entries = tables.entries(self.stub, tables.live_root(self.stub, self.symbols))

    def on_walk_of(self, symbol):
        """The entries that a walk of this address reads."""
        return [e for e in self.entries if e.covers(self.symbols.address[symbol])]

    def write(self, entry, value):
        note = f"\nharness: {entry} := {value:016x}\n"
        self.run.log.write(note)
        self.stub.write(entry.slot, value.to_bytes(8, "little"))
        assert self.stub.read64(entry.slot) == value
        self.stub.detach()


def corrupt(rng, entry, others):
    """A value that the entry does not have."""
    kind = rng.choice(("zero", "flip", "noise", "other"))
    value = {"zero": 0, "flip": entry.value ^ 1 << rng.randrange(64),
             "noise": rng.getrandbits(64), "other": rng.choice(others).value}[kind]
    return value if value != entry.value else 0


def verdict(run, entry, value):
    """How the run ended. Asserts that it did, and that what it said is right."""
    status = run.finish()
    text = run.text
    assert status in (0, 1), f"status {status}: no end, see {run.log_path}"
    assert len(text) < LONGEST_REPORT, f"endless, see {run.log_path}"
    if status == 0:
        assert re.search(r"^stress: result=pass ", text, re.M)
        return "unharmed"
    head = HEAD.search(text)
    if head is None:
        assert re.search(r"^stress: result=fail ", text, re.M), f"see {run.log_path}"
        return "found by the stress"
    # One report, whole, its last line the end; a failure inside it is its short form.
    assert len(END.findall(text)) == 1, f"see {run.log_path}"
    assert re.search(r"^(REPORT|PANIC) END\nPERCH END status=1$", text, re.M)
    # Where a walk passes the entry, it shows the value that was written.
    walked = re.search(r"^walk of (0x[0-9a-f]+) when it happened:\n((?:  L.*\n)+)", text, re.M)
    if walked and entry.covers(int(walked[1], 16)) and entry.region not in ("linear", "kmap"):
        shown = {int(level): int(word, 16) for level, _, word in WALK_LINE.findall(walked[2])}
        if entry.level in shown:
            assert shown[entry.level] == value, f"see {run.log_path}"
    return head[1].lower()


def cases():
    for seed in range(FULL_SEEDS):
        yield pytest.param(seed, marks=[pytest.mark.full] if seed >= SHORT_SEEDS else [])
    for seed in PI_SEEDS:
        yield pytest.param(seed, marks=[pytest.mark.full])


@pytest.mark.parametrize("seed", cases())
def test_corruption_of_a_random_entry_ends_in_a_report(perch, tmp_path, seed):
    rng = random.Random(seed)
    machine = rng.choice(({}, {"GIC": 2}, {"CPU": "max"}))
    if seed in PI_SEEDS:
        machine = {"BOARD": "raspi4b"}
    warden = rng.choice(("", "warden=cpu3"))
    victim = Victim(perch, tmp_path, seed, warden, **machine)
    outside = {e.slot for e in victim.on_walk_of("vectors")}
    region = rng.choice([name for name, _ in tables.REGIONS])
    inside = [e for e in victim.entries if e.slot not in outside]
    entry = rng.choice([e for e in inside if e.region == region])
    value = corrupt(rng, entry, victim.entries)
    victim.write(entry, value)
    outcome = verdict(victim.run, entry, value)
    victim.run.log.write(f"harness: outcome={outcome} outside={len(outside)}\n")
    if warden and entry.is_pinned:
        assert outcome in ("warden", "recursion", "fatal", "panic")


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("kind", ["zero", pytest.param("noise", marks=pytest.mark.full)])
def test_walk_path_of_the_vectors_is_reported_by_a_warden(perch, tmp_path, level, kind):
    """What is outside the guarantee without a warden: predicted, written, reported."""
    victim = Victim(perch, tmp_path, level, "warden=cpu3")
    predicted = victim.on_walk_of("vectors")
    assert sorted(e.level for e in predicted) == [0, 1, 2, 3]
    entry = next(e for e in predicted if e.level == level)
    value = 0 if kind == "zero" else random.Random(level).getrandbits(64) & ~1
    victim.write(entry, value)
    outcome = verdict(victim.run, entry, value)
    # Another CPU may meet the entry first, with its own vectors still in the TLB.
    assert outcome in ("warden", "recursion", "fatal")
    head = HEAD.search(victim.run.text).string
    if outcome == "warden":
        assert re.search(rf"^WARDEN cpu3 cause=vectors va=\w+ "
                         rf"entry=L{entry.level}\[{entry.index}\]$", head, re.M)


def test_warden_names_the_vectors_that_break_while_it_compares_the_rest(perch, tmp_path):
    victim = Victim(perch, tmp_path, 1, "warden=cpu3")
    victim.stub.run_to(victim.symbols.address["lifeboat_compare"])
    entry = next(e for e in victim.on_walk_of("vectors") if e.level == 1)
    victim.write(entry, 0)
    assert victim.run.finish() == 1
    assert re.search(rf"^WARDEN cpu3 cause=vectors va=\w+ entry=L1\[{entry.index}\]$",
                     victim.run.text, re.M)


@pytest.mark.parametrize("slot, head", [
    (0x180, r"FATAL cpu\d reason=serror elr="),
    (0x100, r"FATAL cpu\d reason=fiq elr="),
    (0x380, r"RECURSION cpu\d depth=2 cause=serror elr="),
    (0x300, r"RECURSION cpu\d depth=2 cause=fiq elr="),
    (0x280, r"RECURSION cpu\d depth=2 cause=irq elr="),
    (0x500, r"FATAL cpu\d reason=el0-fiq elr="),
    (0x780, r"FATAL cpu\d reason=el0-32-serror elr="),
])
def test_unexpected_vectors_are_reported(perch, tmp_path, slot, head):
    """QEMU raises no SError here: a CPU is put at the vector, as if one had come."""
    victim = Victim(perch, tmp_path, slot, "")
    thread = victim.stub.threads()[1]
    victim.stub.mask_interrupts(thread)
    victim.stub.set_pc(thread, victim.symbols.address["vectors"] + slot)
    victim.stub.detach()
    assert victim.run.finish() == 1
    assert re.search(rf"^{head}", victim.run.text, re.M), f"see {victim.run.log_path}"
    assert len(END.findall(victim.run.text)) == 1
