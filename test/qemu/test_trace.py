# SPDX-License-Identifier: BSD-2-Clause
"""scripts/trace: what it writes is valid, and tells what happened.

The validator is written from the description of Chrome's trace event format (the JSON that
Perfetto reads as well): fields by phase and their types, slices of one track that nest, flows
that begin and end inside slices and whose two ends have one name, category and id.
"""

import json
import os
import re
import subprocess
from collections import Counter, defaultdict

import pytest
from conftest import BUILD, TOP

TRACE = os.path.join(TOP, "scripts/trace")
NUMBER = (int, float)
REQUIRED = {"X": ("name", "cat", "pid", "tid", "ts", "dur", "args"),
            "i": ("name", "cat", "pid", "tid", "ts", "s"),
            "s": ("name", "cat", "pid", "tid", "ts", "id"),
            "f": ("name", "cat", "pid", "tid", "ts", "id", "bp"),
            "M": ("name", "pid", "tid", "args")}
TYPES = {"name": str, "cat": str, "pid": int, "tid": int, "ts": NUMBER, "dur": NUMBER,
         "args": dict, "s": str, "bp": str, "id": (int, str)}
METADATA = {"process_name": "name", "thread_name": "name", "thread_sort_index": "sort_index"}
ROUNDING = 0.002        # microseconds: both ends of a slice are rounded


def check_fields(event):
    phase = event.get("ph")
    assert phase in REQUIRED, event
    for field in REQUIRED[phase]:
        assert field in event, (field, event)
    assert set(event) <= {"ph", *REQUIRED[phase], "ts", "args"}, event
    for field, value in event.items():
        assert field == "ph" or isinstance(value, TYPES[field]), (field, event)
        assert not isinstance(value, bool), (field, event)
    assert event.get("ts", 0) >= 0 and event.get("dur", 0) >= 0, event
    assert phase != "i" or event["s"] in "gpt"
    assert phase != "f" or event["bp"] == "e"
    assert phase != "M" or METADATA[event["name"]] in event["args"]


def check_nesting(slices):
    """Slices of one track contain each other or do not meet."""
    open_ends = []
    for event in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
        while open_ends and open_ends[-1] <= event["ts"] + ROUNDING:
            open_ends.pop()
        end = event["ts"] + event["dur"]
        assert not open_ends or end <= open_ends[-1] + ROUNDING, event
        open_ends.append(end)


def validate(trace):
    """Raise unless the trace is valid; returns events by phase."""
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    phases = defaultdict(list)
    tracks = defaultdict(list)
    for event in trace["traceEvents"]:
        check_fields(event)
        phases[event["ph"]].append(event)
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    named = {(e["pid"], e["tid"]) for e in phases["M"] if e["name"] == "thread_name"}
    assert set(tracks) <= named
    for slices in tracks.values():
        check_nesting(slices)
    ends = {}
    for event in phases["f"]:
        assert event["id"] not in ends
        ends[event["id"]] = event
    for event in phases["s"]:
        end = ends.pop(event["id"])
        assert (event["name"], event["cat"]) == (end["name"], end["cat"])
        assert event["ts"] <= end["ts"] and event["tid"] != end["tid"]
        for flow in (event, end):
            assert any(s["ts"] - ROUNDING <= flow["ts"] <= s["ts"] + s["dur"] + ROUNDING
                       for s in tracks[flow["pid"], flow["tid"]]), flow
    assert not ends
    return phases


def trace(tmp_path, *words, status=0):
    """Run scripts/trace; the JSON, or with --list the text."""
    path = str(tmp_path / "trace.json")
    done = subprocess.run([TRACE, "-o", path, *words], capture_output=True, text=True,
                          errors="replace", timeout=150, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    if "--list" in words or status != 0:
        return done.stdout + done.stderr if status else done.stdout
    with open(path, encoding="ascii") as file:
        return json.load(file)


def test_a_trace_of_the_stress_is_valid_and_holds_a_park_with_its_flow(tmp_path):
    written = trace(tmp_path, "ARGS=run=stress only=storm cycles=30", "TIMEOUT=60")
    phases = validate(written)
    assert {e["args"]["name"] for e in phases["M"] if e["name"] == "thread_name"} == {
        "cpu0", "cpu1", "cpu2", "cpu3"}
    assert len(phases["s"]) == len(phases["f"]) >= 3
    # One park from end to end: the request on CPU 0, its window inside, the parked CPU's slice.
    flow = phases["s"][len(phases["s"]) // 2]
    end = next(e for e in phases["f"] if e["id"] == flow["id"])
    request = next(e for e in phases["X"] if e["tid"] == flow["tid"] and e["ts"] == flow["ts"]
                   and e["name"].startswith("request park "))
    generation = request["args"]["generation"]
    parked = next(e for e in phases["X"] if e["tid"] == end["tid"]
                  and e["name"] == f"parked {generation}")
    window = next(e for e in phases["X"] if e["name"].startswith("window: ")
                  and e["tid"] == request["tid"] and e["ts"] >= request["ts"]
                  and e["ts"] + e["dur"] <= request["ts"] + request["dur"] + ROUNDING)
    assert parked["ts"] <= window["ts"] + ROUNDING
    change = window["args"]["changes"][0]
    assert int(change["old"], 16) != int(change["new"], 16)
    # Asked for by the stress, whichever of its functions calls the pmap.
    assert not change["caller"].startswith(("0x", "pmap_", "inval_"))


def test_a_run_of_retry_shows_faults_that_were_resolved(tmp_path):
    phases = validate(trace(tmp_path, "ARGS=run=stress bbm=retry only=storm cycles=30",
                            "TIMEOUT=60"))
    faults = [e for e in phases["X"] if e["name"] == "fault"]
    assert faults and not phases["s"]
    assert any("ended" not in e["args"] for e in faults)


def test_a_recursion_leaves_the_window_that_never_closed(tmp_path):
    phases = validate(trace(tmp_path, "TIMEOUT=90",
                            "ARGS=run=stress bbm=naive pcpu=scattered seed=7 cycles=2000"))
    windows = [e for e in phases["X"] if e["name"].startswith("window: ")]
    assert Counter("ended" in e["args"] for e in windows)[False] > 0
    faults = [e for e in phases["X"] if e["name"] == "fault"]
    assert any(e["args"].get("ended") is False for e in faults + windows)


def test_threads_have_a_track_beside_their_cpu(tmp_path):
    phases = validate(trace(tmp_path, "ARGS=run=test only=an_urgent_thread_preempts",
                            "TIMEOUT=60"))
    tracks = {e["tid"]: e["args"]["name"] for e in phases["M"] if e["name"] == "thread_name"}
    ran = [e for e in phases["X"] if e["cat"] == "thread"]
    assert len({e["name"] for e in ran}) >= 2
    assert all(tracks[e["tid"]].endswith(" threads") for e in ran)
    # One takes the CPU from the other: its slice begins where that one ends.
    assert any(e["args"]["after"] != 0 for e in ran)


def test_a_list_of_the_boot_names_the_cpus(tmp_path):
    text = trace(tmp_path, "--list", "ARGS=run=none", "TIMEOUT=30")
    for cpu in (1, 2, 3):
        assert f"ms cpu{cpu} cpu {cpu} 1" in text


@pytest.mark.full
def test_raspi4b_has_a_trace(tmp_path):
    phases = validate(trace(tmp_path, "BOARD=raspi4b", "ARGS=run=stress only=storm cycles=10",
                            "TIMEOUT=100"))
    assert phases["s"]


def test_a_dump_is_read_like_the_live_memory(tmp_path, perch):
    """A guest that hangs (TIMEOUT is the tool's, not the guest's) and its core say the same."""
    from qemu_memory import Qmp
    import time
    socket, core = str(tmp_path / "qmp"), str(tmp_path / "core")
    run = perch(ARGS="run=stress only=fill,storm cycles=30", MEM="128M", QMP=socket,
                EXTRA="-action shutdown=pause", TIMEOUT=60)
    qmp = Qmp(socket, time.monotonic() + 30)
    assert qmp.wait_for("SHUTDOWN", time.monotonic() + 60)
    qmp.command("dump-guest-memory", paging=False, protocol=f"file:{core}")
    run.close()
    phases = validate(trace(tmp_path, "--dump", core, "--elf", os.path.join(BUILD, "perch.elf")))
    assert phases["s"]
    os.remove(core)


def test_a_machine_that_hangs_is_read_as_it_is(tmp_path):
    """run=kdb waits for a command that never comes."""
    text = trace(tmp_path, "--list", "ARGS=run=kdb", "TIMEOUT=12")
    assert re.search(r"cpu0 fault 0x\w+ 0xf2006b01 NOT ENDED", text)


def test_wrong_input_is_an_error_and_no_trace(tmp_path):
    assert "unknown option" in trace(tmp_path, "NONSENSE=1", status=2)
    other = tmp_path / "core"
    subprocess.run(["cp", os.path.join(BUILD, "perch.elf"), str(other)], check=True, timeout=30)
    assert "trace:" in trace(tmp_path, "--dump", str(other), status=1)
    assert not (tmp_path / "trace.json").exists()
