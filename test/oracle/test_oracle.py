#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proof of the oracle: the verdict on each sequence of the proof guest, and the oracle's manners.

The guest prints `case NAME expect RULE`; the oracle names the function of each violation in its
JSON. For every case the set of rules reported must be exactly the one expected, so a missed
violation, a false alarm and a wrong reason are all failures of the named case.
"""
import json
import os
import re
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD_DIR", "build"))
OUT = os.path.join(BUILD, "oracle")
PLUGIN = os.path.join(OUT, "oracle.so")
QEMU = shutil.which("qemu-system-aarch64")
LIMIT_SECONDS = 120


@pytest.fixture(scope="session", autouse=True)
def built():
    subprocess.run(["make", "-s", "-f", "test/oracle/oracle.mk", "oracle-plugin",
                    f"BUILD_DIR={BUILD}"], cwd=TOP, check=True)


def guest_command(cpu, cpus, va_bits, options, thread="multi"):
    image = os.path.join(OUT, f"guest{va_bits}.elf")
    protect = (1 << 64) - (1 << va_bits) + (2 << 30)
    plugin = [PLUGIN, f"kernel={image}", f"protect={protect:#x}:{1 << 30:#x}"]
    options = options if any(o.startswith("strict=") for o in options) else ["strict=use", *options]
    return [QEMU, "-M", "virt,gic-version=3", "-cpu", cpu, "-smp", str(cpus), "-m", "512",
            "-accel", f"tcg,thread={thread}", "-display", "none", "-nic", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", image, "-plugin", ",".join(plugin + options)]


def run(command, json_path):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    with open(json_path) as file:
        return done.stdout, done.stderr, json.load(file)


def judged(tmp_path, cpu="cortex-a72", cpus=1, va_bits=39, options=()):
    path = str(tmp_path / "oracle.json")
    command = guest_command(cpu, cpus, va_bits, [f"json={path}", *options])
    return run(command, path)


def expectations(output, bbm):
    found = {}
    for name, rule, level in re.findall(r"^case (\w+) expect ([\w-]+)(?: bbm(\d))?\s*$", output,
                                        re.M):
        found[name] = "ok" if level and bbm >= int(level) else rule
    return found


def check_all(output, result, bbm=0):
    """Each case has exactly the verdict that it expects, and the counts are the guest's own."""
    expected = expectations(output, bbm)
    reported = {}
    for finding in result["findings"]:
        reported.setdefault(finding["symbol"], set()).add(finding["rule"])
    wanted = {name: {rule} for name, rule in expected.items() if rule != "ok"}
    assert reported == wanted
    end = re.search(r"guest: end cases=(\d+) breaks=(\d+) makes=(\d+)", output)
    assert end, output
    assert int(end[1]) == len(expected) >= 40
    assert (result["breaks"], result["makes"]) == (int(end[2]), int(end[3]))
    assert result["blind_tables"] == 0 and result["unsupported"] == 0
    return expected


@pytest.mark.parametrize("va_bits", [39, 48])
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("cpu", ["cortex-a72", "max"])
def test_every_verdict(tmp_path, cpu, cpus, va_bits):
    output, _, result = judged(tmp_path, cpu, cpus, va_bits)
    expected = check_all(output, result)
    assert f"guest: cpus={cpus}" in output
    assert ("local_tlbi_wrong" in expected) == (cpus > 1)
    assert ("store_swap_wrong" in expected) == (cpu == "max")


def test_one_thread_for_several_cpus_is_refused(tmp_path):
    """QEMU then tells a plugin the wrong CPU; a wrong judge is worse than none."""
    command = guest_command("cortex-a72", 2, 39, [], thread="single")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_SECONDS)
    assert done.returncode == 2 and "thread=multi" in done.stderr


@pytest.mark.parametrize("bbm", [1, 2])
def test_verdicts_by_level_of_feat_bbm(tmp_path, bbm):
    """A size change may be right; everything else is judged as ever."""
    output, _, result = judged(tmp_path, "max", 2, options=[f"bbm={bbm}"])
    expected = check_all(output, result, bbm)
    assert expected["demote_nt_bbm1"] == "ok" and expected["demote_elsewhere_wrong"] != "ok"
    assert expected["demote_bbm2"] == ("ok" if bbm == 2 else "no-break")


@pytest.mark.parametrize("cpus", [1, 4])
def test_verdicts_without_host_access_to_memory(tmp_path, cpus):
    """Tables in memory that no code ran from are read through the guest's own mappings."""
    output, _, result = judged(tmp_path, "max", cpus, 48, options=["reads=va"])
    check_all(output, result)


@pytest.mark.parametrize("options, seen", [(["strict=off"], False),
                                           (["strict=off", "stack=on"], True)])
def test_stores_through_the_stack_pointer_are_seen_when_asked_for(tmp_path, options, seen):
    _, _, result = judged(tmp_path, options=options)
    named = {finding["symbol"] for finding in result["findings"]}
    assert ("store_through_stack_wrong" in named) == seen
    assert "leaf_no_dsb_after_wrong" in named and result["rules"]["use-before-sync"] == 0


def test_violation_line_tells_the_story(tmp_path):
    _, errors, _ = judged(tmp_path)
    block = re.search(r"^oracle: violation no-dsb-after-tlbi cpu0 pc 0x[0-9a-f]+ "
                      r"\(leaf_no_dsb_after_wrong\+0x[0-9a-f]+\) va 0x[0-9a-f]+ "
                      r"old 0x[0-9a-f]{16} new 0x[0-9a-f]{16}\n"
                      r"oracle:   break cpu0 entry .*leaf_no_dsb_after_wrong.*\n"
                      r"oracle:   tlbi  cpu0 va .*leaf_no_dsb_after_wrong", errors, re.M)
    assert block, errors


def test_report_limit_hides_lines_but_counts_all(tmp_path):
    _, errors, result = judged(tmp_path, options=["max=3"])
    assert len(result["findings"]) == 3 == errors.count("oracle: violation")
    assert result["violations"] == sum(result["rules"].values()) > 40


def test_exceptions_are_counted_and_nested_ones_named(tmp_path):
    """One SVC, one SVC whose entry code executes another."""
    _, errors, result = judged(tmp_path)
    assert result["exceptions"] == 3 and result["exception_depth"] == 2
    assert result["nested_in_entry"] == 1
    assert errors.count("exception inside exception entry") == 1


@pytest.mark.parametrize("bad", ["nonsense", "bbm=7", "protect=12", "strict=maybe"])
def test_bad_option_is_refused(tmp_path, bad):
    command = guest_command("cortex-a72", 1, 39, [bad])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_SECONDS)
    assert done.returncode != 0 and "oracle: bad option" in done.stderr


def test_no_tables_is_silent_not_pass(tmp_path):
    """A machine that never turns its MMU on must not look like a good one."""
    path = str(tmp_path / "oracle.json")
    command = [QEMU, "-M", "virt", "-cpu", "cortex-a72", "-m", "128", "-display", "none",
               "-nic", "none", "-serial", "none", "-monitor", "stdio",
               "-plugin", f"{PLUGIN},json={path}"]
    done = subprocess.run(command, input="quit\n", capture_output=True, text=True,
                          timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        assert json.load(file)["verdict"] == "silent"
