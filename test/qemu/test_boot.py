# SPDX-License-Identifier: BSD-2-Clause
"""The boot matrix: every machine that Perch says it boots on, in-kernel tests included.

Each case boots one machine with run=test, so a boot is not only a banner: the kernel's own
tests run on that CPU model, interrupt controller, memory layout and number of CPUs. What the
boot log must say is checked against what the machine was built from.

Short: one value of everything at least once, pairs that are known to differ. --full: all CPU
models on both interrupt controllers, every number of CPUs, every memory size, every entry level.
"""

import os
import re
import subprocess

import pytest
from conftest import TOP

MODELS = ("cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "cortex-a710", "neoverse-n1",
          "neoverse-n2", "neoverse-v1", "max")
BBM_LEVEL = {"cortex-a710": 2, "neoverse-n2": 2, "neoverse-v1": 2, "max": 2}
MEMORY = ("128M", "256M", "512M", "1G", "2G", "4G", "8G", "16G")


def machine(full=False, **options):
    """One case; its name shows what differs from the default machine."""
    name = "-".join(f"{key.lower()}={value}" for key, value in options.items())
    return pytest.param(options, id=name or "default", marks=[pytest.mark.full] if full else [])


SHORT = [
    machine(),
    machine(CPU="cortex-a53", GIC=2, SMP=1, MEM="128M"),
    machine(CPU="cortex-a57", GIC=2, SMP=2, NUMA=2),
    machine(CPU="cortex-a76", EL=2, GIC=2, SMP=3),
    machine(CPU="cortex-a710", EL=3, GIC=3, SMP=2),
    machine(CPU="neoverse-n1", EL=2, SMP=4, MEM="16G"),
    machine(CPU="neoverse-n2", SMP=4, NUMA=2, MEM="2G"),
    machine(CPU="neoverse-v1", SMP=8, GIC=2, MEM="512M"),
    machine(CPU="max", SMP=8),
    machine(CPU="cortex-a72", SMP=2, TCG="multi", GIC=2),
    machine(BOARD="raspi4b"),
    machine(BOARD="raspi4b", EL=3),
]


def full_matrix():
    for cpu in MODELS:
        for gic in (2, 3):
            yield machine(True, CPU=cpu, GIC=gic)
        for level in (2, 3):
            for gic in (2, 3):
                yield machine(True, CPU=cpu, EL=level, GIC=gic, SMP=2)
    for cpus in (1, 2, 3, 5, 6, 7, 8):
        for gic in (2, 3):
            yield machine(True, SMP=cpus, GIC=gic, CPU="cortex-a72")
    for cpus in (16, 33, 64):
        yield machine(True, SMP=cpus, GIC=3, CPU="max", TIMEOUT=180)
    yield machine(True, SMP=64, GIC=3, NUMA=2, MEM="4G", CPU="neoverse-n1", TIMEOUT=180)
    for memory in MEMORY:
        for nodes in (1, 2):
            yield machine(True, MEM=memory, NUMA=nodes, SMP=4, CPU="cortex-a53")
    for tcg in ("single", "multi"):
        yield machine(True, TCG=tcg, SMP=2, CPU="max")


def mebibytes(text):
    return int(text[:-1]) * (1024 if text.endswith("G") else 1)


def expected_facts(options):
    """Regular expressions of the boot log, from what the machine was built of."""
    pi = options.get("BOARD") == "raspi4b"
    level = options.get("EL", 2 if pi else 1)
    cpus = 4 if pi else options.get("SMP", 4)
    cpu = "cortex-a72" if pi else options.get("CPU", "cortex-a72")
    yield "Perch on " + ("Raspberry Pi 4" if pi else "linux,dummy-virt")
    yield rf"entry_el={level}\b"
    yield rf"cpus={cpus} of {cpus}$"
    yield r"counter_hz=[1-9]\d{6,}"
    yield rf"bbm_level={BBM_LEVEL.get(cpu, 0)}\b"
    yield r"mode=park pcpu=block"
    yield r"tables=[1-9]\d* pcpu_blocks=[1-9]\d* .* \d+% of blocks used"
    yield r"audit: ok \(writable and executable: 0,"
    if cpu != "max":
        yield rf"cpu={cpu}\b"


def memory_reported(machine_run):
    """MiB that the kernel says it has."""
    return int(re.search(r"\bmemory=(\d+)M ", machine_run.text)[1])


@pytest.mark.parametrize("options", SHORT + list(full_matrix()))
def test_boot(perch, options):
    run = perch(**{"ARGS": "run=test", "TIMEOUT": 90, **options})
    text = run.passed()
    missing = [fact for fact in expected_facts(options) if not re.search(fact, text, re.I | re.M)]
    assert not missing, "the boot log does not say: " + "; ".join(missing)
    if options.get("BOARD") != "raspi4b":
        # Firmware and the tree may reserve a little; nothing may be lost or invented.
        asked = mebibytes(options.get("MEM", "1G"))
        assert asked - 2 <= memory_reported(run) <= asked
    # The kernel's own count agrees with its status, and it did run something.
    counts = re.findall(r"(\d+) passed, (\d+) failed", text)
    assert counts and int(counts[-1][0]) >= 10 and int(counts[-1][1]) == 0


def test_release_build_boots_too(perch, release_image):
    """The same tests in the build that is shipped; its assertions are on as well."""
    perch(ARGS="run=test", IMAGE=release_image).passed()


def test_a_tree_of_our_own_boots_the_pi(perch, tmp_path):
    """dts/: facts written by us, for a board whose firmware's tree is not at hand."""
    source = os.path.join(TOP, "dts/bcm2711-rpi-4-b.dts")
    tree = tmp_path / "pi.dtb"
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", str(tree), source],
                   check=True, timeout=60)
    perch(BOARD="raspi4b", ARGS="run=test", DTB=tree).passed()
