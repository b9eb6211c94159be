# SPDX-License-Identifier: BSD-2-Clause
"""Device trees for tests: QEMU's own, taken apart, changed, and passed by our own loader."""

import os
import re
import subprocess

from conftest import BUILD, HERE

RAM = 0x40000000
LOAD = RAM + 0x200000           # of the image: 2 MiB-aligned, as the boot protocol says
TREE = RAM + 0x7000000          # of the tree: 112 MiB up, out of the image's way
LOADER = RAM + 0x7800000


def base_dts(folder, machine="virt,gic-version=3", smp=4, mem="1G", cpu="cortex-a72", args=""):
    """The tree that QEMU would give to the machine, as source text."""
    blob = os.path.join(folder, "base.dtb")
    subprocess.run(["qemu-system-aarch64", "-M", f"{machine},dumpdtb={blob}", "-cpu", cpu,
                    "-smp", str(smp), "-m", mem, "-nic", "none", "-display", "none"],
                   check=True, capture_output=True, timeout=60)
    text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", blob], check=True,
                          capture_output=True, text=True, timeout=60).stdout
    return edit(text, r"chosen \{", f'chosen {{\n\t\tbootargs = "{args}";')


def edit(text, pattern, replacement, count=1):
    """Replace, and insist that there was something to replace."""
    result, times = re.subn(pattern, lambda _: replacement, text, count=count, flags=re.S)
    assert times, f"the tree has no {pattern}"
    return result


def cut_node(text, name):
    """Remove the node whose name begins with `name` (no nested nodes inside)."""
    return edit(text, rf"\n\t+{name}[^{{;]*\{{[^{{}}]*\}};", "")


def compile_tree(text, *flags):
    """The blob of a tree, however odd the tree is."""
    return subprocess.run(["dtc", "-q", "-f", "-I", "dts", "-O", "dtb", *flags], check=True,
                          input=text.encode(), capture_output=True, timeout=60).stdout


def loader(folder, blob, tree=TREE):
    """An ELF program that starts build/perch.img with this blob; returns its path."""
    blob_path, script, path = (os.path.join(folder, name)
                               for name in ("tree.dtb", "loader.ld", "loader.elf"))
    with open(blob_path, "wb") as out:
        out.write(blob or bytes(8))
    with open(script, "w", encoding="ascii") as out:
        out.write(f"SECTIONS {{ .image {LOAD:#x} : {{ *(.image) }} "
                  f".tree {TREE:#x} : {{ *(.tree) }} "
                  f".text {LOADER:#x} : {{ *(.text.start) }} }} ENTRY(_start)\n")
    subprocess.run(["clang-19", "--target=aarch64-none-elf", "-nostdlib", "-fuse-ld=lld-19",
                    f"-DTREE={tree:#x}", f"-DLOAD={LOAD:#x}", f"-DQEMU_TREE={RAM:#x}",
                    f'-DIMAGE_FILE="{os.path.join(BUILD, "perch.img")}"',
                    f'-DTREE_FILE="{blob_path}"', f"-Wl,-T,{script}", "-Wl,-n", "-o", path,
                    os.path.join(HERE, "image.S")], check=True, timeout=60)
    return path
