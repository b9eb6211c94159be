# SPDX-License-Identifier: BSD-2-Clause
"""Bad input: each a one-line message on whatever console there is, then a clean stop, or going
on without the part where that is safe. Never silence, never a hang, never a panic.

The trees are QEMU's own, changed as text, and passed by a loader of our own (image.S), because
QEMU repairs or refuses what it passes itself.
"""

import re

import pytest
import trees
from trees import LOAD, RAM, base_dts, compile_tree, cut_node, edit


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def boot(perch, folder, blob, tree=trees.TREE, **options):
    return perch(IMAGE=trees.loader(folder, blob, tree), **options)


def stops(run, message):
    """One line that names the cause, then the end marker with a failure."""
    status = run.finish()
    lines = run.lines(message)
    assert lines, f"nothing says /{message}/, status {status}, see {run.log_path}"
    assert len(lines) == 1
    assert status not in (0, 122, 124), f"status {status}: no clean stop"
    assert not run.lines(r"PANIC|ESR|FAR=")


def goes_on(run, message):
    """The message, and a kernel that works without the part."""
    text = run.passed()
    assert re.search(message, text, re.I | re.M), f"nothing says /{message}/, see {run.log_path}"


def test_control_unchanged_tree_boots(perch, folder):
    """The loader and the tree's way through dtc change nothing: the control of all below."""
    blob = compile_tree(base_dts(folder, args="run=test"))
    boot(perch, folder, blob).passed()


def test_no_tree(perch, folder):
    stops(boot(perch, folder, b"", tree=0), r"no device tree")


def test_tree_that_is_not_one(perch, folder):
    blob = b"\xde\xad\xbe\xef" * 1024
    stops(boot(perch, folder, blob), r"device tree")


@pytest.mark.parametrize("keep", [40, 64, 1024])
def test_truncated_tree(perch, folder, keep):
    """The header is whole and promises more than there is: zeros follow."""
    blob = compile_tree(base_dts(folder))
    stops(boot(perch, folder, blob[:keep] + bytes(len(blob) - keep)), r"^boot failed: ")


def test_tree_larger_than_it_can_be(perch, folder):
    blob = bytearray(compile_tree(base_dts(folder)))
    blob[4:8] = (0x7FFFFFFF).to_bytes(4, "big")
    stops(boot(perch, folder, bytes(blob)), r"(device tree|are readable)")


def test_no_memory_node(perch, folder):
    stops(boot(perch, folder, compile_tree(cut_node(base_dts(folder), "memory@"))),
          r"no memory node")


def test_memory_too_small(perch, folder):
    text = edit(base_dts(folder), r"(?<=reg = )<0x00 0x40000000 0x00 0x40000000>",
                "<0x00 0x40000000 0x00 0x1000000>")
    stops(boot(perch, folder, compile_tree(text)), r"memory too small")


def test_reservations_that_overlap(perch, folder):
    """Two in the memory-reserve block, one node across both: merged, said, and it boots."""
    base = RAM + 0x20000000
    text = base_dts(folder, args="run=test")
    text = edit(text, r"/ \{", f"/memreserve/ {base:#x} 0x200000;\n"
                f"/memreserve/ {base + 0x100000:#x} 0x200000;\n/ {{")
    text = edit(text, r"\n\tchosen \{", "\n\treserved-memory {\n\t\t#address-cells = <2>;\n"
                "\t\t#size-cells = <2>;\n\t\tranges;\n"
                f"\t\tblob@0 {{ reg = <0 {base - 0x1000:#x} 0 0x2000>; }};\n\t}};\n\n\tchosen {{")
    goes_on(boot(perch, folder, compile_tree(text)), r"meets another: merged")


def test_reservation_of_everything(perch, folder):
    text = edit(base_dts(folder), r"/ \{", f"/memreserve/ {RAM:#x} 0x40000000;\n/ {{")
    stops(boot(perch, folder, compile_tree(text)), r"reservations leave")


def extra_cpus(text, first, count):
    nodes = "".join(f'\n\t\tcpu@{n:x} {{ device_type = "cpu"; compatible = "arm,cortex-a72"; '
                    f'reg = <{(n // 16) << 8 | n % 16:#x}>; enable-method = "psci"; }};'
                    for n in range(first, first + count))
    last = re.search(r"\n\t\tcpu@3 \{[^{}]*\};", text)[0]
    return text.replace(last, last + nodes)


def test_cpu_that_never_starts(perch, folder):
    """The tree names a fifth CPU that the machine has not."""
    text = extra_cpus(base_dts(folder, args="run=test"), 4, 1)
    goes_on(boot(perch, folder, compile_tree(text)), r"cpus=4 of 5$")


def test_more_cpus_than_supported(perch, folder):
    text = extra_cpus(base_dts(folder, args="run=test"), 4, 100)
    goes_on(boot(perch, folder, compile_tree(text)), r"\b40 CPUs are beyond what Perch supports")


def test_gic_that_we_do_not_drive(perch, folder):
    text = edit(base_dts(folder), r'compatible = "arm,gic-v3"', 'compatible = "acme,gic-9"')
    stops(boot(perch, folder, compile_tree(text)), r"no interrupt controller that we drive")


def test_console_unknown(perch, folder):
    """No stdout-path, no UART node: a PL011 is guessed where the board has one, or silence is
    avoided some other way; the in-kernel tests pass as if nothing were missing."""
    text = cut_node(base_dts(folder, args="run=test"), "pl011@")
    text = edit(text, r"\n\t+stdout-path[^;]*;", "")
    status = boot(perch, folder, compile_tree(text)).finish()
    assert status == 0


def test_enable_method_unknown(perch, folder):
    text = edit(base_dts(folder, args="run=test"), r'enable-method = "psci"',
                'enable-method = "magic"', count=0)
    goes_on(boot(perch, folder, compile_tree(text)), r"enable-method is not one we know")


@pytest.mark.parametrize("word", ["frobnicate=1", "seed=abc", "cycles=-1", "bbm=sometimes",
                                  "=", "seed=99999999999999999999999"])
def test_bad_boot_argument_is_named(perch, word):
    """Named, ignored, and the boot goes on."""
    run = perch(ARGS=f"run=none {word}", SMP=1)
    text = run.passed()
    assert re.search(re.escape(word.split("=")[0] or "="), text)
    assert run.lines(r"(unknown|invalid|ignored|not a|out of range|expected)")


def test_very_long_boot_arguments(perch):
    """Past what we keep: cut, said, and the first words still count."""
    run = perch(ARGS="run=none " + "x" * 3000, SMP=1)
    text = run.passed()
    assert re.search(r"bootargs cut|unknown|ignored", text)


def test_image_at_another_address(perch, folder, monkeypatch):
    """Any 2 MiB-aligned load address will do."""
    monkeypatch.setattr(trees, "LOAD", LOAD + 0x1C00000)
    blob = compile_tree(base_dts(folder, args="run=test"))
    boot(perch, folder, blob).passed()


def test_alias_of_itself(perch, folder):
    """A name that leads to itself must not be followed for ever: the stack is finite."""
    text = edit(base_dts(folder, args="run=test"), r"stdout-path[^;]*;", 'stdout-path = "loop";')
    text = edit(text, r"\taliases \{", '\taliases {\n\t\tloop = "loop";')
    goes_on(boot(perch, folder, compile_tree(text)), r"device tree: stdout-path: FDT_ERR_BADPATH")
