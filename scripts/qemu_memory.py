# SPDX-License-Identifier: BSD-2-Clause
"""Physical memory of a guest: from a stopped QEMU through its machine protocol, or from a core."""

import json
import os
import socket
import tempfile
import time

CHUNK = 64 << 10


class QmpError(Exception):
    """QEMU refused, or is gone."""


class Qmp:
    """One connection to QEMU's machine protocol."""

    def __init__(self, path, deadline):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise QmpError("QEMU did not start") from None
                time.sleep(0.05)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.events = []
        self.receive()                      # the greeting
        self.command("qmp_capabilities")

    def receive(self):
        line = self.lines.readline()
        if not line:
            raise QmpError("QEMU ended")
        return json.loads(line)

    def command(self, name, **arguments):
        self.socket.settimeout(60)
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        while True:
            answer = self.receive()
            if "event" in answer:
                self.events.append(answer["event"])
            elif "error" in answer:
                raise QmpError(f"{name}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_for(self, event, deadline):
        """True when the event came, False at the deadline."""
        while event not in self.events:
            if time.monotonic() > deadline:
                return False
            self.command("query-status")    # answers bring the events along
            time.sleep(0.05)
        return True


class QmpMemory:
    """Reads of a guest that is stopped: each chunk is fetched once."""

    def __init__(self, qmp):
        self.qmp = qmp
        self.chunks = {}

    def chunk(self, at):
        if at not in self.chunks:
            with tempfile.TemporaryDirectory(prefix="perch-") as folder:
                path = os.path.join(folder, "chunk")
                self.qmp.command("pmemsave", val=at, size=CHUNK, filename=path)
                with open(path, "rb") as file:
                    self.chunks[at] = file.read()
        return self.chunks[at]

    def read(self, pa, size):
        out = b""
        while size > 0:
            offset = pa % CHUNK
            part = self.chunk(pa - offset)[offset:offset + size]
            out += part
            pa += len(part)
            size -= len(part)
        return out

    @staticmethod
    def candidates():
        """Where the image may begin, likely places first."""
        likely = [0x40200000, 0x200000, 0x400000, 0x80000, 0x40400000]
        return likely + [at for at in range(0, 1 << 32, 2 << 20) if at not in likely]


class CoreMemory:
    """A core file of dump-guest-memory (without paging): ELF, segments by physical address."""

    def __init__(self, path):
        from elftools.elf.elffile import ELFFile
        self.file = open(path, "rb")
        elf = ELFFile(self.file)
        self.segments = [(s["p_paddr"], s["p_filesz"], s["p_offset"])
                         for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]

    def read(self, pa, size):
        for start, length, offset in self.segments:
            if start <= pa and pa + size <= start + length:
                self.file.seek(offset + pa - start)
                return self.file.read(size)
        return bytes(size)

    def candidates(self):
        return [at for start, length, _ in self.segments
                for at in range(start, start + length, 512 << 10)]
