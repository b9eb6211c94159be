# SPDX-License-Identifier: BSD-2-Clause
"""The promotion stress, short, and the positive control of every zero it reports.

A zero is worth what its control shows: with the same seed, bbm=retry must count transient
faults, a planted corruption must be found, and bbm=naive pcpu=scattered must recurse and be
caught. The long runs are `make run`; what is pinned here is that each workload works, that
the line that scripts read is complete, and that the controls can fail.
"""

import re

import pytest
from conftest import key_values

KEYS = ("result board cpu cpus mode seed cycles promotions demotions busy parks ipis_sent "
        "ipis_spared retries transient_faults spurious_make recursions corruptions refused "
        "window_max park_p50 park_p99 park_max masked_max masked_at parked_max wait_max").split()
ZERO_IN_PARK = ("transient_faults", "recursions", "corruptions")
WORKLOADS = ("fill mismatch protect storm irq duel nomem table-inside self extract pinned exec "
             "contig hotplug lost locks user-fill user-mismatch user-protect user-storm "
             "user-duel user-asid user-spaces space pressure share secret hostile pager "
             "el0").split()
SEED = 20260101


def stress(run, **expected):
    """Run to the end; returns the last line's words as a dictionary."""
    status = run.finish()
    lines = run.lines(r"^stress: result=\w+ board=")  # those of EL0 have no board
    assert len(lines) == 1, f"{len(lines)} result lines, status {status}, see {run.log_path}"
    words = key_values(lines[0])
    assert not set(KEYS) - set(words), f"missing: {set(KEYS) - set(words)}"
    assert (words["result"] == "pass") == (status == 0)
    for key, value in expected.items():
        assert words[key] == str(value), f"{key}: {words[key]}, expected {value}"
    return words


def zeros(words):
    return {key: words[key] for key in ZERO_IN_PARK if words[key] != "0"}


@pytest.mark.parametrize("options", [
    pytest.param({}, id="a72-gic3"),
    pytest.param({"GIC": 2, "CPU": "cortex-a72"}, id="a72-gic2"),
    pytest.param({"CPU": "max", "SMP": 8}, id="max-8"),
    pytest.param({"SMP": 2, "TCG": "multi"}, id="multi-threaded"),
    pytest.param({"BOARD": "raspi4b"}, id="raspi4b"),
])
def test_all_workloads(perch, options):
    run = perch(ARGS=f"run=stress seed={SEED} cycles=200", TIMEOUT=120, **options)
    words = stress(run, result="pass", mode="park", seed=SEED)
    assert not zeros(words)
    assert int(words["promotions"]) >= 200
    assert int(words["demotions"]) >= 100
    assert int(words["parks"]) > 0
    assert int(words["refused"]) > 0        # the pinned workload was refused, and counted


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_alone(perch, name):
    """Each workload stands on its own: only= is how a defect is narrowed down."""
    run = perch(ARGS=f"run=stress only={name} seed={SEED} cycles=20", TIMEOUT=90)
    words = stress(run, result="pass")
    assert not zeros(words)
    assert run.lines(rf"\b{name}\b")


def test_unknown_workload_is_named(perch):
    run = perch(ARGS="run=stress only=nonsense cycles=5")
    run.finish()
    assert run.lines("nonsense")


def test_same_seed_same_choices(perch):
    """One CPU, instruction-counted time: two runs cannot differ."""
    results = []
    for _ in range(2):
        run = perch(SMP=1, ICOUNT=1, ARGS=f"run=stress seed={SEED} cycles=50 only=fill")
        words = stress(run, result="pass")
        results.append({key: words[key] for key in ("cycles", "promotions", "demotions")})
    assert results[0] == results[1]


def test_control_unparked_break_faults(perch):
    """bbm=retry: other CPUs run into the broken mapping; faults are counted, on several CPUs."""
    run = perch(ARGS=f"run=stress bbm=retry window_delay=2000 seed={SEED} cycles=400 only=storm",
                TIMEOUT=120)
    words = stress(run, mode="retry")
    assert int(words["transient_faults"]) > 0
    assert words["corruptions"] == "0"
    faulting = [line for line in run.lines(r"transient_faults") if re.search(r"cpu\d", line)]
    assert len(faulting) >= 2 or int(words["transient_faults"]) >= 2


def test_control_planted_corruption_is_found(perch):
    run = perch(ARGS=f"run=stress plant=1 seed={SEED} cycles=200", TIMEOUT=120)
    words = stress(run, result="fail")
    assert int(words["corruptions"]) > 0


def test_control_naive_recurses_and_is_caught(perch):
    """The disease: per-CPU data inside the broken block. A report and an end, not a hang."""
    run = perch(ARGS=f"run=stress bbm=naive pcpu=scattered seed={SEED} cycles=2000", TIMEOUT=120)
    status = run.finish()
    assert status not in (0, 122, 124), f"status {status}: not caught"
    assert run.lines(r"^RECURSION cpu\d+ .*elr="), "no report of a recursion"
    assert run.lines(r"^(REPORT|PANIC) END$"), "the report is cut"
    assert run.lines(r"^PERCH END status=[1-9]")


@pytest.mark.parametrize("option", ["bbm=naive", "pcpu=scattered"])
def test_unsafe_modes_are_not_in_release(perch, release_image, option):
    """Asked for what only a debug build can do, release says so and runs safely."""
    run = perch(ARGS=f"run=stress {option} seed={SEED} cycles=20", IMAGE=release_image)
    stress(run, mode="park")
    assert run.lines("debug builds only")


@pytest.mark.parametrize("cpu, force, mode", [
    ("max", "", "park"), ("neoverse-n2", "", "park"),
    ("max", "bbml2=force", "bbml2"), ("neoverse-n2", "bbml2=force", "bbml2"),
    ("cortex-a72", "bbml2=force", "park"),
])
def test_bbml2_where_the_cpu_is_known(perch, cpu, force, mode):
    """Level 2 alone is no promise: a CPU not known to be free of conflicts falls back."""
    run = perch(CPU=cpu,
                ARGS=f"run=stress bbm=bbml2 {force} seed={SEED} cycles=100 only=fill")
    words = stress(run, result="pass", mode=mode)
    assert not zeros(words)
    if mode == "park":
        assert run.lines("bbm=bbml2: .*not known")


def test_pseudo_nmi_delivery(perch):
    run = perch(GIC=3, ARGS=f"run=stress park=nmi seed={SEED} cycles=200", TIMEOUT=120)
    words = stress(run, result="pass")
    assert not zeros(words)


@pytest.mark.full
@pytest.mark.parametrize("options", [
    pytest.param({"CPU": "cortex-a72", "GIC": 2}, id="a72-gic2"),
    pytest.param({"CPU": "max", "GIC": 3, "SMP": 8}, id="max-8"),
    pytest.param({"BOARD": "raspi4b"}, id="raspi4b"),
    pytest.param({}, id="default"),
])
def test_long(perch, options):
    """What issue 2 asks of `make run`: 100,000 promotions, 10,000 of them under load."""
    run = perch(ARGS="run=stress", TIMEOUT=300, **options)
    words = stress(run, result="pass")
    assert not zeros(words)
    assert int(words["promotions"]) >= 100_000
    assert int(words["busy"]) >= 10_000
