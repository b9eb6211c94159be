# SPDX-License-Identifier: BSD-2-Clause
"""The harness: one way to start a machine, one way to read what it says.

THEORY   A test asks the `perch` fixture for a machine, with the options of scripts/run, waits
         for lines, and at the end asks for the exit status, which is the guest's own verdict.
         Nothing here starts QEMU by itself, so `make run` and the tests cannot differ.
LOGS     All that a machine says goes to build/qemu-logs/<test>.log; a failure shows its tail.
LIMITS   Each machine has a wall-clock limit that the runner enforces. No test asserts how long
         anything took. At most two machines run at a time (pytest -n 2).
"""

import os
import re
import subprocess

import pexpect
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
RUN = os.path.join(TOP, "scripts/run")
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
LOGS = os.path.join(BUILD, "qemu-logs")

# What no healthy run says, whatever it does.
BAD_LINES = re.compile(r"PANIC|RECURSION|recursion:|assert(ion)? failed", re.I)


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the whole boot matrix, long stress")


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only with --full (make test-all)")


def pytest_collection_modifyitems(config, items):
    """Tests marked full are deselected, not skipped: a skip would look like a gap."""
    if config.getoption("--full"):
        return
    full = [item for item in items if item.get_closest_marker("full")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


class Machine:
    """One run of scripts/run, on a terminal of its own."""

    def __init__(self, log_path, options):
        words = [f"{key}={value}" for key, value in options.items()]
        self.limit_seconds = int(options["TIMEOUT"]) or 3600
        self.log_path = log_path
        self.log = open(log_path, "w", encoding="utf-8", errors="replace")
        self.log.write("scripts/run " + " ".join(f"'{word}'" for word in words) + "\n")
        # The runner's limit comes first, so that its message is in the log.
        self.child = pexpect.spawn(RUN, words, encoding="utf-8", codec_errors="replace",
                                   timeout=self.limit_seconds + 10, dimensions=(50, 200))
        self.child.logfile_read = self.log

    def expect(self, pattern):
        """Wait for a pattern; returns the match. The end of the run is a failure."""
        self.child.expect(pattern)
        return self.child.match

    def send(self, text):
        self.child.send(text)

    def finish(self):
        """Let it run to its end; returns the runner's exit status."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        self.log.flush()
        if self.child.signalstatus is not None:
            return -self.child.signalstatus
        return self.child.exitstatus

    def close(self):
        self.child.close(force=True)
        self.log.close()

    @property
    def text(self):
        """All it has said so far, line ends as \\n."""
        self.log.flush()
        with open(self.log_path, encoding="utf-8", errors="replace", newline="") as log:
            return log.read().replace("\r", "")

    def lines(self, pattern):
        """The lines that contain a pattern."""
        return [line for line in self.text.split("\n") if re.search(pattern, line)]

    def passed(self):
        """Run to the end; the guest must report success and nothing bad on the way."""
        status = self.finish()
        assert status == 0, f"status {status}, see {self.log_path}"
        assert not [line for line in self.lines(BAD_LINES) if "=" not in line]
        return self.text


@pytest.fixture
def release_image(tmp_path):
    """The image of BUILD=release; test/suite builds it beside the one under test."""
    elf = os.path.join(BUILD, "release/perch.elf")
    if not os.path.exists(elf):
        pytest.fail(f"no {elf}: make BUILD=release {os.path.relpath(elf, TOP)}")
    image = str(tmp_path / "perch.img")
    subprocess.run(["llvm-objcopy-19", "-O", "binary", elf, image], check=True, timeout=60)
    return image


@pytest.fixture
def perch(request):
    """perch(BOARD=..., ARGS=..., ...) starts a machine; the test's end stops it."""
    machines = []
    os.makedirs(LOGS, exist_ok=True)
    name = re.sub(r"[^\w.=-]+", "_", request.node.name)

    def boot(**options):
        options.setdefault("TIMEOUT", "90")
        path = os.path.join(LOGS, f"{name}{len(machines) or ''}.log")
        machines.append(Machine(path, {key: str(value) for key, value in options.items()}))
        return machines[-1]

    yield boot
    for machine in machines:
        machine.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the tail of what its machines said."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "perch" in item.fixturenames:
        name = re.sub(r"[^\w.=-]+", "_", item.name)
        for entry in sorted(os.listdir(LOGS)):
            if re.fullmatch(re.escape(name) + r"\d*\.log", entry):
                with open(os.path.join(LOGS, entry), encoding="utf-8", errors="replace") as log:
                    tail = log.read().replace("\r", "").split("\n")[-40:]
                report.sections.append((entry, "\n".join(tail)))


def key_values(line):
    """The key=value words of a line."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)
