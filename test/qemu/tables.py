# SPDX-License-Identifier: BSD-2-Clause
"""The live translation tables of a stopped machine, as the hardware would read them.

Nothing of the kernel's code is used: the image's symbols, and the descriptors of the Arm ARM.
"""

from elftools.elf.elffile import ELFFile

IMAGE_BASE = 0xFFFFFFFF80000000
ADDRESS = 0x0000FFFFFFFFF000
KERNEL_HALF = 0xFFFF << 48
SHIFT = (39, 30, 21, 12)
REGIONS = (("linear", 0xFFFF000000000000), ("pinned", 0xFFFF800000000000),
           ("kmap", 0xFFFFA00000000000), ("device", 0xFFFFB00000000000),
           ("image", 0xFFFFFFFF80000000))


class Entry:
    """A valid entry: where it is, what it maps or leads to."""

    def __init__(self, slot, level, va, value):
        self.slot, self.level, self.va, self.value = slot, level, va, value

    @property
    def index(self):
        return self.va >> SHIFT[self.level] & 511

    @property
    def is_table(self):
        return self.level < 3 and self.value & 3 == 3

    @property
    def region(self):
        """Where it lies; a table entry above several regions belongs to the last of them."""
        last = self.va + (1 << SHIFT[self.level]) - 1
        return [name for name, base in REGIONS if base <= last][-1]

    @property
    def is_pinned(self):
        """Does it map, or lead to, pinned memory? The window onto the boot tree is none."""
        window = 0xFFFFC00000000000 <= self.va < 0xFFFFFF8000000000
        return self.region in ("pinned", "device", "image") and not window

    def covers(self, va):
        return va >> SHIFT[self.level] == self.va >> SHIFT[self.level]

    def __str__(self):
        return f"L{self.level}[{self.index}] va={self.va:#x} {self.value:016x} ({self.region})"


class Symbols:
    """Addresses of the image's symbols; physical ones by where it was loaded."""

    def __init__(self, elf, image_pa):
        self.image_pa = image_pa
        with open(elf, "rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            self.address = {s.name: s["st_value"] for s in table.iter_symbols()}

    def physical(self, name):
        return self.address[name] - IMAGE_BASE + self.image_pa


def live_root(stub, symbols):
    """struct boot_regs: mair, tcr, ttbr0, ttbr1."""
    return stub.read64(symbols.physical("boot_regs") + 24) & ADDRESS


def entries(stub, root):
    """All valid entries below a root."""
    found, todo = [], [(root, 0, KERNEL_HALF)]
    while todo:
        table, level, base = todo.pop()
        page = stub.read(table, 4096)
        for index in range(512):
            value = int.from_bytes(page[index * 8:index * 8 + 8], "little")
            if value & 1:
                va = base + (index << SHIFT[level])
                entry = Entry(table + index * 8, level, va, value)
                found.append(entry)
                if entry.is_table:
                    todo.append((value & ADDRESS, level + 1, va))
    return found
