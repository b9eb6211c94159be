# SPDX-License-Identifier: BSD-2-Clause
"""test/seeded/layers.py - what may catch a defect: one function a layer.

A layer gets a defect and a copy of the tree with the defect in it, and returns the reasons that
it gives for a failure, the most telling first; none: it was not caught. It raises Broken when it
could not judge at all. run says which reason is the right one.
"""
import json
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", LC_ALL="C", CMOCKA_MESSAGE_OUTPUT="stdout")
for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BUILD_DIR"):
    ENV.pop(inherited, None)
LIMIT_SECONDS = 240
ORACLE_LIMIT_SECONDS = 600  # for what hangs; an idle machine needs 3
HOST_REASON = re.compile(r"^(?:FAILED .*|.*runtime error: .*|.*ERROR: AddressSanitizer.*"
                         r"|.*\(outside of a run\))$", re.M)
UNIT_REASON = re.compile(r"^(?:\[  (?:FAILED |ERROR  ) \] \w+|.*runtime error: .*"
                         r"|.*\(outside of a run\))$", re.M)
BOOT_REASON = re.compile(r"^.*(?:PANIC cpu|RECURSION cpu|FAIL |result=fail|boot failed:).*$",
                         re.M)
GUEST = ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-smp", "2", "-m", "1G", "-accel",
         "tcg,thread=multi", "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio"]


class Broken(Exception):
    """The defect could not be judged: it does not apply, build or end."""


def sh(command, cwd=ROOT, limit=LIMIT_SECONDS, **more):
    """(status, output)"""
    try:
        out = subprocess.run(command, cwd=cwd, env=dict(ENV, **more), timeout=limit, check=False,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        raise Broken(f"no end within {limit} s") from late
    return out.returncode, out.stdout.decode("utf-8", "replace").replace("\r", "")


def must(command, what, cwd=ROOT):
    status, text = sh(command, cwd)
    if status != 0:
        raise Broken(f"{what}: {text.strip()[-300:]}")
    return text


def make_variables():
    """What host.mk builds with: CC, FLAGS, KERNEL, MACHINE, ..., and the fuzzer's own."""
    out = must(["make", "-s", "--no-print-directory", "host-variables"], "make host-variables")
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return {name: value.split() for name, value in found.items()}


def sources():
    out = must(["git", "ls-files", "-co", "--exclude-standard"], "git ls-files")
    return [name for name in out.splitlines() if os.path.isfile(os.path.join(ROOT, name))]


def copy_tree(defect, where, names):
    """The sources with the defect in them; products are copied by the layers that need them."""
    shutil.rmtree(where, ignore_errors=True)
    for name in names:
        target = os.path.join(where, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, name), target)
    os.symlink(os.path.join(ROOT, ".deps"), os.path.join(where, ".deps"))
    must(["patch", "-p1", "--no-backup-if-mismatch", "-s", "-i", defect.path],
         "the patch does not apply", cwd=where)


# ---- on the host: the model's objects, with those of the defect in their places -----------------
def host_flags(make, where):
    flags = [f.replace("-Iarch/", f"-I{where}/arch/") for f in make["FLAGS"]]
    flags.insert(flags.index("-I."), "-I" + where)
    return flags


def host_object(make, where, source):
    """A test's own object: it may include what the defect is in."""
    flags = host_flags(make, where)
    at = flags.index("-include")
    target = os.path.join(where, source[:-2] + ".o")
    must([*make["CC"], *flags[:at], *flags[at + 2:], "-c", "-o", target,
          os.path.join(where, source)], "does not build")
    return target


def made_from(made):
    """The files that an object was made from, by the compiler's own list."""
    with open(os.path.join(ROOT, made[:-2] + ".d"), encoding="utf-8") as file:
        return set(file.read().replace("\\\n", " ").partition("\n")[0].split())


def host_program(defect, make, where, kernel_objects, extra_flags, own, link, kernel="KERNEL"):
    flags = host_flags(make, where) + extra_flags
    objects = []
    for source in make[kernel]:
        base = os.path.join(kernel_objects, source[:-2] + ".o")
        if made_from(base) & set(defect.files):
            base = os.path.join(where, source[:-2] + ".o")
            must(make["CC"] + flags + ["-Wno-error", "-c", "-o", base, os.path.join(where, source)],
                 "does not build")
        objects.append(base)
    program = os.path.join(where, "program")
    must([*make["LINK"], "-o", program, *objects, *own, *link], "does not link")
    return program


def failed(status, text, pattern):
    if status == 0:
        return []
    found = [match[0] for match in pattern.finditer(text)]
    return list(reversed(found)) or [text[-200:].replace("\n", " ")]


def sim(defect, make, where):
    program = host_program(defect, make, where, make["KERNEL_OBJECTS"][0], [], make["OBJECTS"], [])
    only = ["--scenario", defect.head["scenario"]] if "scenario" in defect.head else []
    return failed(*sh([program, "--runs", str(defect.runs), *only]), HOST_REASON)


def fuzz(defect, make, where):
    program = host_program(defect, make, where, make["FUZZ_OBJECTS"][0],
                           ["-fsanitize=fuzzer-no-link"], make["FUZZ_OWN"], ["-fsanitize=fuzzer"])
    status, text = sh([program, "-seed=1", "-max_len=1024", "-len_control=0",
                       f"-runs={defect.runs}", f"-artifact_prefix={where}/"])
    return failed(status, text, HOST_REASON)


def unit(defect, make, where):
    """cmocka: the failed test is the reason. `# unit: PROGRAM` names it."""
    name = defect.head["unit"]
    if name in make["UNITS"] + make["FLAT_UNITS"]:
        kernel = "KERNEL" if name in make["UNITS"] else "FLAT_KERNEL"
        own = [o for o in make["OBJECTS"] if os.path.basename(o) in make["MACHINE"]]
        own += [host_object(make, where, f"test/host/{source}.c")
                for source in [name] + (make["FLAT_SCENES"] if kernel == "FLAT_KERNEL" else [])]
        own += make.get("OWN_" + name, [])
        more = {kernel: make[kernel] + make.get("KERNEL_" + name, [])}
        words = [host_program(defect, make | more, where, make["KERNEL_OBJECTS"][0], [], own,
                              ["-lcmocka"], kernel)]
    else:
        words = [f"build/host/platform/{name}", os.path.join(ROOT, "build/host/platform/trees")]
        must(["make", "-s", words[0]], "does not build", cwd=where)
    return failed(*sh(words, cwd=where), UNIT_REASON)


# ---- the sources, and the protocol ---------------------------------------------------------------
def lint(defect, _make, where):
    """`# lint: CHECK` names one of scripts/lint's."""
    check = defect.head["lint"]
    must(["git", "init", "-q"], "git init", cwd=where)
    if check == "stack":
        kernel(where)
    status, text = sh(["scripts/lint", check], cwd=where)
    return [] if status == 0 else [line for line in text.splitlines() if line.strip()]


def prove(defect, _make, where):
    """`# prove: CASE` is the weakening of test/prove that is this defect; spin gives the reason."""
    case = defect.head["prove"]
    _, text = sh(["test/prove/prove.py", "--only", f"^{re.escape(case)}$",
                  "--out", where + "/prove"], cwd=where)
    seen = re.findall(r"expected \w+, seen (\w+)$", text, re.M)
    if len(seen) != 1:
        raise Broken(f"test/prove has {len(seen)} cases {case!r}")
    return [] if seen[0] == "holds" else seen


# ---- the kernel with the defect, in QEMU ---------------------------------------------------------
def kernel(where):
    """Build it from the products that are there: only what the defect touches is compiled."""
    build = os.path.join(where, "build")
    os.makedirs(build, exist_ok=True)
    for name in ("debug", ".build"):
        source = os.path.join(ROOT, "build", name)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(build, name), symlinks=True)
        elif os.path.exists(source):
            shutil.copy2(source, os.path.join(build, name))
    must(["make", "-s", "all"], "does not build", cwd=where)


def boot(defect, _make, where):
    """`# boot: OPTION=VALUE... ARGS=...` goes to scripts/run.

    What EL0's tests must catch has ICOUNT=1 there: it shows always or never. With the host's time a
    thread may lose its turn in the very step that the defect is in, and the test passes. The
    kernel's tests wait for what they need, and a defect makes some wait for 20 s: an hour of
    counted instructions.
    """
    kernel(where)
    options, _, arguments = defect.head.get("boot", "").partition("ARGS=")
    settings = dict(word.split("=", 1) for word in options.split())
    status, text = sh(["scripts/run"], cwd=where, TIMEOUT="120", **settings, ARGS=arguments)
    if status == 0:
        return []
    return ([m[0].strip() for m in BOOT_REASON.finditer(text)]
            or [f"status {status}: {text.strip()[-150:]}"])


def oracle(defect, _make, where):
    """The rules broken in a short stress, or in what `# stress:` has for boot arguments."""
    kernel(where)
    os.symlink(os.path.join(ROOT, "build/oracle"), os.path.join(where, "build/oracle"))
    report = os.path.join(where, "oracle.json")
    arguments = defect.head.get("stress", "run=stress only=fill,mismatch,protect,contig cycles=10")
    _, text = sh(["scripts/oracle", f"json={report}", f"limit={ORACLE_LIMIT_SECONDS}",
                  "kernel=build/perch.elf", "strict=use", "--", *GUEST, "-cpu", defect.cpu,
                  "-kernel", "build/perch.img", "-append", arguments], cwd=where,
                 limit=ORACLE_LIMIT_SECONDS + 100)
    if not os.path.exists(report):
        raise Broken("no report: " + text.strip()[-200:])
    with open(report, encoding="utf-8") as file:
        said = json.load(file)
    if said["verdict"] not in ("pass", "fail"):
        raise Broken(f"the oracle judged nothing, or not everything: {said['verdict']}")
    rules = sorted(((n, rule) for rule, n in said["rules"].items() if n > 0), reverse=True)
    where_first = {f["rule"]: f.get("symbol", "?") for f in reversed(said["findings"])}
    return [f"{rule} ({n} times, first in {where_first.get(rule, '?')})" for n, rule in rules]


LAYERS = {f.__name__: f for f in (sim, fuzz, unit, lint, prove, boot, oracle)}
