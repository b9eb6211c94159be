#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Check the park protocol with spin: park.pml as it is must hold, and each weakening must fail.

THEORY   A model that holds proves little until one knows that it can fail. So a third of the
         runs below are the protocol, in scenarios that together use every line of the model;
         the others take one step away from it (W_*) and must be caught for the named reason,
         or claim that an interesting state is never met (SEEN_*) and must be refuted.
OUTPUT   One row a run, then "N passed, N failed"; status 0 only when nothing failed.
NOT HERE What the model means and which C it stands for: docs/park-proof.md.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MODEL = os.path.join(HERE, "park.pml")
HOLDS = "holds"
DEPTH_MAX = 2_000_000
MEMORY_MAX_MIB = 4000


@dataclass(frozen=True)
class Case:
    """One run: `defines` choose the scenario and the weakening; see words.pml."""

    name: str
    expect: str
    defines: str
    large: bool = False


# How spin stores states. Partial-order reduction is off: nearly every step is global, and the
# watchdog looks at labels from outside, which the reduction does not know about.
SMALL = ["-O0", "-DNOREDUCE"]
LARGE = ["-O2", "-DNOREDUCE", "-DCOLLAPSE"]

# The protocol. CPU 0 does not walk through the door where it would only multiply states.
PROTOCOL = [
    Case("one initiator, slow target", HOLDS, "N=2 INITIATORS=1 ABANDON=2"),
    Case("two initiators, idling", HOLDS, "N=2 INITIATORS=3 IDLERS=3"),
    Case("two initiators, slow target, lost SGI", HOLDS,
         "N=2 INITIATORS=3 ABANDON=1 DROPS=1 WALKERS=2"),
    Case("two windows, lost SGI", HOLDS, "N=2 INITIATORS=1 WINDOWS=2 DROPS=1"),
    Case("urgent SGI inside an answer", HOLDS,
         "N=2 INITIATORS=3 WINDOWS=2 ABANDON=1 WALKERS=0 NMI"),
    Case("off and on, two windows", HOLDS, "N=2 INITIATORS=1 WINDOWS=2 PLUGGED=2 STARTERS=1"),
    Case("panic, two initiators", HOLDS, "N=2 INITIATORS=3 PANICKERS=3", large=True),
    Case("one initiator, slow target", HOLDS, "N=3 ABANDON=1 WALKERS=6", large=True),
    Case("two initiators", HOLDS, "N=3 INITIATORS=3 WALKERS=6", large=True),
    Case("off and on", HOLDS, "N=3 WALKERS=6 PLUGGED=4 STARTERS=2", large=True),
    Case("panic, two initiators", HOLDS, "N=3 INITIATORS=3 WALKERS=4 PANICKERS=4", large=True),
    Case("one initiator", HOLDS, "N=4 WALKERS=14 AS_C", large=True),
    Case("one initiator, slow target", HOLDS, "N=4 WALKERS=8 ABANDON=1 AS_C", large=True),
    Case("two initiators", HOLDS, "N=4 INITIATORS=3 WALKERS=8 AS_C", large=True),
]

# The same with more at once: minutes and gigabytes. Only with --long.
PROTOCOL_LONG = [
    Case("two initiators, slow target", HOLDS, "N=3 INITIATORS=3 WALKERS=6 ABANDON=1 AS_C",
         large=True),
    Case("one initiator", HOLDS, "N=4 WALKERS=14", large=True),
    Case("two initiators, two walk", HOLDS, "N=4 INITIATORS=3 WALKERS=12 AS_C", large=True),
]

# One step weakened: what must catch it.
WEAKENED = [
    Case("door order weak at the target", "broken_access", "N=2 W_DOOR_TARGET STALL"),
    Case("door order weak at the initiator", "broken_access", "N=2 W_DOOR_INITIATOR"),
    Case("door not checked after idling", "broken_access", "N=2 IDLERS=2 W_IDLE_NO_DOOR STALL"),
    Case("door left before the last access", "broken_access", "N=2 W_LEAVE_EARLY"),
    Case("door waits deaf to parks", "door_stuck", "N=2 W_DOOR_DEAF"),
    Case("door without ISB", "early_fault", "N=2 W_DOOR_NO_ISB"),
    Case("park left without ISB", "early_fault", "N=2 INITIATORS=3 WALKERS=0 W_PARK_NO_ISB"),
    Case("ack of an older generation taken", "broken_access", "N=2 ABANDON=1 W_ACK_OLD"),
    Case("release == for >=", "lost_release", "N=2 ABANDON=2 W_RELEASE_EQ"),
    Case("request not re-read on leaving", "request_skipped", "N=2 ABANDON=1 W_NO_REREAD"),
    Case("SGI before the request", "unanswered", "N=2 W_NO_REQUEST_DSB"),
    Case("released before the make", "broken_access", "N=2 W_RELEASE_EARLY"),
    Case("make and release not ordered", "broken_access", "N=2 W_MAKE_PLAIN"),
    Case("released only who acknowledged", "lost_release", "N=2 W_RELEASE_ACKED"),
    Case("abandoned after the break", "broken_access", "N=2 W_ABANDON_LATE"),
    Case("abandoned without a release", "unanswered", "N=2 ABANDON=1 W_ABANDON_SILENT"),
    Case("no token", "two_windows", "N=3 INITIATORS=3 WALKERS=0 W_NO_TOKEN"),
    Case("token waits deaf to parks", "unanswered", "N=2 INITIATORS=3 WALKERS=0 W_TOKEN_DEAF"),
    Case("CPU started without the token", "broken_access",
         "N=3 WALKERS=4 PLUGGED=4 STARTERS=2 W_PLUG_NO_TOKEN"),
    Case("late CPU struck off the set", "broken_access",
         "N=3 WALKERS=4 PLUGGED=4 STARTERS=2 W_START_GIVEN_UP"),
    Case("request read before the IAR", "unanswered", "N=2 WINDOWS=2 W_IAR_LATE"),
    Case("waiting initiator deaf to stop", "deaf_to_stop",
         "N=2 INITIATORS=1 WALKERS=0 PANICKERS=2 W_STOP_DEAF"),
    Case("stop obeyed while broken", "left_broken",
         "N=3 INITIATORS=1 WALKERS=6 PANICKERS=4 W_STOP_MID_BREAK"),
    # Not a defect: no acknowledgement is ever ahead of the window (ack_ahead asserts it).
    Case("ack >= for == (harmless)", HOLDS, "N=2 INITIATORS=3 ABANDON=1 WALKERS=2 W_ACK_GE"),
]

# States that the protocol must be able to reach: the model claims that it never does.
SEEN = [
    Case("parked, at the door and before it", "seen_all_kinds",
         "N=4 INITIATORS=1 WALKERS=14 SEEN_ALL_KINDS"),
    Case("break after an abandoned park", "seen_retry", "N=2 ABANDON=1 SEEN_RETRY"),
    Case("released before its ack was seen", "seen_late_ack", "N=2 ABANDON=1 SEEN_LATE_ACK"),
    Case("parked CPU stopped", "seen_stopped_park",
         "N=3 INITIATORS=1 WALKERS=6 PANICKERS=4 SEEN_STOPPED_PARK"),
    Case("on line again after a window", "seen_born",
         "N=2 PLUGGED=2 STARTERS=1 SEEN_BORN"),
]


@dataclass
class Outcome:
    """What spin saw: the verdict, the states stored, and the model lines it never executed."""

    verdict: str
    states: int
    unreached: set


def run(command, cwd, limit_s):
    return subprocess.run(command, cwd=cwd, timeout=limit_s, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def build(case, folder, tools):
    """Turn the model into a verifier for this case. Returns an error text, or None."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    defines = ["-D" + d for d in case.defines.split()]
    made = run([tools.spin, "-a", *defines, os.path.relpath(MODEL, folder)], folder, 60)
    if made.returncode != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
        return made.stdout
    made = run([tools.cc, *(LARGE if case.large else SMALL), "-w", "-DSAFETY", "-DVECTORSZ=1024",
                f"-DMEMLIM={MEMORY_MAX_MIB}", "-o", "pan", "pan.c"], folder, 120)
    return made.stdout if made.returncode != 0 else None


def verdict_of(text):
    """The reason is the name at the end of the violated assertion; see PROPERTY in park.pml."""
    violated = re.search(r"assertion violated \(.*\|\|\s*(\w+)\)", text)
    if violated:
        return violated.group(1)
    if "invalid end state" in text.split("Full statespace")[0].split("Bit statespace")[0]:
        return "invalid_end_state"
    complete = "Search not completed" not in text and "too small" not in text
    return HOLDS if complete and re.search(r"errors: 0\b", text) else "incomplete"


def check(case, folder, tools):
    error = build(case, folder, tools)
    if error is not None:
        print(error, file=sys.stderr)
        return Outcome("does not build", 0, set())
    try:
        text = run(["./pan", f"-m{DEPTH_MAX}"], folder, tools.limit).stdout
    except subprocess.TimeoutExpired:
        return Outcome("over time", 0, set())
    with open(os.path.join(folder, "pan.out"), "w", encoding="utf-8") as out:
        out.write(text)
    states = re.search(r"([0-9.e+]+) states, stored", text)
    cpu = text.partition("unreached in proctype cpu")[2].partition("unreached in proctype bus")[0]
    unreached = {int(n) for n in re.findall(r"park\.pml:(\d+), state", cpu)}
    return Outcome(verdict_of(text), int(float(states.group(1))) if states else 0, unreached)


def progress(tools, row):
    if tools.progress:
        sys.stderr.write("\r\033[K" + row)
        sys.stderr.flush()


def check_all(groups, tools):
    """Run every case; returns (passed, failed, lines of the model that no holding run reached)."""
    passed = failed = number = 0
    never = None
    total = sum(len(cases) for _, cases in groups)
    for title, cases in groups:
        print(f"\n{title}")
        for case in cases:
            number += 1
            progress(tools, f"{number}/{total} {case.name}")
            began = time.monotonic()
            folder = os.path.join(tools.out, f"{number:02}")
            outcome = check(case, folder, tools)
            took = time.monotonic() - began
            progress(tools, "")
            good = outcome.verdict == case.expect
            passed += good
            failed += not good
            cpus = re.match(r"N=(\d)", case.defines).group(1)
            print(f"  {'ok  ' if good else 'FAIL'} {cpus} CPUs  {case.name:<38}"
                  f" {outcome.states:>10} states {took:5.1f} s"
                  f"  expected {case.expect}, seen {outcome.verdict}", flush=True)
            if not good:
                print(f"       in {folder}: ./pan -r park.pml.trail tells the steps")
            if good and title == groups[0][0]:
                never = outcome.unreached if never is None else never & outcome.unreached
    return passed, failed, never or set()


def report_unreached(lines):
    """Lines that exist only to end a process for ever are expected; print any other."""
    with open(MODEL, encoding="utf-8") as model:
        source = model.read().splitlines()
    left = sorted(n for n in lines if source[n - 1].strip() not in ("}", "false", "od"))
    for n in left:
        print(f"  never executed: park.pml:{n}: {source[n - 1].strip()}")
    return not left


def unknown_names():
    """Names in the document's table from the model to the C that are in neither."""
    with open(os.path.join(TOP, "docs", "park-proof.md"), encoding="utf-8") as document:
        table = document.read().partition("## From the model to the C")[2].partition("\n## ")[0]
    with open(MODEL, encoding="utf-8") as model:
        labels = set(re.findall(r"^(\w+):", model.read(), re.MULTILINE))
    defined = set()
    for folder in ("ipi", "vm", "kern", "arch/arm64", "arch/arm64/include/arch"):
        for name in sorted(os.listdir(os.path.join(TOP, folder))):
            if name.endswith((".c", ".h", ".S")):
                with open(os.path.join(TOP, folder, name), encoding="utf-8") as source:
                    defined.update(re.findall(r"(\w+)\(", source.read()))
    missing = []
    for row in re.findall(r"^\| (.*?) \| (.*) \|$", table, re.MULTILINE)[1:]:
        named = re.findall(r"`(\w+)`", row[0])
        missing += [f"label {n}" for n in named if n not in labels]
        missing += [f"function {n}()" for n in re.findall(r"(\w+)\(", row[1]) if n not in defined]
    return missing if table else ["the table itself"]


def check_document():
    """Does the document still speak of this model and this C?"""
    print("\nThe document names what exists:")
    missing = unknown_names()
    for name in missing:
        print(f"  not found: {name}")
    print("  FAIL" if missing else "  ok   every label and function of its table")
    return not missing


def main():
    parser = argparse.ArgumentParser(description="check the park protocol with spin")
    parser.add_argument("--out", default="build/prove", help="where the verifiers are built")
    parser.add_argument("--spin", default="spin")
    parser.add_argument("--cc", default="clang-19")
    parser.add_argument("--limit", type=int, default=600, help="seconds one run may take")
    parser.add_argument("--long", action="store_true", help="larger scenarios too")
    parser.add_argument("--only", default="", help="regular expression on the case's name")
    tools = parser.parse_args()
    tools.out = os.path.abspath(tools.out)
    tools.progress = sys.stderr.isatty()
    if shutil.which(tools.spin) is None or shutil.which(tools.cc) is None:
        print(f"prove needs {tools.spin} and {tools.cc}", file=sys.stderr)
        return 2
    protocol = PROTOCOL + (PROTOCOL_LONG if tools.long else [])
    groups = [("The protocol holds:", protocol), ("One step weakened:", WEAKENED),
              ("Situations that must occur:", SEEN)]
    if tools.only:
        groups = [(t, [c for c in cases if re.search(tools.only, c.name)]) for t, cases in groups]
    passed, failed, never = check_all(groups, tools)
    if not tools.only:
        print("\nEvery line of the model runs:")
        covered = report_unreached(never)
        print("  ok   none is left over" if covered else "  FAIL")
        for good in (covered, check_document()):
            passed += good
            failed += not good
    print(f"\n{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
