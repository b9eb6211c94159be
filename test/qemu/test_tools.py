# SPDX-License-Identifier: BSD-2-Clause
"""The checks themselves: each lint must pass what is right and name what is wrong.

A check that cannot fail proves nothing, so each is given a small tree of sources that is right,
and then the same tree with one thing wrong.
"""

import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SCRIPTS = os.path.join(TOP, "scripts")
TAG = "/* SPDX-License-Identifier: BSD-2-Clause */\n"


def tool(*words, cwd=None):
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


# --- scripts/apt-entry.awk ------------------------------------------------------------------

ONE_LINE = "deb http://mirror/debian bookworm main\n"
ONE_LINE_KEY = "deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian bookworm main contrib\n"
DEB822 = ("# a comment\nTypes: deb\n# another\nURIs: http://mirror/debian http://other/debian\n"
          "Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n"
          "Types: deb\nURIs: http://security/debian\nSuites: bookworm-security\n")
DEB822_KEY = ("Types: deb deb-src\nURIs: http://mirror/debian\nSuites: bookworm\n"
              "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEX\n")


@pytest.mark.parametrize("text, answer", [
    (ONE_LINE, "URIs: http://mirror/debian\n"),
    (ONE_LINE_KEY, "URIs: http://mirror/debian\nSigned-By: /k.gpg\n"),
    (DEB822, "URIs: http://mirror/debian\nSigned-By: /k.gpg\n"),
    (DEB822_KEY, "URIs: http://mirror/debian\nSigned-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----"
                 "\n .\n mDMEX\n"),
    ("# " + ONE_LINE, ""),
    ("deb-src http://mirror/debian bookworm main\n", ""),
    ("Enabled: no\n" + DEB822.split("\n\n")[0], ""),
    (ONE_LINE.replace("bookworm", "bookworm-updates"), ""),
    ("", ""),
])
def test_apt_entry(tmp_path, text, answer):
    source = tmp_path / "sources"
    source.write_text(text)
    result = tool("awk", "-v", "suite=bookworm", "-f", f"{SCRIPTS}/apt-entry.awk", str(source))
    assert (result.returncode, result.stdout) == (0, answer)


# --- scripts/setup --------------------------------------------------------------------------

def test_setup_is_silent_when_nothing_is_missing():
    result = tool(f"{SCRIPTS}/setup")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_setup_check_names_what_is_missing(repo):
    """A fresh clone, with a directory of programs that has none of ours."""
    result = tool("env", "PATH=/usr/bin:/bin", "scripts/setup", "--check", cwd=repo.root)
    assert result.returncode == 1
    assert "libfdt sources - " in result.stdout
    assert "bcm2711-rpi-4-b.dtb - " in result.stdout
    assert not os.path.exists(os.path.join(repo.root, ".deps"))


def test_setup_tells_an_old_qemu(repo, tmp_path):
    fake = tmp_path / "bin/qemu-system-aarch64"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.11 (Debian 1:7.2)'\n")
    fake.chmod(0o755)
    result = tool("env", f"PATH={fake.parent}:/usr/bin:/bin", "scripts/setup", "--check",
                  cwd=repo.root)
    assert "qemu-system-arm - version 7 found, 9 needed" in result.stdout


def test_setup_adds_backports_where_the_release_has_an_old_qemu(tmp_path):
    """apt's words are played; the functions are the script's own, its last lines left out."""
    fake = tmp_path / "apt-cache"
    fake.write_text("#!/bin/sh\necho '  Installed: (none)'\n"
                    "echo '  Candidate: 1:7.2+dfsg-7+deb12u18+b3'\n")
    fake.chmod(0o755)
    with open(f"{SCRIPTS}/setup", encoding="utf-8") as script:
        functions = script.read().rpartition("\ncase ")[0]
    result = tool("env", f"PATH={tmp_path}:/usr/bin:/bin", "bash", "-c", functions +
                  "\nif [ \"$(qemu_candidate)\" -lt $qemu_min ]; then echo too old; fi")
    assert (result.returncode, result.stdout, result.stderr) == (0, "too old\n", "")


# --- the lints that read sources ------------------------------------------------------------

@pytest.fixture
def repo(tmp_path):
    """A repository with a copy of the scripts; repo(path, text) adds a file."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))

    def add(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(TAG + text)
    add.root = str(tmp_path)
    return add


@pytest.mark.parametrize("path, text, good", [
    ("vm/a.c", '#include <types.h>\n#include "ipi/i.h"\n#include "vm/v.h"\n', True),
    ("arch/arm64/a.c", '#include "kern/entry.h"\n', True),
    ("ipi/a.c", '#include "kern/log.h"\n', True),
    ("ipi/a.c", '#include "vm/v.h"\n', False),
    ("vm/a.c", '#include "kern/task.h"\n', False),
    ("arch/arm64/a.c", '#include "kern/log.h"\n', False),
    ("kern/log.c", '#include "pcpu/p.h"\n', False),
    ("vm/a.c", '#include "vm/gone.h"\n', False),
    ("vm/a.c", '#include <stdio.h>\n', False),
])
def test_lint_includes(repo, path, text, good):
    for header in ("include/types.h", "ipi/i.h", "vm/v.h", "kern/log.h", "kern/task.h",
                   "kern/entry.h", "pcpu/p.h"):
        repo(header, "#pragma once\n")
    repo(path, text)
    result = tool("scripts/lint-includes", cwd=repo.root)
    assert (result.returncode == 0) == good, result.stdout


PMAP = """
static void pte_store(pte_t *slot, pte_t e)
{
	arch_pte_store(slot, e);
}

static void pte_store_pair(pte_t *slot, pte_t a, pte_t b)
{
	arch_pte_store_pair(slot, a, b);
}

#define BREAK(i) pte_store(s[i], (pte_t){ 0 })

void pmap_window(pte_t **s)
{
	BREAK(0);
}

static bool pte_exchange(pte_t *slot, pte_t was, pte_t e)
{
	return arch_pte_exchange(slot, was, e);
}

void pmap_protect(pte_t *slot, pte_t e)
{
	if (!pte_exchange(slot, e, e)) {
		pte_store(slot, e);
	}
}

void pmap_install(pte_t *slot, pte_t e)
{
	pte_store(slot, e);
}

void pmap_protect_pair(pte_t *slot, pte_t a, pte_t b)
{
	pte_store_pair(slot, a, b);
}

void pmap_install_pair(pte_t *slot, pte_t a, pte_t b)
{
	pte_store_pair(slot, a, b);
}
"""


@pytest.mark.parametrize("path, text, good", [
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tif (p->v == e.v) {\n\t\tg(p);\n\t}\n}\n", True),
    ("arch/arm64/boot_mmu.c", "void f(pte_t *p, pte_t e)\n{\n\tarch_pte_store(p, e);\n}\n", True),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tpte_store(p, e);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tpte_store_pair(p, e, e);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tarch_pte_store_pair(p, e, e);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tarch_pte_store(p, e);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\t*p = e;\n}\n", False),
    ("vm/b.c", "void f(pte_t *p)\n{\n\tp->v = 0;\n}\n", False),
    ("vm/b.c", "void f(pte_t *p)\n{\n\tp[3].v |= 1;\n}\n", False),
    ("vm/b.h", "struct w {\n\tpte_t *at;\n};\nvoid f(struct w w)\n{\n\tw.at->v = 0;\n}\n", False),
    ("vm/b.h", "struct w {\n\tpte_t *at;\n};\nvoid f(struct w w)\n{\n\tw.at++;\n}\n", True),
    ("vm/b.c", "void f(pte_t *p)\n{\n\tmemset(p, 0, 8);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p)\n{\n\tg((uint64_t *)p);\n}\n", False),
    ("vm/b.c", "void pte_store(pte_t *p)\n{\n}\n", False),
    ("vm/b.c", "void pte_store_pair(pte_t *p)\n{\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tpte_exchange(p, e, e);\n}\n", False),
    ("vm/b.c", "void f(pte_t *p, pte_t e)\n{\n\tarch_pte_exchange(p, e, e);\n}\n", False),
])
def test_lint_r2(repo, path, text, good):
    repo("vm/pmap_entry.c", PMAP)
    repo(path, text)
    result = tool("scripts/lint-r2", cwd=repo.root)
    assert (result.returncode == 0) == good, result.stdout


@pytest.mark.parametrize("text, good", [
    ("int f(void)\n{\n\treturn 0;\n}\n", True),
    ("int f(void)\n{\n" + "\tg();\n" * 58 + "}\n", True),
    ("int f(void)\n{\n" + "\tg();\n" * 59 + "}\n", False),
    ("int x;\n" * 599, True),
    ("int x;\n" * 600, False),
    ("/* " + "x" * 98 + " */\n", False),
    ("\t" * 12 + "12345\n", False),
    ("int x; \n", False),
])
def test_lint_sizes(repo, text, good):
    repo("vm/a.c", text)
    result = tool("scripts/lint-sizes", cwd=repo.root)
    complaints = [line for line in result.stdout.split("\n") if line.startswith("vm/a.c")]
    assert (not complaints) == good, result.stdout


# --- scripts/stack-depth --------------------------------------------------------------------

PROGRAM = r"""
typedef int (*fn)(int);
#define NI __attribute__((noinline))
NI int leaf(int x) { volatile char b[112]; b[x] = 1; return b[0]; }
NI int middle(int x) { volatile char b[1024]; b[x] = 2; return leaf(x) + b[3]; }
NI int tail(int x) { return middle(x + 1); }
NI __attribute__((noreturn)) void die(void) { for (;;) { asm volatile("wfe"); } }
fn pointer;
int entry(int x) { if (x > 3) { die(); } return tail(x) + 1; }
int indirect(int x) { return pointer(x) + 1; }
int indirect_tail(int x) { return pointer(x + 1); }
NI int even(int x);
NI int odd(int x) { volatile int b = x; return b ? even(b - 1) + 1 : 0; }
NI int even(int x) { volatile int b = x; return b ? odd(b - 1) + 2 : 1; }
int table(int x)
{
	switch (x) {
	case 0: return leaf(1);
	case 1: return 7;
	case 2: return middle(3) + 2;
	case 3: return 77;
	case 4: return leaf(9) + 1;
	case 5: return 99;
	}
	return 0;
}
asm(".globl switcher\nswitcher: stp x29, x30, [sp, #-16]!\n mov sp, x0\n bl middle\n ret\n"
    ".type switcher, %function\n");
void _start(void) { entry(1); }
"""
VARIABLE = """
int variable(int x) { volatile char b[x]; b[0] = 1; return leaf(b[2]); }
"""


def compiled(folder, source):
    """The program in this folder, and the frame sizes that the compiler tells."""
    (folder / "a.c").write_text(source)
    subprocess.run(["clang-19", "--target=aarch64-none-elf", "-O2", "-ffreestanding",
                    "-mgeneral-regs-only", "-fstack-usage", "-c", "a.c"], cwd=folder, check=True)
    subprocess.run(["ld.lld-19", "-o", "a.elf", "a.o", "-e", "_start"], cwd=folder, check=True)
    sizes = {}
    for line in (folder / "a.su").read_text().splitlines():
        where, size, _ = line.split("\t")
        sizes[where.rpartition(":")[2]] = int(size)
    return folder, sizes


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("stack"), PROGRAM)


def depth(program, entries, indirect=""):
    folder, _ = program
    (folder / "entries").write_text(entries)
    (folder / "indirect").write_text(indirect)
    return tool(f"{SCRIPTS}/stack-depth", str(folder / "a.elf"), "--entries",
                str(folder / "entries"), "--indirect", str(folder / "indirect"), "-v")


def test_stack_depth_adds_up(program):
    """Through a tail call; the branch that does not return adds nothing below."""
    sizes = program[1]
    expected = sizes["entry"] + sizes["middle"] + sizes["leaf"]
    result = depth(program, f"entry {expected} SP0\n")
    assert result.returncode == 0, result.stdout
    assert f"depth={expected} " in result.stdout
    assert depth(program, f"entry {expected - 1} SP0\n").returncode == 1


def test_stack_depth_follows_jump_tables(program):
    sizes = program[1]
    result = depth(program, "table 65536 SP0\n")
    assert f"depth={sizes['table'] + sizes['middle'] + sizes['leaf']} " in result.stdout


def test_stack_depth_follows_listed_pointers(program):
    sizes = program[1]
    result = depth(program, "indirect 65536 SP0\n", "indirect: leaf mid*\n")
    assert result.returncode == 0, result.stdout
    assert f"depth={sizes['indirect'] + sizes['middle'] + sizes['leaf']} " in result.stdout


@pytest.mark.parametrize("entries, indirect, complaint", [
    ("odd 65536 SP0\n", "", "recursion: "),
    ("indirect 65536 SP0\n", "", "is not listed"),
    ("indirect_tail 65536 SP0\n", "", "is not listed"),
    ("indirect 65536 SP0\n", "indirect: nobody\n", "nobody is nothing"),
    ("entry 65536 SP0\n", "entry: leaf\n", "matches no indirect call"),
    ("gone 65536 SP0\n", "", "not in the image"),
    ("switcher 65536 SP0\n", "", "on another stack"),
])
def test_stack_depth_complains(program, entries, indirect, complaint):
    result = depth(program, entries, indirect)
    assert result.returncode == 1
    assert complaint in result.stdout


def test_stack_depth_refuses_frames_of_unknown_size(tmp_path):
    result = depth(compiled(tmp_path, PROGRAM + VARIABLE), "variable 65536 SP0\n")
    assert result.returncode == 1
    assert "dynamic size" in result.stdout


def test_stack_depth_of_what_ends_when_entered_again(program):
    """odd -> even -> odd, where the second odd would find out and end: each frame, odd's twice."""
    sizes = program[1]
    result = depth(program, "odd 65536 SP0\neven 65536 SP0\nonce odd its guard\n")
    assert result.returncode == 0, result.stdout
    assert f"entry=odd stack=SP0 depth={2 * sizes['odd'] + sizes['even']} " in result.stdout
    assert f"entry=even stack=SP0 depth={2 * (sizes['odd'] + sizes['even'])} " in result.stdout


def test_stack_depth_cut_at_a_switch(program):
    """The callee on the other stack is an entry of its own: its depth counts there only."""
    result = depth(program, "switcher 16 SPx\nmiddle 65536 SP0\n")
    assert "entry=switcher stack=SPx depth=16 " in result.stdout
    assert "on another stack" not in result.stdout


# --- test/summary ---------------------------------------------------------------------------

@pytest.mark.parametrize("said, status, answer", [
    ("3 passed, 0 failed", 0, "3 passed, 0 failed"),
    ("3 passed, 2 failed", 1, "3 passed, 2 failed"),
    ("= 1 failed, 7 passed, 2 skipped, 3 deselected in 4.20s =", 1, "7 passed, 1 failed"),
    ("= 5 passed, 1 error in 0.10s =", 1, "5 passed, 1 failed"),
    ("[  PASSED  ] 6 test(s).\n[  FAILED  ] 1 test(s), listed below:", 1, "6 passed, 1 failed"),
    ("21 passed, 4 failed\n= 9 passed in 1.00s =", 0, "9 passed, 0 failed"),
    ("2 passed, 0 failed\n[  PASSED  ] 6 test(s).\n3 passed, 1 failed", 1, "11 passed, 1 failed"),
    ("3 passed, 0 failed", 1, "3 passed, 1 failed"),
    ("nothing to say", 0, "0 passed, 1 failed"),
])
def test_summary(tmp_path, monkeypatch, said, status, answer):
    monkeypatch.setenv("BUILD_DIR", str(tmp_path))
    summary = os.path.join(TOP, "test/summary")
    assert tool(summary, "run", "layer", "sh", "-c", f"echo '{said}'; exit {status}") \
        .returncode == 0
    result = tool(summary, "total")
    assert result.stdout.strip().split("\n")[-1] == answer
    assert (result.returncode == 0) == answer.endswith(" 0 failed")


def test_summary_says_again_what_failed(tmp_path, monkeypatch):
    """Last of all but the sum, and of the layers that failed only."""
    monkeypatch.setenv("BUILD_DIR", str(tmp_path))
    summary = os.path.join(TOP, "test/summary")
    for layer, said in (("good", "FAIL expected\n3 passed, 0 failed"),
                        ("bad", "FAIL a: why\nok b\n[  FAILED  ] c\n1 passed, 2 failed"),
                        ("mute", "going\ngone")):
        tool(summary, "run", layer, "printf", "%s\n", said)
    said = tool(summary, "total").stdout.strip().split("\n")
    assert said[-5:] == ["bad: FAIL a: why", "bad: [  FAILED  ] c", "mute: going", "mute: gone",
                         "4 passed, 3 failed"]
