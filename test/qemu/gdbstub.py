# SPDX-License-Identifier: BSD-2-Clause
"""A client for QEMU's GDB stub: as much of the remote protocol as a harness needs.

THEORY   A packet is $data#checksum, answered by + and a packet. Connecting stops the machine,
         detaching lets it go on. QEMU's own Qqemu.PhyMemMode makes m and M physical addresses,
         so memory is read and written without any help of the guest's tables.
LIMITS   Every wait has a limit. No debugger is needed.
"""

import socket
import time

TIMEOUT_SECONDS = 20
READ_BYTES = 1024       # of memory in one packet
DAIF_MASKED = 0x3C0


class Stub:
    """A connection; the machine is stopped from here on."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_SECONDS)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.pending = b""
        self.ask("qSupported:swbreak+")
        self.ask("?")
        assert self.ask("Qqemu.PhyMemMode:1") == "OK"

    def byte(self):
        if not self.pending:
            self.pending = self.socket.recv(65536)
            if not self.pending:
                raise ConnectionError("the stub closed the connection")
        first, self.pending = self.pending[:1], self.pending[1:]
        return first

    def packet(self):
        while self.byte() != b"$":
            pass
        data = b""
        while (char := self.byte()) != b"#":
            data += char
        self.byte()
        self.byte()
        self.socket.sendall(b"+")
        return data.decode("latin-1")

    def send(self, text):
        data = text.encode("latin-1")
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def ask(self, text):
        """The answer. That the machine stopped is told unasked too, at any moment: passed over."""
        self.send(text)
        while True:
            answer = self.packet()
            if text == "?" or not answer.startswith("T"):
                return answer

    def read(self, address, size):
        """Physical memory."""
        data = b""
        while len(data) < size:
            part = min(READ_BYTES, size - len(data))
            answer = self.ask(f"m{address + len(data):x},{part:x}")
            if answer.startswith("E"):
                raise ValueError(f"no memory at {address + len(data):#x}")
            data += bytes.fromhex(answer)
        return data

    def write(self, address, data):
        answer = self.ask(f"M{address:x},{len(data):x}:{data.hex()}")
        assert answer == "OK", f"write at {address:#x}: {answer}"

    def read64(self, address):
        return int.from_bytes(self.read(address, 8), "little")

    def threads(self):
        """The CPUs, as thread names of the protocol."""
        answer, names = self.ask("qfThreadInfo"), []
        while answer.startswith("m"):
            names += answer[1:].split(",")
            answer = self.ask("qsThreadInfo")
        return names

    def pc(self, thread):
        assert self.ask(f"Hg{thread}") == "OK"
        return int.from_bytes(bytes.fromhex(self.ask("p20")), "little")

    def set_pc(self, thread, value):
        """Registers x0-x30, sp, pc have the numbers 0-32."""
        assert self.ask(f"Hg{thread}") == "OK"
        assert self.ask(f"P20={value.to_bytes(8, 'little').hex()}") == "OK"

    def mask_interrupts(self, thread):
        """As hardware does when it takes an exception. PSTATE has the number 33."""
        assert self.ask(f"Hg{thread}") == "OK"
        pstate = int.from_bytes(bytes.fromhex(self.ask("p21")), "little") | DAIF_MASKED
        assert self.ask(f"P21={pstate.to_bytes(4, 'little').hex()}") == "OK"

    def run_to(self, address):
        """The machine goes on until a CPU is about to execute this virtual address."""
        assert self.ask(f"Z0,{address:x},4") == "OK"
        self.send("c")
        assert self.packet().startswith("T05")
        assert self.ask(f"z0,{address:x},4") == "OK"

    def detach(self):
        """The machine goes on, and QEMU may be gone before it hears that we heard it."""
        try:
            self.ask("D")
        except ConnectionError:
            pass
        self.socket.close()
