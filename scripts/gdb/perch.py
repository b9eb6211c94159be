# SPDX-License-Identifier: BSD-2-Clause
"""GDB commands for Perch under QEMU's stub.

    make run GDB=1 ARGS=...                 in one terminal; it waits
    gdb-multiarch build/perch.elf -x scripts/gdb/perch.py -ex 'target remote :1234'

    perch-walk ADDRESS          the live tables' entries for an address, decoded
    perch-pcpu [CPU]            a CPU's slice: locks, masks, counters that are not 0
    perch-park                  the window, and every CPU's mailbox
    perch-trace [COUNT]         the last records of all flight recorders, merged by time
    perch-recursion [catch]     explain the exception that this CPU took; with `catch`, stop at the
                                next exception taken on the exception stack

THEORY   Everything is read by physical address (QEMU's PhyMemMode): the tables that are broken are
         looked at, never used. Entries, addresses and records print in words.
"""

import os
import sys

import gdb

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True

import qemu_memory  # noqa: E402
import recorder     # noqa: E402

DOORS = ("off", "idle", "el0", "kernel")
FRAME_BYTES = 288
FRAME_ELR = 256
CLASSES = {0x00: "undefined instruction", 0x07: "FP/SIMD access", 0x0E: "illegal execution state",
           0x15: "SVC", 0x18: "system register access", 0x20: "instruction abort from EL0",
           0x21: "instruction abort", 0x22: "PC alignment", 0x24: "data abort from EL0",
           0x25: "data abort", 0x26: "SP alignment", 0x2F: "SError", 0x31: "breakpoint",
           0x33: "step", 0x3C: "breakpoint instruction"}
FAULTS = ("address size fault", "translation fault", "access flag fault", "permission fault")
ABORTS = (0x20, 0x21, 0x24, 0x25)


def describe_esr(esr):
    """An ESR_EL1 in words."""
    kind = esr >> 26 & 63
    words = CLASSES.get(kind, f"exception class {kind:#x}")
    if kind in ABORTS:
        status = esr & 63
        words += f", {FAULTS[status >> 2]}, level {status & 3}" if status < 16 else ", other fault"
        if kind >= 0x24:
            words += ", write" if esr >> 6 & 1 else ", read"
    return words


def door_name(door):
    return DOORS[door] if door < len(DOORS) else str(door)


class Physical:
    """Reads by physical address through QEMU's stub."""

    @staticmethod
    def read(pa, size):
        gdb.execute("maintenance packet Qqemu.PhyMemMode:1", to_string=True)
        try:
            # GDB's cache does not know of the mode.
            gdb.execute("maintenance flush dcache", to_string=True)
            return bytes(gdb.selected_inferior().read_memory(pa, size))
        except gdb.MemoryError:
            return bytes(size)
        finally:
            gdb.execute("maintenance packet Qqemu.PhyMemMode:0", to_string=True)
            gdb.execute("maintenance flush dcache", to_string=True)


class Target:
    """The kernel that runs: its image, its memory, its structures."""

    known = None

    @classmethod
    def get(cls):
        """The target, found once; the image's place does not change."""
        path = gdb.current_progspace().filename
        if cls.known is None or cls.known.image.path != path:
            cls.known = cls(path)
        return cls.known

    def __init__(self, path):
        if path is None:
            raise gdb.GdbError("no program: gdb-multiarch build/perch.elf")
        self.image = recorder.Image(path)
        self.memory = recorder.Memory(Physical.read, qemu_memory.QmpMemory.candidates(),
                                      self.image)

    def value(self, address, kind):
        """What is at an address, as a value of a C type."""
        c_type = gdb.lookup_type(kind)
        return gdb.Value(self.memory.read(address, c_type.sizeof), c_type)

    def variable(self, name):
        """A variable of the image, also a static one."""
        symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
        if symbol is None:
            raise gdb.GdbError(f"no variable {name} in the image")
        raw = self.memory.read(self.image.symbol(name), symbol.type.sizeof)
        return gdb.Value(raw, symbol.type)

    def slices(self):
        """(CPU, address of its slice) of every CPU."""
        slices = self.variable("pcpu_slice")
        low, high = slices.type.range()
        return [(cpu, int(slices[cpu])) for cpu in range(low, high + 1) if int(slices[cpu])]

    def mailbox(self, at):
        return self.value(at + self.memory.layout.mailbox_offset, "struct mailbox")

    def rings(self):
        return recorder.rings(self.memory.read, self.image.symbol)[1]

    def walk(self, address):
        """The kernel's half by its own root, the user's by this CPU's TTBR0."""
        if address >> 48 not in (0, 0xFFFF):
            raise gdb.GdbError(f"{address:#x} is not canonical")
        root = self.memory.layout.root
        if address >> 48 == 0:
            root = int(gdb.parse_and_eval("$TTBR0_EL1"))
        return recorder.walk(Physical.read, root, address)

    def name(self, address):
        return self.image.name_of(address) or hex(address)


def print_walk(target, address):
    for level, index, entry in target.walk(address):
        print(f"  L{level}[{index}] {entry:016x} {recorder.describe_entry(entry, level)}")


def merged(rings):
    return sorted((record for ring in rings.values() for record in ring),
                  key=lambda record: record.time)


def last_change(target, rings, address):
    """The newest change whose range holds an address."""
    found = None
    for record in merged(rings):
        base, size = record.a & ~0xFFF, 1 << (record.a & 0x3F)
        if record.kind.name == "change" and base <= address < base + size:
            found = record
    return found


class Command(gdb.Command):
    """One command: errors become one line, whatever they are about."""

    name = ""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_DATA)

    def invoke(self, argument, _from_tty):
        words = gdb.string_to_argv(argument)
        try:
            if not self.without_target(words):
                self.run(Target.get(), words)
        except (recorder.RecorderError, gdb.error, KeyError, IndexError, ValueError) as error:
            raise gdb.GdbError(f"{self.name}: {error}") from error

    def without_target(self, words):
        """What needs no memory of a kernel that has booted. True: that was all."""
        return False

    def run(self, target, words):
        raise NotImplementedError

    @staticmethod
    def number(text):
        return int(gdb.parse_and_eval(text)) & (1 << 64) - 1


class Walk(Command):
    """perch-walk ADDRESS: the live tables' entries for an address, by physical address."""

    name = "perch-walk"

    def run(self, target, words):
        if len(words) != 1:
            raise gdb.GdbError("usage: perch-walk ADDRESS")
        print_walk(target, self.number(words[0]))


class Pcpu(Command):
    """perch-pcpu [CPU]: a CPU's slice; all of them without a number."""

    name = "perch-pcpu"

    def run(self, target, words):
        wanted = self.number(words[0]) if words else None
        shown = [(cpu, at) for cpu, at in target.slices() if wanted in (None, cpu)]
        if not shown:
            raise gdb.GdbError(f"there is no cpu{wanted}")
        for cpu, at in shown:
            self.show(target, cpu, at)

    @staticmethod
    def show(target, cpu, at):
        pcpu = target.value(at, "struct pcpu")
        base = pcpu["base"]
        door = int(target.mailbox(at)["door"])
        print(f"cpu{cpu} slice={at:#x} node={int(base['node'])} mpidr={int(base['mpidr']):#x} "
              f"door={door_name(door)}")
        held = [target.name(int(base["lock"][i])) for i in range(int(base["lock_count"]))]
        wanted = int(base["lock_wanted"])
        print(f"  holds {', '.join(held) or 'no lock'}"
              + (f", wants {target.name(wanted)}" if wanted else ""))
        print(f"  masked depth={int(base['mask_depth'])} by {target.name(int(base['mask_pc']))}")
        names = [field.name for field in gdb.lookup_type("enum counter").fields()]
        for number, name in enumerate(names[:-1]):
            count = int(pcpu["counter"][number])
            if count:
                print(f"  {name[len('CTR_'):]:18} {count}")


class Park(Command):
    """perch-park: the window that is open, and every CPU's mailbox."""

    name = "perch-park"

    def run(self, target, words):
        state = target.variable("park_state")
        owner = int(state["owner"])     # a slice
        cpu_of = {at: f"cpu{cpu}" for cpu, at in target.slices()}
        print(f"window={int(state['window'])} generation={int(state['generation'])} "
              f"online={int(state['online']):#x} "
              f"token={cpu_of.get(owner, hex(owner)) if owner else 'free'}")
        for cpu, at in target.slices():
            box = target.mailbox(at)
            request, ack, release, door, pc = (
                int(box[field]) for field in ("request", "ack", "release", "door", "ack_pc"))
            text = (f"  cpu{cpu} door={door_name(door)} request={request} ack={ack} "
                    f"release={release}")
            if request > release:
                text += " PARKED" if ack == request else " ASKED"
            print(text + (f" interrupted {target.name(pc)}" if pc else ""))


class Trace(Command):
    """perch-trace [COUNT]: the last records of all flight recorders, merged by time."""

    name = "perch-trace"

    def run(self, target, words):
        count = self.number(words[0]) if words else 32
        hz = target.memory.layout.counter_hz
        for record in merged(target.rings())[-count:]:
            print(f"{record.time * 1e3 / hz:14.6f} ms "
                  + recorder.describe(record, target.image.name_of))


class Recursion(Command):
    """perch-recursion [catch]: explain the exception that this CPU took last.

    catch: stop at the next exception that is taken on the exception stack, and only there."""

    name = "perch-recursion"

    def without_target(self, words):
        if words == ["catch"]:
            gdb.execute("hbreak *(unsigned long)&spx_sync")
        return words == ["catch"]

    def run(self, target, words):
        if words:
            raise gdb.GdbError("usage: perch-recursion [catch]")
        esr, elr, far, spsr, kept = (
            self.number(f"${name}") for name in
            ("ESR_EL1", "ELR_EL1", "FAR_EL1", "SPSR_EL1", "CNTP_CVAL_EL0"))
        on_spx = spsr & 0xF == 5
        print(f"this exception: {describe_esr(esr)}"
              + (", on the exception stack: RECURSION" if on_spx else ""))
        print(f"  elr {elr:#x} {target.name(elr)}, far {far:#x}, spsr {spsr:#x}")
        print(f"  the last one from SP0 or EL0: elr {kept:#x} {target.name(kept)}")
        self.first_cause(target, kept)
        if esr >> 26 & 63 in ABORTS and not esr >> 10 & 1:
            self.about(target, far)

    @staticmethod
    def first_cause(target, kept):
        """The frame of the exception from SP0: the topmost thing on the exception stack.

        A CPU that went there by itself (a window) has none: then ELR is not the one kept."""
        cpu = gdb.selected_thread().num - 1
        top = dict(target.slices())[cpu] + target.memory.layout.spx_top
        try:
            elr, _, esr, far = (int.from_bytes(
                target.memory.read(top - FRAME_BYTES + FRAME_ELR + 8 * i, 8), "little")
                for i in range(4))
        except recorder.RecorderError as error:
            print(f"  its frame is out of reach: {error}")
            return
        if elr != kept:
            print("  no frame of it: this CPU went to the exception stack by itself, or the entry "
                  "had not stored ELR")
            return
        print(f"  its frame: {describe_esr(esr)}, elr {elr:#x} {target.name(elr)}, far {far:#x}")

    @staticmethod
    def about(target, address):
        print(f"walk of {address:#x}:")
        print_walk(target, address)
        change = last_change(target, target.rings(), address)
        if change is None:
            print("no recorder holds a change of it")
            return
        print("who broke it:")
        print("  " + recorder.describe(change, target.image.name_of))


class EntryPrinter:
    """A pte_t in words. Its level is not known: 0b11 is a table or a page."""

    def __init__(self, value):
        self.entry = int(value["v"])

    def to_string(self):
        kind = "table or " if self.entry & 3 == 3 else ""
        level = 3 if self.entry & 3 == 3 else 2
        return f"{self.entry:#018x} {kind}{recorder.describe_entry(self.entry, level)}"


class AddressPrinter:
    """A va_t or pa_t."""

    def __init__(self, value):
        self.address = int(value["v"])

    def to_string(self):
        return f"{self.address:#x}"


def printer(value):
    """Types of one field print as what they mean."""
    kind = value.type.name
    return {"pte_t": EntryPrinter, "va_t": AddressPrinter, "pa_t": AddressPrinter}.get(
        kind, lambda _: None)(value)


for command in (Walk, Pcpu, Park, Trace, Recursion):
    command()
gdb.pretty_printers.append(printer)
