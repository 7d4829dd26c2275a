#!/usr/bin/env python3
"""Heddle and its peers side by side: one table. bench/run.sh sets everything up and calls this.

Every measurement is a process of its own, and the processes take turns (A B C, A B C, …), so that a slow minute of
the machine hits everyone. A figure is the median over the rounds. Whenever other processes took more than a
few percent of the CPU during a measurement it is repeated; what stays disturbed is marked.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import prepare

HERE = Path(__file__).resolve().parent

# name, label, class of arithmetic. Classes are compared with one another.
PEERS = (
    ("torch-f32", "sentence-transformers, torch f32", "f32"),
    ("ort-f32", "ONNX Runtime f32, sorted by length", "f32"),
    ("ort-fastembed", "ONNX Runtime f32, fastembed's way", "f32"),
    ("openvino-f32", "OpenVINO f32", "f32"),
    ("torch-bf16", "sentence-transformers, torch bf16", "bf16"),
    ("openvino-bf16", "OpenVINO bf16", "bf16"),
    ("ort-int8", "ONNX Runtime dynamic int8", "int8"),
)
DTYPES = ("f32", "bf16", "int8", "auto")
HEDDLE = tuple((f"heddle-{kind}-{d}", f"Heddle {d}, {text}", d)
               for d in DTYPES for kind, text in (("command", "heddle embed"), ("library", "C library")))

# What each mode takes away from the peers and from Heddle.
ISA = {
    "native": ({}, {}),
    "avx512_vnni": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, {"HEDDLE_CPU": "-amx"}),
    "avx2": ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
             {"HEDDLE_CPU": "-avx-vnni,-avx512"}),
}

# (Heddle's class, peer or class, on which texts, floor): what the project has promised itself.
FLOORS = (
    ("int8", "ort-int8", "short", 2.8), ("int8", "ort-int8", "long", 1.8),
    ("bf16", "openvino-bf16", "short", 1.7), ("bf16", "openvino-bf16", "long", 1.15),
    ("f32", "f32", "short", 1.5), ("f32", "f32", "long", 1.5),
)

FOREIGN_LIMIT = 0.04    # of all cores, by processes that are not ours
LAYERS, HIDDEN, INTERMEDIATE, DIMENSIONS = 6, 384, 1536, 384


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# --- the machine --------------------------------------------------------------------------------------------

def cpuinfo():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def machine(threads):
    cpu = cpuinfo()
    flags = set(cpu.get("flags", cpu.get("Features", "")).split())
    known = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {"cpu": cpu.get("model name", platform.machine()),
            "family_model_stepping": "/".join(cpu.get(k, "?") for k in ("cpu family", "model", "stepping")),
            "cores": os.cpu_count(), "threads_used": threads, "flags": [f for f in known if f in flags],
            "virtual": "hypervisor" in flags, "memory_gb": round(int(memory.group(1)) / 2 ** 20, 1),
            "kernel": platform.release(), "python": platform.python_version()}


def slug(info):
    name = re.sub(r"\(.*?\)|@.*|\bprocessor\b|\bcpu\b", " ", info["cpu"], flags=re.I)
    family = info["family_model_stepping"].rsplit("/", 1)[0].replace("/", "-")
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {family} {info['threads_used']}t".lower()).strip("-")


def measure_peak(tools, threads, isa, before=None):
    """GFLOP/s or GOP/s by instruction: the best of this moment and of `before`. Empty off x86-64."""
    if not (tools / "peak").exists():
        return {}
    text = subprocess.run([tools / "peak", str(threads)], env={**os.environ, "HEDDLE_BENCH_ISA": isa},
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return {k: max(v, (before or {}).get(k, 0)) for k, v in json.loads(text).items() if k != "threads"}


def peak_of(kind, peaks):
    """The best rate that arithmetic of this class could use; bf16 may be widened to f32, and often is."""
    wanted = {"f32": ("_f32",), "bf16": ("_bf16", "_f32"), "int8": ("_int8",), "auto": ("_bf16", "_f32")}[kind]
    return max((v for k, v in peaks.items() if k.endswith(wanted)), default=0)


def gflop(lengths):
    """Matrix products and attention of MiniLM for texts of these token counts."""
    weights = 2 * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INTERMEDIATE)
    return sum(LAYERS * (n * weights + 4 * n * n * HIDDEN) for n in lengths) * 1e-9


def busy_seconds():
    """CPU seconds spent by everybody since boot, idle and waiting apart."""
    ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


# --- processes ----------------------------------------------------------------------------------------------

class Failed(Exception):
    pass


def run_once(command, env, cpu_seconds_of_children):
    """The last JSON line of stderr or stdout, with the share of the CPU that others took meanwhile."""
    before, own, begin = busy_seconds(), cpu_seconds_of_children(), time.monotonic()
    done = subprocess.run([str(c) for c in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, errors="replace")
    wall = time.monotonic() - begin
    foreign = max(0.0, busy_seconds() - before - (cpu_seconds_of_children() - own)) / (wall * os.cpu_count())
    for line in reversed(done.stdout.splitlines() + done.stderr.splitlines()):
        if line.startswith("{") and done.returncode == 0:
            return {**json.loads(line), "foreign_cpu": round(foreign, 3)}
    if done.returncode < 0:
        raise Failed(f"killed by signal {-done.returncode}")
    tail = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
    raise Failed(f"exit status {done.returncode}: {tail[:160]}")


def wait_for_quiet(seconds):
    """Until nothing else runs, for at most so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(0.5)
        if (busy_seconds() - before) / (0.5 * os.cpu_count()) <= FOREIGN_LIMIT:
            return


def run(command, env, patience):
    def cpu_seconds_of_children():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    best = None
    for _ in range(1 + patience):
        wait_for_quiet(10 * patience)
        command_now = [f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f}" if c == "@now" else c for c in command]
        result = run_once(command_now, env, cpu_seconds_of_children)
        if best is None or result["foreign_cpu"] < best["foreign_cpu"]:
            best = result
        if best["foreign_cpu"] <= FOREIGN_LIMIT:
            break
    return best


class Bench:
    def __init__(self, a):
        self.a = a
        self.threads = a.threads or len(os.sched_getaffinity(0))
        self.short, self.long, self.queries = (400, 80, 50) if a.quick else (2000, 400, 200)
        self.lengths = json.loads((a.data / "lengths.json").read_text())
        self.notes = []
        self.peaks = measure_peak(a.tools, self.threads, a.isa)
        self.mask, why = self.probe_mask()
        peer_env, heddle_env = ISA[a.isa]
        common = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "OMP_NUM_THREADS": str(self.threads)}
        self.peer_env = {**common, **peer_env}
        if self.mask:
            self.peer_env.update(LD_PRELOAD=str(a.tools / "libcpuid_mask.so"), HEDDLE_BENCH_ISA=a.isa)
        self.cache = a.data / "cache"
        self.heddle_env = {**common, **heddle_env, "XDG_CACHE_HOME": str(self.cache)}
        if a.isa != "native":
            self.notes.append(
                f"Held to {a.isa}: the peers through masked CPUID answers and, where they have one, their own setting."
                if self.mask else
                f"Held to {a.isa}: CPUID cannot be masked on this machine ({why}), so ONNX Runtime, which has no "
                "setting of its own, is left out.")

    def probe_mask(self):
        """Whether peers run under cpuid_mask: to hold them to an instruction set, or to make AMX usable at all."""
        if not (self.a.tools / "cpuid_probe").exists():
            return False, "it is no x86-64"
        probe = subprocess.run([self.a.tools / "cpuid_probe"], stdout=subprocess.PIPE, text=True)
        lines = probe.stdout.split("\n")
        if probe.returncode != 0:
            return False, lines[0]
        if self.a.isa == "native" and "tiles hidden" not in lines:
            return False, "not needed"
        if self.a.isa == "native":
            self.notes.append(
                "This machine has AMX but hides its tile shapes (CPUID leaf 0x1D is zero), on which oneDNN dies with "
                "an illegal instruction. The peers were given the architectural values, so they run on AMX.")
        return True, ""

    # One measurement of a row: a dictionary, or Failed.

    def peer(self, name, extra=()):
        if self.a.isa != "native" and not self.mask and name.startswith("ort-"):
            raise Failed("cannot be held to this instruction set here")
        command = [sys.executable, HERE / "peer.py", name, "--model", self.a.model, "--data", self.a.data,
                   "--threads", self.threads, "--started", "@now", "--short", self.short, "--long", self.long,
                   "--queries", self.queries, *extra]
        return run(command, self.peer_env, self.a.patience)

    def heddle_library(self, dtype, vectors):
        program = self.a.tools / "heddle_peer"
        if not program.exists():
            raise Failed("not measured, no program could be linked with build/libheddle.so")
        command = [program, dtype, self.a.model, self.a.data, self.threads, "@now",
                   self.short, self.long, self.queries * 10, *([vectors] if vectors else [])]
        return run(command, self.heddle_env, self.a.patience)

    def heddle_embed(self, dtype, arguments, env=None):
        if not self.a.heddle.exists():
            raise Failed("not measured, build/heddle is not there")
        command = [sys.executable, "-I", "-S", HERE / "spawn.py", self.a.heddle, "embed", "-m", self.a.model,
                   "--dtype", dtype, "--threads", self.threads, *arguments]
        result = run(command, env or self.heddle_env, self.a.patience)
        if result["status"] != 0:
            raise Failed(f"heddle embed: exit status {result['status']}")
        return result

    def heddle_command(self, dtype, vectors):
        """Whole processes: nothing is subtracted."""
        query = (self.a.data / "query.txt").read_text().strip()
        with tempfile.TemporaryDirectory(dir=self.a.data) as folder:
            to = ["--output", Path(folder) / "out.f32", "--output-format", "f32"]
            cold = self.heddle_embed(dtype, [*to, query], {**self.heddle_env, "XDG_CACHE_HOME": folder})
            first = statistics.median(self.heddle_embed(dtype, [*to, query])["wall_s"] for _ in range(5))
            result = {"first_vector_ms": first * 1e3, "first_vector_cold_ms": cold["wall_s"] * 1e3,
                      "foreign_cpu": 0, "peak_rss_mb": 0}
            for name, n in (("long", self.long), ("short", self.short)):
                lines = (self.a.data / f"{name}.txt").read_text().splitlines()[:n]
                texts = Path(folder) / "in.txt"
                texts.write_text("\n".join(lines) + "\n")
                ran = self.heddle_embed(dtype, [*to, "--input", texts])
                result[f"{name}_docs_per_s"] = n / ran["wall_s"]
                for key in ("foreign_cpu", "peak_rss_mb"):
                    result[key] = max(result[key], ran[key])
            if vectors:
                os.replace(to[1], vectors)
        return result

    def measure(self, name, kind, vectors):
        if name.startswith("heddle-library"):
            return self.heddle_library(kind, vectors)
        if name.startswith("heddle-command"):
            return self.heddle_command(kind, vectors)
        return self.peer(name, ["--vectors", vectors] if vectors else [])

    # All rows, all rounds.

    def rows(self):
        return [r for r in PEERS + HEDDLE if any(fnmatch.fnmatch(r[0], p) for p in self.a.only)]

    def table(self):
        reference = self.reference()
        found = {name: {"name": name, "label": label, "class": kind, "rounds": []} for name, label, kind in self.rows()}
        for turn in range(1 if self.a.quick else self.a.rounds):
            for name, label, kind in self.rows():
                row = found[name]
                if "failure" in row:
                    continue
                vectors = self.a.data / f"vectors-{name}.f32" if turn == 0 else None
                say(f"round {turn + 1}: {label}")
                try:
                    row["rounds"].append(self.measure(name, kind, vectors))
                    if vectors:
                        row.update(cosines(reference, vectors))
                except Failed as failure:
                    row["failure"] = str(failure)
            self.peaks = measure_peak(self.a.tools, self.threads, self.a.isa, self.peaks)
        return list(found.values())

    def reference(self):
        """What every row's vectors are compared with: torch f32 on the machine as it is."""
        path = self.a.data / f"reference-{self.short}.f32"
        if not path.exists():
            say("reference vectors")
            temporary = path.with_suffix(".tmp")
            command = [sys.executable, HERE / "peer.py", "torch-f32", "--model", self.a.model, "--data", self.a.data,
                       "--threads", self.threads, "--started", "@now", "--short", self.short, "--long", 1,
                       "--queries", 1, "--vectors", temporary]
            run(command, os.environ, 0)
            os.replace(temporary, path)
        return path

    def many_docs(self, counts):
        rows = []
        for name, label, kind in self.rows():
            if name.startswith("heddle-library"):
                continue
            row = {"name": name, "label": label, "class": kind, "counts": {}}
            for n in counts:
                say(f"{n} documents: {label}")
                texts = prepare.write_more_texts(self.a.data, n)
                try:
                    row["counts"][str(n)] = self.many_docs_once(name, kind, texts, n)
                except Failed as failure:
                    row["failure"] = str(failure)
                    break
            rows.append(row)
        return rows

    def many_docs_once(self, name, kind, texts, n):
        if not name.startswith("heddle"):
            return self.peer(name, ["--docs", texts, "--seconds", self.a.seconds])
        with tempfile.TemporaryDirectory(dir=self.a.data) as folder:
            ran = self.heddle_embed(kind, ["--input", texts, "--output", Path(folder) / "out.f32",
                                           "--output-format", "f32"])
        return {"docs": n, "docs_per_s": n / ran["wall_s"], "peak_rss_mb": ran["peak_rss_mb"],
                "foreign_cpu": ran["foreign_cpu"]}


def cosines(reference, vectors):
    import numpy  # here, so that --help needs no environment
    a = numpy.fromfile(reference, "<f4").reshape(-1, DIMENSIONS).astype(numpy.float64)
    b = numpy.fromfile(vectors, "<f4").reshape(-1, DIMENSIONS).astype(numpy.float64)
    if a.shape != b.shape:
        raise Failed(f"{len(b)} vectors for {len(a)} texts")
    c = (a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))
    return {"cosine_mean": float(c.mean()), "cosine_min": float(c.min())}


# --- the table ----------------------------------------------------------------------------------------------

MEDIANS = ("short_docs_per_s", "long_docs_per_s", "query_p50_ms", "query_p99_ms", "first_vector_ms",
           "first_vector_cold_ms", "peak_rss_mb")


def summarise(rows, peaks, lengths, n_short, n_long):
    for row in rows:
        for key in MEDIANS:
            values = [r[key] for r in row["rounds"] if key in r]
            if values:
                row[key] = statistics.median(values)
        if row["rounds"]:
            row["foreign_cpu"] = max(r["foreign_cpu"] for r in row["rounds"])
            row["versions"] = row["rounds"][0].get("versions", {})
            row["sees"] = row["rounds"][0].get("sees", "")
            for size, n in (("short", n_short), ("long", n_long)):
                rate, peak = row[f"{size}_docs_per_s"] * gflop(lengths[size][:n]) / n, peak_of(row["class"], peaks)
                if peak:
                    row[f"{size}_percent_of_peak"] = 100 * rate / peak
    for row in rows:
        for size in ("short", "long"):
            rivals = best_peer(rows, row["class"], size)
            if row["rounds"] and rivals:
                row[f"{size}_ratio"] = row[f"{size}_docs_per_s"] / rivals


def best_peer(rows, kind, size):
    """docs/s of the best peer of a class; `auto` is held against f32 and bf16. A peer's name is a class of its own."""
    classes = ("f32", "bf16") if kind == "auto" else (kind,)
    rates = [r[f"{size}_docs_per_s"] for r in rows if r["rounds"] and not r["name"].startswith("heddle")
             and (r["class"] in classes or r["name"] == kind)]
    return max(rates, default=None)


def cell(row, key, form):
    return format(row[key], form) if key in row else "–"


def markdown_table(header, lines):
    widths = [max(len(r[i]) for r in [header] + lines) for i in range(len(header))]
    def one(cells):
        first = cells[0].ljust(widths[0])
        return "| " + " | ".join([first] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]) + " |"
    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]) + "|"
    return "\n".join([one(header), rule] + [one(r) for r in lines])


def table_text(rows):
    header = ["", "short docs/s", "× best peer", "long docs/s", "× best peer", "query p50 ms", "p99 ms",
              "first vector ms", "peak RSS MB", "cosine mean", "min", "% of peak, short", "long"]
    lines = []
    for r in (r for r in rows if r["rounds"]):
        mark = " *" if r["foreign_cpu"] > FOREIGN_LIMIT else ""
        lines.append([r["label"] + mark, cell(r, "short_docs_per_s", ".1f"), cell(r, "short_ratio", ".2f"),
                      cell(r, "long_docs_per_s", ".1f"), cell(r, "long_ratio", ".2f"), cell(r, "query_p50_ms", ".2f"),
                      cell(r, "query_p99_ms", ".2f"), cell(r, "first_vector_ms", ".0f"), cell(r, "peak_rss_mb", ".0f"),
                      cell(r, "cosine_mean", ".5f"), cell(r, "cosine_min", ".5f"),
                      cell(r, "short_percent_of_peak", ".1f"), cell(r, "long_percent_of_peak", ".1f")])
    return markdown_table(header, lines) if lines else "nothing was measured"


def many_text(rows, counts):
    header = [""] + [f"{n} docs: {what}" for n in counts for what in ("docs/s", "MB")]
    lines = []
    for row in (r for r in rows if r["counts"]):
        cells = [row["label"]]
        for n in counts:
            got = row["counts"].get(str(n))
            cut = f" (after {got['docs']})" if got and got["docs"] < n else ""
            cells += [f"{got['docs_per_s']:.1f}{cut}", f"{got['peak_rss_mb']:.0f}"] if got else ["–", "–"]
        lines.append(cells)
    return markdown_table(header, lines) if lines else "nothing was measured"


def floors_text(rows):
    by_name = {r["name"]: r for r in rows if r["rounds"]}
    lines = []
    for kind, rival, size, floor in FLOORS:
        row, best = by_name.get(f"heddle-command-{kind}"), best_peer(rows, rival, size)
        if row and best:
            ratio = row[f"{size}_docs_per_s"] / best
            name = f"the best {kind} peer" if rival == kind else rival
            lines.append(f"- {kind}, {size}: {ratio:.2f} × {name}, floor {floor}: "
                         f"{'met' if ratio >= floor else 'NOT met'}")
    return "\n".join(lines)


def notes_of(bench, rows):
    notes = list(bench.notes)
    if not bench.a.docs:
        notes += ["Peers: the encode loop alone, after a warm-up, tokenizing included, start-up excluded, which favours "
                  "them. `heddle embed`: whole processes, from start to exit, vectors written to a file. "
                  "C library: the encode loop alone, as for the peers.",
                  "× best peer: against the best peer of the same arithmetic (auto: f32 and bf16). % of peak: "
                  "arithmetic of the model over that of a loop that touches only registers, same run, same class."]
        colds = [f"{r['class']} {r['first_vector_cold_ms']:.0f} ms" for r in rows if "first_vector_cold_ms" in r]
        if colds:
            notes.append("First vector of `heddle embed` without packed weights on disk: " + ", ".join(colds) + ".")
    reasons = {}
    for row in (r for r in rows if "failure" in r):
        reasons.setdefault(row["failure"], []).append(row["label"])
    notes += [f"Not in the table: {'; '.join(labels)}: {reason}." for reason, labels in reasons.items()]
    if any(r.get("foreign_cpu", 0) > FOREIGN_LIMIT for r in rows):
        notes.append(f"* other processes took more than {FOREIGN_LIMIT:.0%} of the CPU during one of the rounds.")
    return notes


def report(bench, info, rows, body, date):
    n = bench.lengths
    shape = lambda t: f"{len(t)} texts, {min(t)}–{max(t)} tokens, {sum(t) / len(t):.0f} in the mean"
    versions = {k: v for r in rows for k, v in r.get("versions", {}).items()}
    lines = [f"# Benchmark of {date}, {bench.a.isa}", "",
             f"{info['cpu']} (family/model/stepping {info['family_model_stepping']}), {info['cores']} cores, "
             f"{bench.threads} threads used{', virtual machine' if info['virtual'] else ''}, "
             f"{info['memory_gb']} GB, Linux {info['kernel']}.",
             f"Short: {shape(n['short'][:bench.short])}. Long: {shape(n['long'][:bench.long])}. Query: 30 tokens.",
             f"Peak, GFLOP/s or GOP/s: {', '.join(f'{k} {v:.0f}' for k, v in bench.peaks.items() if v)}."]
    if versions:
        lines.append("Versions: " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) + ".")
    floors = "" if bench.a.docs else floors_text(rows)
    lines += ["", body, "", *([floors, ""] if floors else []), *(f"- {note}" for note in notes_of(bench, rows))]
    return "\n".join(lines) + "\n"


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh",
                                     description="Heddle and its peers on this machine, in one table.")
    for name in ("model", "data", "tools", "heddle", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--isa", choices=ISA, default="native", help="hold everyone to an instruction set")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each row gets (3)")
    parser.add_argument("--quick", action="store_true", help="one round on a fifth of the texts")
    parser.add_argument("--docs", metavar="N,N,…", help="many documents instead: 1000,10000,100000")
    parser.add_argument("--seconds", type=float, default=120,
                        help="with --docs: longest time a peer gets for a count (120)")
    parser.add_argument("--only", metavar="PATTERN,…", default="*",
                        help="rows, with shell wildcards, of: " + " ".join(r[0] for r in PEERS + HEDDLE))
    parser.add_argument("--threads", type=int, default=0, help="cores to use (all)")
    parser.add_argument("--patience", type=int, default=2,
                        help="repeats of a disturbed measurement, and tens of seconds to wait for a quiet machine (2)")
    parser.add_argument("--no-save", action="store_true", help="print, but write nothing into bench/results")
    a = parser.parse_args()
    a.only = a.only.split(",")
    return a


def main():
    a = arguments()
    bench = Bench(a)
    info = machine(bench.threads)
    date = datetime.date.today().isoformat()
    counts = [int(n) for n in a.docs.split(",")] if a.docs else []
    if counts:
        rows = bench.many_docs(counts)
        body = many_text(rows, counts)
    else:
        rows = bench.table()
        summarise(rows, bench.peaks, bench.lengths, bench.short, bench.long)
        body = table_text(rows)
    text = report(bench, info, rows, body, date)
    print(text)
    if not a.no_save:
        name = "-".join([date, slug(info), a.isa] + (["docs"] if counts else []) + (["quick"] if a.quick else []))
        a.results.mkdir(parents=True, exist_ok=True)
        (a.results / f"{name}.md").write_text(text, encoding="utf-8")
        (a.results / f"{name}.json").write_text(json.dumps(
            {"date": date, "isa": a.isa, "machine": info, "peak": bench.peaks, "lengths": {
                k: {"texts": len(v), "tokens": sum(v)} for k, v in bench.lengths.items()},
             "notes": notes_of(bench, rows), "rows": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"kept as bench/results/{name}.md and .json")


if __name__ == "__main__":
    main()
