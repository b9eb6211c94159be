# SPDX-License-Identifier: BSD-2-Clause
"""The judges of test/bench are judged: each defect that they exist for is put in front of them."""

import importlib.util
import os
from importlib.machinery import SourceFileLoader

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


def load(name):
    loader = SourceFileLoader(name, os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


window = load("window")
run = load("run")

BREAK, MAKE = ("str", "xzr, [x8]"), ("str", "x9, [x8]")
DSB_ST, DSB, ISB, TLBI = ("dsb", "ishst"), ("dsb", "ish"), ("isb", ""), ("tlbi", "vaae1is, x8")
GOOD = [("ldr", "x8, [x0, #0x8]"), BREAK, DSB_ST, TLBI, DSB, ISB, MAKE, DSB_ST, ISB, ("ret", "")]


def code(instructions):
    return [(0x1000 + 4 * i, *instruction) for i, instruction in enumerate(instructions)]


def without(index):
    return GOOD[:index] + GOOD[index + 1:]


def test_a_good_window_is_measured():
    assert window.judge("pmap_window_va_one", code(GOOD)).endswith("instructions=8 goal=24")


@pytest.mark.parametrize("missing", range(1, 9))
def test_each_step_is_missed(missing):
    with pytest.raises(window.Broken):
        window.judge("pmap_window_va_one", code(without(missing)))


@pytest.mark.parametrize("instruction", [
    ("bl", "0x2000 <log>"), ("blr", "x9"), ("stp", "x1, x2, [sp, #0x10]"), ("msr", "daifclr, #0x2"),
    ("svc", "#0"), ("cbz", "x1, 0x1004 <pmap_window_va_one+0x4>"), ("dmb", "ish"), DSB])
def test_nothing_else_may_be_done_in_it(instruction):
    with pytest.raises(window.Broken):
        window.judge("pmap_window_va_one", code(GOOD[:4] + [instruction] + GOOD[4:]))


def test_weaker_barriers_are_seen():
    for index, weaker in ((2, DSB), (4, DSB_ST), (4, ("dsb", "nsh")), (7, DSB)):
        with pytest.raises(window.Broken):
            window.judge("pmap_window_va_one", code(GOOD[:index] + [weaker] + GOOD[index + 1:]))


def test_a_window_that_is_too_long_is_refused():
    padded = GOOD[:4] + [("add", "x1, x1, #0x1")] * 17 + GOOD[4:]
    with pytest.raises(window.Broken, match="25 instructions"):
        window.judge("pmap_window_va_one", code(padded))


def test_a_jump_back_is_refused():
    looping = GOOD[:6] + [("b.ne", "0x1004 <pmap_window_va_some+0x4>")] + GOOD[6:]
    with pytest.raises(window.Broken, match="jump back"):
        window.judge("pmap_window_va_some", code(looping))


def counts(tmp_path, text):
    path = tmp_path / "counts"
    path.write_text(text)
    return run.Counts(path)


def line(**changes):
    words = {"name": "promote_2m", "cpus": "1", "instructions": "100", "min": "100", "max": "100",
             "tlbi": "1", "tlbi_min": "1", "tlbi_max": "1", "barriers": "-", "sysregs": "-",
             "goal": "400", "units": "1", "id": "1"}
    return {**words, **changes}


SAMPLES = "sample 63 7 0 0 0\nsample 1 107 1 8 19\nsample 1 107 1 8 19\n"


def test_counts_are_joined(tmp_path):
    words = line()
    run.complete(words, counts(tmp_path, SAMPLES))
    assert (words["barriers"], words["sysregs"], words["initiator"]) == ("8", "19", "100")


def test_a_figure_is_for_one_unit_rounded_up(tmp_path):
    words = line(units="3", instructions="34")
    run.complete(words, counts(tmp_path, SAMPLES))
    assert words["initiator"] == "34"


def test_samples_may_differ_in_tlbis_if_both_sides_say_so(tmp_path):
    text = SAMPLES + "sample 1 107 3 8 19\n"
    run.complete(line(tlbi_max="3"), counts(tmp_path, text))
    with pytest.raises(run.BenchError):
        run.complete(line(), counts(tmp_path, text))


@pytest.mark.parametrize("changes", [{"tlbi": "2"}, {"tlbi_min": "0"}, {"tlbi_max": "2"},
                                     {"instructions": "90"}, {"id": "2"}])
def test_counts_that_differ_are_an_error(tmp_path, changes):
    with pytest.raises(run.BenchError):
        run.complete(line(**changes), counts(tmp_path, SAMPLES))


def test_a_window_that_was_not_seen_is_an_error(tmp_path):
    with pytest.raises(run.BenchError, match="0 windows"):
        run.complete(line(name="window_1"), counts(tmp_path, SAMPLES))


def test_a_missed_goal_is_said():
    assert run.verdict({**line(goal="99"), "initiator": "100"}) == "MISSED"
    assert run.verdict({**line(goal="100"), "initiator": "100"}) == "met"
    assert run.verdict({**line(goal="none"), "initiator": "100"}) == ""
