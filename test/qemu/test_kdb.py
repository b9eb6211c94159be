# SPDX-License-Identifier: BSD-2-Clause
"""kdb, the debugger on the serial line, driven as a user would: typed at, and read.

Each test starts a machine, waits for the prompt, types commands, and looks at what comes between a
command and the next prompt. What is typed wrong costs one line that begins "kdb: ", no more.
"""

import os
import random
import re
import time

import pytest
import recorder
from conftest import BUILD, key_values
from gdbstub import Stub

PROMPT = "kdb> "
KEY = "\x1c"            # Ctrl-\
IMAGE = 0xFFFFFFFF80000000
LINEAR = 0xFFFF000000000000
KMAP = 0xFFFFA00000000000
NOWHERE = KMAP + (48 << 30)     # the end of kmap is used last
UART = 0xFFFFB00000000000
STORM = "run=stress only=storm,irq,exec seconds=3"
COMMANDS = set("help walk pte map pcpu pins cpus park bt regs trace x w break cont step reboot "
               "stress lockstat counters sym".split())


class Kdb:
    """A machine that stands at a prompt."""

    def __init__(self, run):
        self.run = run
        run.child.delaybeforesend = None
        self.greeting = self.wait()

    def wait(self, seconds=60):
        """All up to the next prompt, without escape sequences and echo of line ends."""
        self.run.child.expect_exact(PROMPT, timeout=seconds)
        return re.sub(r"\x1b\[\w|\r", "", self.run.child.before)

    def ask(self, command, seconds=60):
        """Type a command; what it answered."""
        self.run.send(command + "\r")
        return self.wait(seconds).partition("\n")[2]

    def key(self):
        """Press the break key until a prompt comes: the first may be read by nobody yet."""
        self.run.send(KEY)
        return self.wait()

    def reboot(self):
        self.run.send("reboot\r")
        return self.run.finish()

    def sym(self, name):
        return int(re.match(r"  (0x[0-9a-f]+) ", self.ask(f"sym {name}"))[1], 16)


@pytest.fixture
def kdb(perch):
    def start(**options):
        options.setdefault("ARGS", "run=kdb")
        options.setdefault("TIMEOUT", 90)
        return Kdb(perch(**options))
    return start


def complains(answer, what):
    """Exactly one line of complaint."""
    lines = answer.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("kdb: ") and what in lines[0], answer


def test_help_lists_every_command_and_each_works(kdb):
    """Every command of the manual exists; those that only show something show it."""
    k = kdb()
    assert "cpu0: run=kdb at 0x" in k.greeting and "kdb_main+" in k.greeting
    listed = {line.split()[0] for line in k.ask("help").split("\n") if line.startswith("  ")}
    assert COMMANDS <= listed
    assert k.ask("help walk").startswith("  walk     ADDR")
    walk = k.ask(f"walk {IMAGE:x}").split("\n")
    assert [line[:4] for line in walk[:4]] == ["  L0", "  L1", "  L2", "  L3"]
    assert walk[3].endswith("normal ro exec") and walk[4].startswith("owner: pinned, kernel image")
    assert k.ask("pte 60000040600701 2") == "block pa=0x40600000 normal rw\n"
    assert k.ask("pte 0 1") == "INVALID\n"
    mapped = k.ask(f"map {IMAGE:x}").split("\n")
    assert re.fullmatch(rf"  {IMAGE:x} \+0x[0-9a-f]+ page pa=0x[0-9a-f]+ normal ro exec", mapped[0])
    assert "more" not in mapped[-2]
    pins = k.ask("pins")
    assert "kernel image\n" in pins and "pcpu block\n" in pins and "uart\n" in pins
    assert k.ask("cpus").count("door=") == 4 and k.ask("cpus").count(" held") == 3
    assert re.match(r"  window=0 generation=\d+ online=0xf\n", k.ask("park"))
    assert "records " in k.ask("pcpu 3") and "cpu3 slice=0x" in k.ask("pcpu 3")
    assert "kdb_main+" in k.ask("bt") and "secondary_main+" in k.ask("bt 2")
    assert "elr ffffffff8" in k.ask("regs")
    complains(k.ask("regs 1"), "cpu1 has no frame: it is off, runs, idle")
    assert re.search(r"^  \d+ cpu1 cpu a=0x1 b=0x1$", k.ask("trace"), re.M)
    assert re.fullmatch(r"  \d+ cpu2 cpu a=0x2 b=0x1\n", k.ask("trace 2 1"))
    assert k.ask("lockstat").startswith("  lock ")
    assert "installs" in k.ask("counters") and k.ask("counters recur").split()[:2] == [
        "recursions", "0"]
    assert k.sym("kmain") == int(k.ask(f"sym {k.sym('kmain'):x}").split()[0], 16)
    assert k.ask("break") == "  0 of 6 breakpoints set\n"
    assert k.reboot() == 0


def test_bad_input_costs_one_line_each_and_kdb_goes_on(kdb):
    k = kdb()
    complains(k.ask("nonsense"), "nonsense is no command")
    complains(k.ask("help nonsense"), "nonsense is no command")
    complains(k.ask("walk"), "usage: walk ADDR")
    complains(k.ask("walk 1 2"), "usage: walk ADDR")
    complains(k.ask("a b c d e f g"), "more than")
    complains(k.ask("x xyz"), "neither an address nor a function")
    complains(k.ask("x 11112222333344445"), "neither an address nor a function")
    complains(k.ask("x kmain+zz"), "neither an address nor a function")
    complains(k.ask(f"x {IMAGE + 4:x}"), "not aligned")
    complains(k.ask("x 1234567890123456"), "not canonical")
    complains(k.ask("walk 8000000000000000"), "not canonical")
    complains(k.ask(f"x {IMAGE:x} 0"), "0 words")
    complains(k.ask(f"x {IMAGE:x} nine"), "nine is not a number")
    complains(k.ask("x 0"), "is not mapped: L0[0] is invalid")
    complains(k.ask(f"x {NOWHERE:x}"), "is not mapped")
    complains(k.ask(f"x {UART:x}"), "device")
    complains(k.ask(f"xv {UART:x}"), "device")
    complains(k.ask(f"w {UART:x} 0"), "device")
    complains(k.ask(f"w {IMAGE:x} 0"), "read-only")
    slice_of_cpu = re.search(r"slice=0x([0-9a-f]+)", k.ask("pcpu 0"))[1]
    complains(k.ask(f"w {slice_of_cpu} 0"), "pinned heap")
    complains(k.ask("pte 0 4"), "4 is no level")
    complains(k.ask("pcpu 4"), "4 is not a CPU")
    complains(k.ask("bt one"), "one is not a CPU")
    complains(k.ask(f"break {KMAP:x}"), "no instruction")
    complains(k.ask("break kmain+2"), "no instruction")
    complains(k.ask("break -3"), "no breakpoint 3")
    complains(k.ask("step 0"), "0 steps")
    complains(k.ask("trace 9"), "9 is not a CPU")
    # Half a line that runs into memory that is not mapped: what was read, then why no more.
    end = re.search(r"  (\w+) \+(0x\w+) pa=\w+ kernel image", k.ask("pins"))
    answer = k.ask(f"x {int(end[1], 16) + int(end[2], 16) - 8:x} 4").strip().split("\n")
    assert len(answer) == 2 and "is not mapped" in answer[1]
    # Serial noise, an over-long line, empty lines.
    complains(k.ask("wa\x07lk 0"), "nobody types")
    k.run.child.sendline(b"\xff\x80\xfe".decode("latin-1") + "walk 0")
    complains(k.wait().partition("\n")[2], "nobody types")
    complains(k.ask("x" * 300), "more than 119 characters")
    assert k.ask("") == "" and k.ask("   ") == ""
    assert k.ask("pte 0").strip() == "INVALID"
    assert k.reboot() == 0


@pytest.mark.parametrize("seed", range(2))
def test_noise_and_random_commands_never_end_it(kdb, seed):
    """Random bytes, then commands with random arguments: each ends at the next prompt."""
    k = kdb()
    chance = random.Random(seed)
    noise = [c for c in range(256) if chr(c) not in "\x01\x03\r\n"]     # Ctrl-A is QEMU's
    for _ in range(60):
        line = bytes(chance.choices(noise, k=chance.randrange(1, 200)))
        os.write(k.run.child.child_fd, line + b"zzz reboot\r")
        assert "kdb: " in k.wait()
    addresses = [0, 1, 8, 1 << 47, (1 << 64) - 8, IMAGE, IMAGE + 0x2000, KMAP, UART,
                 UART + 0x200000, 0xFFFF000040000000, 0xFFFF80007FE00000, 0xFFFFC00040000000]
    commands = ["walk", "pte", "map", "x", "xv", "sym", "pcpu", "bt", "regs", "trace", "counters",
                "break", "help", "pins", "park", "cpus", "lockstat"]
    for _ in range(150):
        words = [chance.choice(commands)]
        for _ in range(chance.randrange(4)):
            value = chance.choice([chance.choice(addresses) + chance.choice([0, 8, 0x1000]),
                                   chance.getrandbits(chance.randrange(1, 66)),
                                   chance.randrange(5)])
            words.append(chance.choice(["{:x}", "{:#x}", "{}", "-{}", "kmain+{:x}"]).format(value))
        k.ask(" ".join(words))
    for number in range(6):
        k.ask(f"break -{number}")
    assert "result=pass" in k.ask("stress only=storm cycles=5")
    assert k.reboot() == 0


def test_a_panic_can_be_looked_at(perch):
    run = perch(ARGS="provoke=overflow kdb=on", TIMEOUT=60)
    run.expect("(PANIC|REPORT) END")
    k = Kdb(run)
    assert "nothing goes on" in k.greeting
    assert k.ask("cpus").count(" stopped") == 3
    assert k.reboot() == 1


def test_its_own_fault_comes_back_to_the_prompt(kdb):
    """xv reads through the MMU; where nothing is mapped it faults on SPx, as recursion would."""
    k = kdb()
    for _ in range(5):
        complains(k.ask("xv 0"), "data abort")
        complains(k.ask(f"xv {NOWHERE:x}"), "data abort")
    assert "kdb_main+" in k.ask("bt")
    assert k.ask("counters recur").split()[:2] == ["recursions", "0"]
    assert "result=pass" in k.ask("stress only=storm cycles=5")
    assert k.reboot() == 0


def test_line_editing_and_history(kdb):
    k = kdb()
    assert k.ask("ptX\x7fe 0") == "INVALID\n"                   # erase
    assert k.ask("e 0\x01\x01pt") == "INVALID\n"                # to the beginning; QEMU eats one
    assert k.ask("te 0\x1b[D\x1b[D\x1b[D\x1b[Dp") == "INVALID\n"    # cursor left
    assert k.ask("pXte 0\x1b[H\x1b[C\x1b[3~") == "INVALID\n"    # home, right, delete
    assert k.ask("walk\x15pte 0") == "INVALID\n"                # erase the line
    assert k.ask("pte nonsense\x170") == "INVALID\n"            # erase a word
    k.run.send("walk 0\x03")                                    # give it up
    assert k.wait() == "walk 0^C\n"
    assert k.ask("pte 7 3").startswith("page pa=0 ")
    assert k.ask("\x1b[A\x1b[A") == "INVALID\n"                 # two back
    assert k.ask("\x1b[A\x1b[A\x1b[B").startswith("INVALID")   # back and forth
    complains(k.ask("\x1b[A\x1b[B nonsense"), "nonsense is no command")
    assert k.reboot() == 0


def test_break_step_and_go_on(kdb):
    k = kdb()
    k.ask("break pmap_map")
    complains(k.ask("break pmap_map"), "there is one")
    k.run.send("stress only=fill cycles=1\r")
    assert re.search(r": breakpoint at 0x[0-9a-f]+ pmap_map\+0\n", k.wait())
    assert "pmap_map+0" in k.ask("bt") and "stress_main+" in k.ask("bt")
    assert k.ask("cpus").count(" held") == 3
    first = int(re.search(r"elr (\w+)", k.ask("regs"))[1], 16)
    for _ in range(3):                  # straight code: the prologue
        assert ": step at " in k.ask("step")
    assert int(re.search(r"elr (\w+)", k.ask("regs"))[1], 16) == first + 12
    assert ": step at " in k.ask("step 200")
    assert ": breakpoint at " in k.ask("cont")      # the next call
    assert "1 of 6" in k.ask("break")
    assert k.ask("break -0") == ""
    assert "result=pass" in k.ask("cont")
    assert k.reboot() == 0


def test_a_backtrace_ends_in_the_thread_that_called(kdb):
    k = kdb()
    k.ask("break call_dispatch")
    k.ask("stress only=el0 cycles=1")
    frames = k.ask("bt").rstrip().split("\n")
    assert frames[1].endswith(" call_dispatch+0") and " el0_saved_slow+" in frames[-2]
    assert re.fullmatch(r"  -- exception from EL0: thread \d+, saved pc 0x[0-9a-f]+ --", frames[-1])
    k.ask("break -0")
    assert "result=pass" in k.ask("cont")
    assert k.reboot() == 0


def test_a_breakpoint_stops_every_cpu_that_comes_by(kdb):
    """All CPUs run into it: one prompts, the others are held and come next."""
    k = kdb()
    k.ask("break access_arena")
    greetings = [k.ask("stress only=storm cycles=3")]
    greetings += [k.ask("cont") for _ in range(12)]
    cpus = {re.search(r"kdb: cpu(\d): breakpoint at 0x\w+ access_arena\+0", text)[1]
            for text in greetings}
    assert len(cpus) >= 2
    for _ in range(4):
        assert ": step at " in k.ask("step 7")
    k.ask("break -0")
    assert "result=pass" in k.ask("cont")
    assert k.reboot() == 0


def test_all_breakpoints_of_the_cpu(kdb):
    k = kdb()
    for i in range(6):
        assert k.ask(f"break kmain+{4 * i:x}") == ""
    complains(k.ask("break kmain+40"), "all 6 breakpoints")
    assert k.reboot() == 0


def test_lockstat_names_what_was_waited_for(kdb):
    """In the workload `locks` all others spin on the tables' lock, among others."""
    k = kdb()
    assert "result=pass" in k.ask("stress only=locks cycles=1")
    rows = {line.split()[0]: line.split() for line in k.ask("lockstat").strip().split("\n")[1:]}
    _, taken, waited, ticks, longest, holder = rows["pmap"]
    assert int(taken) > int(waited) > 0 and int(ticks) >= int(longest) > 0 and holder == "-"
    assert k.reboot() == 0


def test_write_changes_memory_and_nothing_else(kdb):
    """The arena of the stress stays mapped after it: pages that are not pinned."""
    k = kdb()
    assert "result=pass" in k.ask("stress only=fill cycles=1")
    arena = int(re.search(r"^  (ffffa0\w+) \S+ (?:page|block) pa=\S+ normal rw", k.ask(
        f"map {KMAP:x}"), re.M)[1], 16)
    before = [line.split() for line in k.ask(f"x {arena:x} 4").strip().split("\n")]
    assert k.ask(f"w {arena + 8:x} 123456789abcdef0") == ""
    after = [line.split() for line in k.ask(f"x {arena:x} 4").strip().split("\n")]
    assert after[1] == [before[1][0], "123456789abcdef0"]
    assert [after[i] for i in (0, 2, 3)] == [before[i] for i in (0, 2, 3)]
    assert k.ask(f"xv {arena + 8:x}").split()[1] == "123456789abcdef0"
    assert k.reboot() == 0


@pytest.mark.parametrize("options", [{"GIC": 3}, {"GIC": 2}, {"CPU": "max", "SMP": 2},
                                     {"ARGS": STORM + " park=nmi"},
                                     pytest.param({"BOARD": "raspi4b"}, marks=pytest.mark.full)])
def test_the_break_key_holds_a_running_stress_and_cont_resumes_it(perch, options):
    """Three times into the middle of the stress; it passes all the same.

    Not among the workloads: `lost`, in which a CPU is deaf on purpose."""
    run = perch(**{"ARGS": STORM, "TIMEOUT": 150, **options})
    run.expect("workload storm")
    for _ in range(3):
        run.send(KEY)
        run.child.expect(r"kdb: cpu0: break key at 0x[0-9a-f]+ \w+")
        run.child.expect_exact(PROMPT)
        run.send("cpus\r")
        run.child.expect_exact(PROMPT)
        assert "RUNS" not in run.child.before and " held" in run.child.before
        run.send("trace 1 8\r")
        run.child.expect_exact(PROMPT)
        assert re.search(r" cpu1 (park|irq|change|fault)", run.child.before)
        run.send("cont\r")
        time.sleep(0.1)
    text = run.passed()
    line = re.search(r"^stress: result=\w+ board=.*$", text, re.M).group()
    words = key_values(line)
    assert words["result"] == "pass" and words["transient_faults"] == "0"


def test_after_a_report_only_when_asked(perch):
    run = perch(ARGS="provoke=x18 kdb=on", TIMEOUT=60)
    run.expect("REPORT END")
    k = Kdb(run)
    assert "nothing goes on" in k.greeting
    assert "provoke_x18+" in k.ask("bt")
    assert "x18 0000200000000000" in k.ask("regs")
    assert k.ask("cpus").count(" stopped") == 3
    assert k.ask(f"x {IMAGE:x}").startswith(f"  {IMAGE:x} ")
    for command in ("cont", "step", "stress"):
        complains(k.ask(command), "nothing goes on")
    complains(k.ask("xv 0"), "no way back")
    complains(k.ask("x 0"), "not mapped")
    assert k.reboot() == 1
    plain = perch(ARGS="provoke=x18", TIMEOUT=60)
    assert plain.finish() == 1 and "kdb>" not in plain.text


def test_a_recursion_can_be_looked_at(perch):
    """The slices lie in the mapping that broke: they are read by their frames."""
    run = perch(ARGS="run=stress bbm=naive pcpu=scattered seed=7 cycles=2000 kdb=on", TIMEOUT=120)
    run.expect(r"RECURSION cpu\d depth=2 .* va=(0x[0-9a-f]+) ")
    address = run.child.match[1]
    run.expect("REPORT END")
    k = Kdb(run)
    walk = k.ask(f"walk {address}")
    assert "L2[" in walk and "owner: not pinned" in walk
    assert re.search(r"^  \d+ cpu\d change ", k.ask("trace"), re.M)
    assert k.ask("cpus").count("door=") == 4
    assert k.reboot() == 1


def test_a_failing_run_ends_at_the_prompt_with_kdb_on(perch):
    run = perch(ARGS="run=stress plant=1 seed=7 cycles=50 kdb=on", TIMEOUT=60)
    k = Kdb(run)
    assert "the run failed" in k.greeting and "result=fail" in k.greeting
    k.run.send("cont\r")
    assert run.finish() == 1


def test_a_breakpoint_instruction_is_fatal_unless_asked_for(perch):
    run = perch(ARGS="provoke=brk", TIMEOUT=60)
    assert run.finish() == 1
    assert run.lines("breakpoint instruction") and not run.lines("kdb>")
    run = perch(ARGS="provoke=brk kdb=on", TIMEOUT=60)
    k = Kdb(run)
    assert "breakpoint instruction at 0x" in k.greeting
    run.send("cont\r")
    assert "the run failed" in k.wait()         # it came back from the instruction
    run.send("cont\r")
    assert run.finish() == 1 and run.lines("brk: nothing happened")


def test_a_break_on_the_line_is_the_key_too(perch):
    """Ctrl-A B makes QEMU send one."""
    run = perch(ARGS="run=stress cycles=300", TIMEOUT=90)
    run.expect("workload")
    run.send("\x01b")
    k = Kdb(run)
    assert "break key" in k.greeting
    run.send("cont\r")
    run.passed()


def test_kdb_off_ignores_the_key(perch):
    run = perch(ARGS="run=stress cycles=300 kdb=off", TIMEOUT=90)
    run.expect("workload")
    run.send(KEY)
    run.passed()
    assert not run.lines("kdb>")


def test_a_cpu_that_does_not_come_is_named_and_a_warden_is_patient(perch):
    """CPU 1 is deaf: the prompt comes all the same. Being held is no silence for the warden."""
    run = perch(ARGS="provoke=silence warden=cpu2", TIMEOUT=90)
    run.expect("silence: cpu1 answers nobody")
    run.send(KEY)
    k = Kdb(run)
    assert "CPUs that did not stop: 0x2" in k.greeting
    assert re.search(r"^  cpu1 .* RUNS", k.ask("cpus"), re.M)
    assert re.search(r"^  cpu2 .* held", k.ask("cpus"), re.M)
    complains(k.ask("bt 1"), "cpu1 is off, or runs")
    time.sleep(4)                               # longer than the warden's patience
    run.send("cont\r")
    run.expect(r"WARDEN cpu2 cause=silence cpus=0x2")
    assert run.finish() == 1


def test_a_secret_is_shown_by_no_mapping(kdb):
    """Stopped where the kernel zeroes a secret's frame before it gives it back: it is mapped there,
    and in the linear map no more. Neither shows it, nor can it be written."""
    k = kdb()
    k.ask("break arch_page_zero")
    k.ask("stress only=secret cycles=1")
    for _ in range(100):        # until it is a secret's frame
        if "put_back" in k.ask("bt"):
            break
        k.ask("cont")
    place = int(re.search(r" x0 +([0-9a-f]{16}) ", k.ask("regs"))[1], 16)
    assert KMAP <= place < UART
    frame = re.search(r"  L3\[\d+\] \w+ page pa=(\w+) normal rw", k.ask(f"walk {place:x}"))[1]
    for command in (f"x {place:x}", f"xv {place:x}", f"w {place:x} 0"):
        complains(k.ask(command), "may not be read: reserved, or secret")
    complains(k.ask(f"x {LINEAR + int(frame, 16):x}"), "is not mapped")
    k.ask("break -0")
    assert "result=pass" in k.ask("cont")
    assert k.reboot() == 0


def test_a_boot_cpu_that_is_deaf_leaves_the_key_to_the_warden(perch, tmp_path):
    """CPU 0 has the console's interrupt. Deaf, it is reported, and the key was not lost."""
    socket = str(tmp_path / "gdb")
    run = perch(ARGS="run=kdb warden=cpu2", EXTRA=f"-gdb unix:{socket},server=on,wait=off")
    Kdb(run)
    run.send("cont\r")
    image = recorder.Image(os.path.join(BUILD, "perch.elf"))
    masked = False
    while not masked:           # it waits in a loop, but for interrupts
        stub = Stub(socket)
        cpu = stub.threads()[0]
        masked = (image.name_of(stub.pc(cpu)) or "").startswith("kdb_main")
        if masked:
            stub.mask_interrupts(cpu)
        stub.detach()
    run.send(KEY)
    run.expect(r"WARDEN cpu2 cause=silence cpus=0x1\r")
    k = Kdb(run)
    assert "nothing goes on" in k.greeting
    assert "DID NOT STOP" in run.text
    assert k.ask("park").startswith("  window=0 ")
    assert k.reboot() == 1
