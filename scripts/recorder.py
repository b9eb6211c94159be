# SPDX-License-Identifier: BSD-2-Clause
"""Read Perch's memory and its flight recorders from outside: a dump, a stopped QEMU, a debugger.

THEORY   The kernel describes its recorders itself (recorder_layout in pcpu/recorder.c), so all that
         is needed is the image's symbols and a way to read memory. Who reads by virtual address
         (GDB) uses rings() at once; who reads by physical address finds the image by comparing,
         and walks the kernel's tables as they were in that memory.
NOT HERE What the records mean on a time line: scripts/trace.
"""

import struct
from collections import namedtuple

PAGE = 4096
BLOCK = 2 << 20
ADDRESS_MASK = 0x0000FFFFFFFFF000
VALID, TABLE = 1, 2
LAYOUT = struct.Struct("<QQ8I")
KIND = struct.Struct("<13scc?")
RECORD = struct.Struct("<QIIQQQQ")
RECORD_STEP_SHIFT = 8
NUMBER_BITS = 24
SGI = {0: "park", 1: "stop", 2: "wake", 3: "storm"}
TLBI = {0: "by address", 1: "by range", 2: "everything", 3: "page by page"}
ATTRIBUTES = {0: "normal", 1: "device", 2: "uncached"}

Layout = namedtuple("Layout", "counter_hz root entries record_bytes ring_offset next_offset "
                              "mailbox_offset spx_top max_cpus kinds")
Kind = namedtuple("Kind", "name a b lasts")
# took: ticks until it ended, None if it did not, or is not of a kind that lasts.
Record = namedtuple("Record", "cpu number time kind took a b c d")


class RecorderError(Exception):
    """Memory that does not hold what it should."""


def read_layout(read, address):
    """The description in memory. read(address, bytes) -> bytes."""
    *head, count = LAYOUT.unpack(read(address, LAYOUT.size))
    if head[3] != RECORD.size or not 0 < count < 256 or head[0] == 0:
        raise RecorderError("no recorder_layout there: the image and the memory differ, "
                            "or it had not booted so far")
    raw = read(address + LAYOUT.size, count * KIND.size)
    kinds = [Kind(name.split(b"\0")[0].decode(), a.decode(), b.decode(), lasts)
             for name, a, b, lasts in KIND.iter_unpack(raw)]
    return Layout(*head, kinds)


def decode_ring(layout, cpu, written, raw):
    """The records of one ring, oldest first. written: how many there were since boot."""
    records = []
    for number in range(max(0, written - layout.entries), written):
        slot = number % layout.entries * RECORD.size
        time, ident, took, *values = RECORD.unpack_from(raw, slot)
        kind = ident & 0xFF
        if ident >> 8 != number & (1 << NUMBER_BITS) - 1 or kind >= len(layout.kinds):
            continue            # half-written, or never
        records.append(Record(cpu, number, time, layout.kinds[kind],
                              took - 1 if took else None, *values))
    return records


def rings(read, symbol):
    """(layout, {cpu: records}) by virtual addresses; symbol(name) -> address."""
    layout = read_layout(read, symbol("recorder_layout"))
    slices = struct.unpack(f"<{layout.max_cpus}Q",
                           read(symbol("pcpu_slice"), 8 * layout.max_cpus))
    found = {}
    for cpu, at in enumerate(slices):
        if at != 0:
            written, = struct.unpack("<Q", read(at + layout.next_offset, 8))
            raw = read(at + layout.ring_offset, layout.entries * RECORD.size)
            found[cpu] = decode_ring(layout, cpu, written >> RECORD_STEP_SHIFT, raw)
    return layout, found


def level_bytes(level):
    return 1 << 39 - 9 * level


def index_of(address, level):
    return address >> 39 - 9 * level & 511


def is_table(entry, level):
    return level < 3 and entry & (VALID | TABLE) == VALID | TABLE


def walk(read_physical, root, address):
    """The entries from level 0 down to the last: [(level, index, entry)]."""
    steps = []
    table = root & ADDRESS_MASK
    for level in range(4):
        index = index_of(address, level)
        entry, = struct.unpack("<Q", read_physical(table + 8 * index, 8))
        steps.append((level, index, entry))
        if not is_table(entry, level):
            break
        table = entry & ADDRESS_MASK
    return steps


def translate(steps, address):
    """The physical address that a walk leads to, or None."""
    level, _, entry = steps[-1]
    if not entry & VALID or level == 0 or (level == 3 and not entry & TABLE):
        return None
    return (entry & ADDRESS_MASK & -level_bytes(level)) + address % level_bytes(level)


def describe_entry(entry, level):
    """An entry in words."""
    if not entry & VALID:
        return "INVALID"
    address = entry & ADDRESS_MASK
    if is_table(entry, level):
        return f"table pa={address:#x}"
    words = ["page" if level == 3 else "block", f"pa={address:#x}",
             ATTRIBUTES.get(entry >> 2 & 7, "attr?"), "ro" if entry & 1 << 7 else "rw"]
    for bit, set_, word in ((53, 0, "exec"), (10, 0, "AF=0"), (52, 1, "contiguous"), (6, 1, "el0")):
        if (entry >> bit & 1) == set_:
            words.append(word)
    return " ".join(words)


def describe_span(value):
    """An address with the size in its low bits (REC_SPAN)."""
    size = 1 << (value & 0x3F)
    text = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
    return f"{text} at {value & ~0xFFF:#x}"


def describe_value(kind, value, name_of):
    """A record's a or b by its letter in REC_KINDS; name_of(address) -> text or None."""
    if kind == "d":
        return str(value)
    if kind == "m":
        return "cpus " + ",".join(str(cpu) for cpu in range(64) if value >> cpu & 1)
    if kind == "v":
        return describe_span(value)
    if kind in "pl":
        return name_of(value) or (("token" if kind == "l" else "waiting") if value == 0
                                  else hex(value))
    return hex(value)


def describe(record, name_of):
    """One record in words, without its time."""
    a = describe_value(record.kind.a, record.a, name_of)
    b = describe_value(record.kind.b, record.b, name_of)
    words = f"cpu{record.cpu} {record.kind.name} {a} {b}"
    if record.kind.name == "change":
        words += f" -> {record.c:#x} by {name_of(record.d) or hex(record.d)}"
    if record.kind.lasts:
        words += f" took {record.took} ticks" if record.took is not None else " NOT ENDED"
    return words


class Image:
    """The ELF file: symbols by name and by address."""

    def __init__(self, path):
        from elftools.elf.elffile import ELFFile    # GDB's Python may not have it
        self.path = path
        with open(path, "rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            if table is None:
                raise RecorderError(f"{path}: no symbols")
            self.address = {s.name: s["st_value"] for s in table.iter_symbols() if s.name}
            self.named = sorted((s["st_value"], s["st_size"], s.name)
                                for s in table.iter_symbols()
                                if s["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT"))
            first = min((s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"),
                        key=lambda s: s["p_vaddr"])
            self.base = self.address["_image_start"]
            self.head = first.data()[:PAGE]

    def symbol(self, name):
        if name not in self.address:
            raise RecorderError(f"{self.path}: no symbol {name}")
        return self.address[name]

    def name_of(self, address):
        """symbol+offset, or None. A label without a size reaches to the next one."""
        import bisect
        index = bisect.bisect(self.named, (address, 1 << 64, "")) - 1
        if index < 0 or address < self.base:
            return None
        start, size, name = self.named[index]
        if address - start >= (size or PAGE):
            return None
        return name if address == start else f"{name}+{address - start:#x}"


SLICE = 64 << 10


class Memory:
    """Virtual reads over physical ones: the image where it lies, the rest by a walk."""

    def __init__(self, read_physical, candidates, image):
        """candidates: physical addresses at which the image may begin."""
        self.read_physical = read_physical
        self.image = image
        self.image_pa = next((pa for pa in candidates if self.is_image(pa)), None)
        if self.image_pa is None:
            raise RecorderError("the image is not in this memory (another build?)")
        self.image_end = image.symbol("_image_end")
        self.layout = read_layout(self.read, image.symbol("recorder_layout"))

    def is_image(self, pa):
        return self.read_physical(pa, len(self.image.head)) == self.image.head

    def read(self, address, size):
        parts = b""
        while size > 0:
            part = min(size, PAGE - address % PAGE)
            parts += self.read_page(address, part)
            address += part
            size -= part
        return parts

    def read_page(self, address, size):
        if self.image.base <= address < self.image_end:
            return self.read_physical(self.image_pa + address - self.image.base, size)
        pa = translate(walk(self.read_physical, self.layout.root, address), address)
        if pa is None:
            pa = self.noted_frame(address)
        if pa is None:
            raise RecorderError(f"{address:#x} is not mapped")
        return self.read_physical(pa, size)

    def noted_frame(self, address):
        """Slices may lie in the very mapping that broke: their frames were noted at boot."""
        noted, slices = (self.image.address.get(name) for name in ("slice_frame", "pcpu_slice"))
        for cpu in range(self.layout.max_cpus if noted and slices else 0):
            base, = struct.unpack("<Q", self.read(slices + 8 * cpu, 8))
            if base and base <= address < base + SLICE:
                page = cpu * SLICE // PAGE + (address - base) // PAGE
                frame, = struct.unpack("<Q", self.read(noted + 8 * page, 8))
                return frame + address % PAGE if frame else None
        return None
