# SPDX-License-Identifier: BSD-2-Clause
"""Through U-Boot: image, RAM disk and device tree from a FAT disk, started by `booti`.

Debian's own U-Boot binaries, unmodified, on both boards. What QEMU does not allow on raspi4b:
there is no firmware stage (U-Boot is started by QEMU as a raw image, as the firmware would
start it), no network, and U-Boot sees 960 MiB of the 2 GiB; the kernel sees what U-Boot's tree
then says. Everything from U-Boot's prompt on is as on the real board, minus its timing.
"""

import os
import subprocess

import pytest
from conftest import BUILD, TOP

UBOOT = "/usr/lib/u-boot"
PI_TREE = os.path.join(TOP, ".deps/dtb/bcm2711-rpi-4-b.dtb")


@pytest.fixture
def disk(tmp_path):
    """A FAT disk with image, RAM disk and tree."""
    def make(tree, megabytes=64):
        path = str(tmp_path / "disk.img")
        (tmp_path / "hello.txt").write_text("a file of the RAM disk\n")
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tmp_path,
                                 input=b"hello.txt\n", capture_output=True, check=True).stdout
        (tmp_path / "initrd.cpio").write_bytes(archive)
        with open(path, "wb") as out:
            out.truncate(megabytes << 20)
        subprocess.run(["mformat", "-i", path, "-F", "-v", "PERCH", "::"], check=True)
        for source, name in ((os.path.join(BUILD, "perch.img"), "perch.img"),
                             (tree, "board.dtb"), (str(tmp_path / "initrd.cpio"), "initrd")):
            subprocess.run(["mcopy", "-i", path, source, "::/" + name], check=True)
        return path, len(archive)
    return make


def commands(machine, prompt, *lines):
    """Stop the automatic boot, then type each line at the prompt."""
    machine.expect("Hit any key to stop autoboot")
    machine.send("\r")
    for line in lines:
        machine.expect(prompt)
        machine.send(line + "\r")


def load_and_boot(device, kernel, tree, ramdisk, initrd_bytes, bootargs):
    return (f"fatload {device} {kernel} perch.img", f"fatload {device} {tree} board.dtb",
            f"fatload {device} {ramdisk} initrd", f"setenv bootargs {bootargs}",
            f"booti {kernel} {ramdisk}:{initrd_bytes:x} {tree}")


@pytest.mark.parametrize("gic", [2, 3])
def test_virt(perch, disk, tmp_path, gic):
    tree = str(tmp_path / "virt.dtb")
    subprocess.run(["qemu-system-aarch64", "-M", f"virt,gic-version={gic},dumpdtb={tree}",
                    "-cpu", "cortex-a72", "-smp", "4", "-m", "1G", "-nic", "none",
                    "-display", "none"], check=True, capture_output=True, timeout=60)
    path, initrd_bytes = disk(tree)
    machine = perch(BIOS=f"{UBOOT}/qemu_arm64/u-boot.bin", DISK=path, GIC=gic)
    # U-Boot's own load address for a kernel, the tree below the RAM disk.
    commands(machine, "=> ", "virtio scan",
             *load_and_boot("virtio 0", "${kernel_addr_r}", "0x43e00000", "${ramdisk_addr_r}",
                            initrd_bytes, "run=test"))
    machine.expect("Starting kernel")
    machine.passed()


@pytest.mark.parametrize("flavour", ["rpi_4", pytest.param("rpi_arm64", marks=pytest.mark.full)])
def test_raspi4b(perch, disk, flavour):
    path, initrd_bytes = disk(PI_TREE)
    machine = perch(BOARD="raspi4b", IMAGE=f"{UBOOT}/{flavour}/u-boot.bin", DISK=path)
    commands(machine, "U-Boot> ", "mmc dev 0",
             *load_and_boot("mmc 0", "${kernel_addr_r}", "${fdt_addr_r}", "${ramdisk_addr_r}",
                            initrd_bytes, "run=test"))
    machine.expect("Starting kernel")
    machine.passed()
