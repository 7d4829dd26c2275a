#!/usr/bin/env python3
"""Heddle and its peers side by side: one table. bench/run.sh sets everything up and calls this.

Each row is a process of its own that stays open and takes its turn: a block of short texts, a block of long ones,
then the next row, A B C, A B C, … A process is stopped (SIGSTOP) when it is not its turn. A slow minute of the
machine thus hits everyone, and ratios are medians over the turns of the ratio within a turn.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import resource
import signal
import statistics
import struct
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
               for d in DTYPES for kind, text in (("command", "the program"), ("library", "C library")))

# What each mode takes away from the peers and from Heddle.
ISA = {
    "native": ({}, {}),
    "avx512_vnni": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, {"HEDDLE_CPU": "-amx"}),
    "avx2": ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
             {"HEDDLE_CPU": "-avx-vnni,-avx512"}),
}

# For each model (Heddle's class, peer or class, on which texts, floor, floor with AMX): what the project has promised
# itself.
FLOORS = {
    "all-MiniLM-L6-v2": (
        ("int8", "ort-int8", "short", 2.8), ("int8", "ort-int8", "long", 1.8),
        ("bf16", "openvino-bf16", "short", 1.7), ("bf16", "openvino-bf16", "long", 1.15),
        ("f32", "f32", "short", 1.5), ("f32", "f32", "long", 1.5)),
    "bge-m3": (
        ("int8", "ort-int8", "long", 1.45, 2.0), ("int8", "ort-int8", "mixed", 2.5),
        ("bf16", "openvino-bf16", "long", 1.6), ("bf16", "openvino-bf16", "mixed", 2.5)),
    "ms-marco-MiniLM-L6-v2": (("int8", "ort-int8", "rerank", 2.0),),
}
AVX2_FLOORS = {     # held to AVX2, or with no more, and nothing below
    "all-MiniLM-L6-v2": tuple((kind, f"ort-{kind}", size, 1.0) for kind in ("int8", "f32") for size in ("short", "long")),
}

# And (row, figure, what it is, least, most): absolute ones. A share of the peak is promised without AMX.
LIMITS = {
    "all-MiniLM-L6-v2": (
        ("heddle-library-int8", "short_percent_of_peak", "share of the int8 peak, short, %", 60, None),
        ("heddle-library-int8", "long_percent_of_peak", "share of the int8 peak, long, %", 60, None),
        ("heddle-library-bf16", "short_percent_of_peak", "share of the bf16 peak, short, %", 75, None),
        ("heddle-library-bf16", "long_percent_of_peak", "share of the bf16 peak, long, %", 75, None),
        ("heddle-library-int8", "query_p50_ms", "one query, int8, p50, ms", None, 1.2),
        ("heddle-command-int8", "first_vector_cold_ms", "first start to the first vector, int8, ms", None, 300),
        ("heddle-command-int8", "first_vector_ms", "next start to the first vector, int8, ms", None, 60)),
    "bge-m3": (
        ("heddle-library-int8", "long_percent_of_peak", "share of the int8 peak, %", 80, None),
        ("heddle-command-int8", "first_vector_cold_ms", "first start to the first vector, int8, ms", None, 3000),
        ("heddle-command-int8", "first_vector_ms", "next start to the first vector, int8, ms", None, 150),
        ("heddle-command-int8", "first_rss_mb", "peak RSS of the first start, int8, MB", None, 750),
        ("heddle-command-int8", "peak_rss_mb", "peak RSS, int8, MB", None, 750)),
}

QUERIES = 200
FOREIGN_LIMIT = 0.04    # of all cores, by processes that are not ours


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


def measure_peak(tools, threads, isa, seconds):
    """GFLOP/s or GOP/s by instruction at this moment: the best of five times so many seconds. Empty off x86-64."""
    if not (tools / "peak").exists():
        return {}
    text = subprocess.run([tools / "peak", str(threads), str(seconds)], env={**os.environ, "HEDDLE_BENCH_ISA": isa},
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return {k: v for k, v in json.loads(text).items() if k != "threads"}


def peak_of(kind, peaks):
    """The best rate that arithmetic of this class could use; bf16 may be widened to f32, and often is."""
    wanted = {"f32": ("_f32",), "bf16": ("_bf16", "_f32"), "int8": ("_int8",), "auto": ("_bf16", "_f32")}[kind]
    return max((v for k, v in peaks.items() if k.endswith(wanted)), default=0)


def gflop(config, lengths):
    """Matrix products and attention of a BERT for texts of these token counts."""
    layers, hidden, middle = (config[k] for k in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    weights = 2 * (4 * hidden * hidden + 2 * hidden * middle)
    return sum(layers * (n * weights + 4 * n * n * hidden) for n in lengths) * 1e-9


def busy_seconds():
    """CPU seconds spent by everybody since boot, idle and waiting apart."""
    ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


# --- processes ----------------------------------------------------------------------------------------------

class Failed(Exception):
    pass


class Watch:
    """How much of the CPU everybody else took while some process ran."""

    def __init__(self, own_seconds):
        self.own_seconds, self.own, self.busy, self.begin = own_seconds, own_seconds(), busy_seconds(), time.monotonic()

    def foreign(self):
        wall = time.monotonic() - self.begin
        others = busy_seconds() - self.busy - (self.own_seconds() - self.own)
        return max(0.0, others) / (wall * os.cpu_count())


def seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def reason_of(status, stderr):
    if status < 0:
        return f"killed by signal {-status}"
    return f"exit status {status}: {(stderr.strip() or 'no output').splitlines()[-1][:160]}"


class Peer:
    """A process that answers commands (peer.py, heddle_peer.c) and is stopped in between."""

    def __init__(self, command, env):
        self.stderr = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([str(c) for c in command], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.stderr, text=True, bufsize=1)
        self.first = self.read()
        os.kill(self.process.pid, signal.SIGSTOP)

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        status = self.process.wait()
        self.stderr.seek(0)
        raise Failed(reason_of(status, self.stderr.read()))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, *command):
        os.kill(self.process.pid, signal.SIGCONT)
        watch = Watch(self.cpu_seconds)
        self.process.stdin.write(" ".join(str(c) for c in command) + "\n")
        answer = {**self.read(), "foreign_cpu": round(watch.foreign(), 3)}
        os.kill(self.process.pid, signal.SIGSTOP)
        return answer

    def close(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


class Bench:
    def __init__(self, a):
        self.a = a
        self.threads = a.threads or len(os.sched_getaffinity(0))
        self.turns = 2 if a.quick else 4 * a.rounds
        self.config = json.loads((a.model / "config.json").read_text())
        work = json.loads((a.data / "work.json").read_text())
        self.query_tokens = work["query_tokens"]
        self.reranks = work["reranks"]
        self.sizes = work["sizes"]      # name → texts in a turn, tokens of each text of the file
        self.queries = QUERIES if a.texts == "small" else QUERIES // 10
        self.notes = []
        self.peaks = measure_peak(a.tools, self.threads, a.isa, 0.2)    # the best seen; blocks have their own
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

    def open_peer(self, name, kind):
        """A row's process; None for the program, which is a process for each block."""
        if name.startswith("heddle-command"):
            return None
        if name.startswith("heddle-library"):
            if not (self.a.tools / "heddle_peer").exists():
                raise Failed("not measured, no program could be linked with build/libheddle.so")
            return Peer([self.a.tools / "heddle_peer", kind, self.a.model, self.a.data, self.threads, now(),
                         self.queries * (10 if self.a.texts == "small" else 1), *(f"{s}.txt" for s in self.sizes)],
                        self.heddle_env)
        if self.a.isa != "native" and not self.mask and name.startswith("ort-"):
            raise Failed("cannot be held to this instruction set here")
        return Peer([sys.executable, HERE / "peer.py", name, "--model", self.a.model, "--data", self.a.data,
                     "--threads", self.threads, "--started", now(), "--queries", self.queries], self.peer_env)

    def heddle_command(self, kind, arguments, env=None):
        """One run of the program from its start to its exit."""
        if not self.a.heddle.exists():
            raise Failed("not measured, build/heddle is not there")
        verb = "rerank" if self.reranks else "embed"
        command = [sys.executable, "-I", "-S", HERE / "spawn.py", self.a.heddle, verb, "-m", self.a.model,
                   "--dtype", kind, "--threads", self.threads, *arguments]
        watch = Watch(seconds_of_children)
        done = subprocess.run([str(c) for c in command], env=env or self.heddle_env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        result = json.loads(done.stderr.splitlines()[-1]) if done.returncode == 0 else {"status": done.returncode}
        if result["status"] != 0:
            raise Failed(f"heddle {verb}: {reason_of(result['status'], done.stderr)}")
        return {**result, "foreign_cpu": round(watch.foreign(), 3)}

    def first_of_command(self, kind):
        query = query_of(self.a.data)
        with tempfile.TemporaryDirectory(dir=self.a.data) as folder:
            to = ["--output", Path(folder) / "out", *([query, query] if self.reranks else ["--output-format", "f32", query])]
            cold = self.heddle_command(kind, to, {**self.heddle_env, "XDG_CACHE_HOME": folder})
            first = statistics.median(self.heddle_command(kind, to)["wall_s"] for _ in range(5))
        return {"first_vector_ms": first * 1e3, "first_vector_cold_ms": cold["wall_s"] * 1e3,
                "first_rss_mb": cold["peak_rss_mb"], "peak_rss_mb": 0}

    def run_on(self, kind, lines, vectors=None):
        """The program on so many texts; their vectors, or a reranker's scores, in f32."""
        with tempfile.TemporaryDirectory(dir=self.a.data) as folder:
            texts, out = Path(folder) / ("in.jsonl" if self.reranks else "in.txt"), Path(folder) / "out"
            if self.reranks:
                query = query_of(self.a.data)
                lines = [json.dumps({"query": query, "document": text}) for text in lines]
            texts.write_text("\n".join(lines) + "\n")
            form = [] if self.reranks else ["--output-format", "f32"]
            answer = self.heddle_command(kind, ["--input", texts, "--output", out, *form])
            if vectors and self.reranks:
                scores = [json.loads(line)["score"] for line in out.read_text().splitlines()]
                vectors.write_bytes(struct.pack(f"<{len(scores)}f", *scores))
            elif vectors:
                os.replace(out, vectors)
        return answer

    def block(self, row, file, begin, end, vectors=None):
        """docs/s of one row on one block of texts."""
        if row["peer"]:
            answer = row["peer"].ask("encode", file, begin, end, *([vectors] if vectors else []))
            seconds = answer["seconds"]
        else:
            answer = self.run_on(row["class"], (self.a.data / file).read_text().splitlines()[begin:end], vectors)
            seconds = answer["wall_s"]
            row["peak_rss_mb"] = max(row["peak_rss_mb"], answer["peak_rss_mb"])
        row["foreign"].append(answer["foreign_cpu"])
        return (end - begin) / seconds

    # All rows, all turns.

    def rows(self):
        return [r for r in PEERS + HEDDLE if any(fnmatch.fnmatch(r[0], p) for p in self.a.only)]

    def open_rows(self):
        rows = []
        for name, label, kind in self.rows():
            say(f"opening {label}")
            row = {"name": name, "label": label, "class": kind, "peer": None, "foreign": [],
                   "turns": {size: [] for size in self.sizes}, "peaks": {size: [] for size in self.sizes}}
            rows.append(row)
            try:
                row["peer"] = self.open_peer(name, kind)
                row.update(row["peer"].first if row["peer"] else self.first_of_command(kind))
            except Failed as failure:
                row["failure"] = str(failure)
        return rows

    def table(self):
        reference = self.reference()
        rows = self.open_rows()
        for turn in range(self.turns):
            say(f"turn {turn + 1} of {self.turns}")
            for row in (r for r in rows if "failure" not in r):
                try:
                    for size, texts in self.sizes.items():
                        begin = turn * texts["block"] % len(texts["tokens"])
                        row["peaks"][size].append(self.peak_now(row["class"]))
                        row["turns"][size].append(self.block(row, f"{size}.txt", begin, begin + texts["block"]))
                except Failed as failure:
                    row["failure"] = str(failure)
        for row in (r for r in rows if "failure" not in r):
            vectors = self.a.data / f"vectors-{row['name']}.f32"
            self.block(row, *self.compared(), vectors)
            row.update(cosines(reference, vectors, self.compared()[2]))
            if row["peer"]:
                row["peak_rss_mb"] = row["peer"].ask("end")["peak_rss_mb"]
        for row in rows:
            if row["peer"]:
                row["peer"].close()
            del row["peer"]
        return rows

    def peak_now(self, kind):
        """What the machine can do just before a block: other guests make it faster and slower by the minute."""
        peaks = measure_peak(self.a.tools, self.threads, self.a.isa, 0.02)
        self.peaks = {k: max(v, self.peaks[k]) for k, v in peaks.items()}
        return peak_of(kind, peaks)

    def compared(self):
        """The texts whose vectors are compared with the reference: one pass over the first file."""
        size = next(iter(self.sizes))
        return f"{size}.txt", 0, len(self.sizes[size]["tokens"])

    def reference(self):
        """What every row's vectors are compared with: torch f32 on the machine as it is."""
        path = self.a.data / "reference.f32"
        if not path.exists():
            say("reference vectors")
            temporary = path.with_suffix(".tmp")
            peer = Peer([sys.executable, HERE / "peer.py", "torch-f32", "--model", self.a.model, "--data", self.a.data,
                         "--threads", self.threads, "--started", now(), "--queries", 1], os.environ)
            peer.ask("encode", *self.compared(), temporary)
            peer.close()
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
            peer = self.open_peer(name, kind)
            result = peer.ask("many", texts.relative_to(self.a.data), self.a.seconds)
            result.update(peer.ask("end"))
            peer.close()
            return result
        with tempfile.TemporaryDirectory(dir=self.a.data) as folder:
            ran = self.heddle_command(kind, ["--input", texts, "--output", Path(folder) / "out.f32",
                                             "--output-format", "f32"])
        return {"docs": n, "docs_per_s": n / ran["wall_s"], "peak_rss_mb": ran["peak_rss_mb"],
                "foreign_cpu": ran["foreign_cpu"]}


def query_of(data):
    return (data / "query.txt").read_text().strip()


def now():
    return f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f}"


def cosines(reference, vectors, n):
    import numpy  # here, so that --help needs no environment
    a, b = (numpy.fromfile(path, "<f4").reshape(n, -1).astype(numpy.float64) for path in (reference, vectors))
    if a.shape != b.shape:
        raise Failed(f"{b.size} values for {n} texts")
    if a.shape[1] == 1:     # scores
        return {"correlation": float(numpy.corrcoef(a[:, 0], b[:, 0])[0, 1])}
    c = (a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))
    return {"cosine_mean": float(c.mean()), "cosine_min": float(c.min())}


# --- the table ----------------------------------------------------------------------------------------------

def summarise(bench, rows):
    for row in (r for r in rows if "failure" not in r):
        row["foreign_cpu"] = statistics.median(row["foreign"])
        for size, texts in bench.sizes.items():
            rates, peaks, tokens = row["turns"][size], row["peaks"][size], texts["tokens"]
            row[f"{size}_docs_per_s"] = statistics.median(rates)
            if all(peaks):
                share = statistics.median(rate / peak for rate, peak in zip(rates, peaks))
                row[f"{size}_percent_of_peak"] = 100 * share * gflop(bench.config, tokens) / len(tokens)
    for row in (r for r in rows if "failure" not in r):
        for size in bench.sizes:
            rival = best_peer(rows, row["class"], size)
            if rival:
                row[f"{size}_ratio"] = ratio(row, rival, size)


def ratio(row, rival, size):
    """The median of what each turn says: both did the same texts within the same minute."""
    return statistics.median(a / b for a, b in zip(row["turns"][size], rival["turns"][size]))


def best_peer(rows, kind, size):
    """The best peer of a class; `auto` is held against f32 and bf16. A peer's name is a class of its own."""
    classes = ("f32", "bf16") if kind == "auto" else (kind,)
    rivals = [r for r in rows if "failure" not in r and not r["name"].startswith("heddle")
              and (r["class"] in classes or r["name"] == kind)]
    return max(rivals, key=lambda r: r[f"{size}_docs_per_s"], default=None)


def cell(row, key, form):
    return format(row[key], form) if key in row else "–"


def markdown_table(header, lines):
    widths = [max(len(r[i]) for r in [header] + lines) for i in range(len(header))]
    def one(cells):
        first = cells[0].ljust(widths[0])
        return "| " + " | ".join([first] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]) + " |"
    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]) + "|"
    return "\n".join([one(header), rule] + [one(r) for r in lines])


def table_text(rows, sizes, reranks):
    columns = [column for s in sizes for column in (
        (f"{s} docs/s", f"{s}_docs_per_s", ".1f"), ("× best peer", f"{s}_ratio", ".2f"),
        ("% of peak", f"{s}_percent_of_peak", ".1f"))]
    columns += [("query p50 ms", "query_p50_ms", ".2f"), ("p99 ms", "query_p99_ms", ".2f"),
                ("first vector ms", "first_vector_ms", ".0f"), ("peak RSS MB", "peak_rss_mb", ".0f"),
                *((("correlation", "correlation", ".5f"),) if reranks else
                  (("cosine mean", "cosine_mean", ".5f"), ("min", "cosine_min", ".5f")))]
    lines = [[r["label"] + (" *" if r["foreign_cpu"] > FOREIGN_LIMIT else "")] +
             [cell(r, key, form) for _, key, form in columns] for r in rows if "failure" not in r]
    return markdown_table([""] + [title for title, _, _ in columns], lines) if lines else "nothing was measured"


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


def floors_text(rows, model, avx2, amx):
    by_name = {r["name"]: r for r in rows if "failure" not in r}
    lines = []
    for kind, rival, size, floor, *with_amx in (AVX2_FLOORS if avx2 else FLOORS).get(model, ()):
        floor = with_amx[0] if amx and with_amx else floor
        best = best_peer(rows, rival, size)
        ratios = [(label, ratio(by_name[name], best, size)) for name, label in
                  ((f"heddle-library-{kind}", "C library"), (f"heddle-command-{kind}", "the program"))
                  if best and name in by_name]
        if ratios:
            name = f"the best {kind} peer" if rival == kind else rival
            lines.append(f"- {kind}, {size}, against {name}, floor {floor}: " + ", ".join(
                f"{label} {r:.2f} × ({'met' if r >= floor else 'NOT met'})" for label, r in ratios))
    for name, figure, what, least, most in LIMITS.get(model, ()) if not avx2 else ():
        got = by_name.get(name, {}).get(figure)
        if got is not None and not (amx and least):
            met = got >= least if least else got <= most
            lines.append(f"- {what}: {got:.3g}, {'at least' if least else 'at most'} {least or most} "
                         f"({'met' if met else 'NOT met'})")
    return "\n".join(lines)


def notes_of(bench, rows):
    notes = list(bench.notes)
    if not bench.a.docs:
        notes += ["Peers: the encode loop alone, after a warm-up, tokenizing included, start-up excluded, which favours "
                  "them. The program (heddle embed, heddle rerank): whole processes, from start to exit, vectors written "
                  "to a file. "
                  "C library: the encode loop alone, as for the peers.",
                  "docs/s: medians over the turns. × best peer: the median of the turns' ratios to the best peer of the "
                  "same arithmetic (auto: f32 and bf16). % of peak: "
                  "arithmetic of the model over that of a loop that touches only registers, of the same class and just before each "
                  "block, the median of the turns; the peaks above are the best seen."]
        colds = [f"{r['class']} {r['first_vector_cold_ms']:.0f} ms" for r in rows if "first_vector_cold_ms" in r]
        if colds:
            notes.append("First vector of the program without packed weights on disk: " + ", ".join(colds) + ".")
    reasons = {}
    for row in (r for r in rows if "failure" in r):
        reasons.setdefault(row["failure"], []).append(row["label"])
    notes += [f"Not in the table: {'; '.join(labels)}: {reason}." for reason, labels in reasons.items()]
    if any(r.get("foreign_cpu", 0) > FOREIGN_LIMIT for r in rows):
        notes.append(f"* other processes took more than {FOREIGN_LIMIT:.0%} of the CPU in half of the turns.")
    return notes


def report(bench, info, rows, body, date):
    shape = lambda t: f"{len(t)} texts, {min(t)}–{max(t)} tokens, {sum(t) / len(t):.0f} in the mean"
    versions = {k: v for r in rows for k, v in r.get("versions", {}).items()}
    lines = [f"# Benchmark of {date}, {bench.a.isa}", "",
             f"{info['cpu']} (family/model/stepping {info['family_model_stepping']}), {info['cores']} cores, "
             f"{bench.threads} threads used{', virtual machine' if info['virtual'] else ''}, "
             f"{info['memory_gb']} GB, Linux {info['kernel']}.",
             f"{bench.a.model.name}. " + " ".join(f"{k.capitalize()}: {shape(t['tokens'])}."
                                                   for k, t in bench.sizes.items()),
             f"{bench.turns} turns of {' and '.join(str(t['block']) + ' ' + k for k, t in bench.sizes.items())}. "
             f"Query: {bench.query_tokens} tokens.",
             f"Peak, GFLOP/s or GOP/s: {', '.join(f'{k} {v:.0f}' for k, v in bench.peaks.items() if v)}."]
    if versions:
        lines.append("Versions: " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) + ".")
    flags = info["flags"] if bench.a.isa == "native" else ()
    avx2 = bench.a.isa == "avx2" or ("avx2" in flags and not {"avx512f", "avx_vnni"} & set(flags))
    floors = "" if bench.a.docs else floors_text(rows, bench.a.model.name, avx2, "amx_int8" in flags)
    lines += ["", body, "", *([floors, ""] if floors else []), *(f"- {note}" for note in notes_of(bench, rows))]
    return "\n".join(lines) + "\n"


def keep(results, name, text, figures):
    """The table and all figures behind it; name: parts, empty ones left out."""
    stem = "-".join([datetime.date.today().isoformat(), *filter(None, name)])
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{stem}.md").write_text(text, encoding="utf-8")
    (results / f"{stem}.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"kept as bench/results/{stem}.md and .json")


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh",
                                     description="Heddle and its peers on this machine, in one table.")
    for name in ("model", "data", "tools", "heddle", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--texts", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help="of the results, behind the model's [none]")
    parser.add_argument("--shape", help="a model of random weights and a real model's sizes: peers/make_shape.py")
    parser.add_argument("--isa", choices=ISA, default="native", help="hold everyone to an instruction set")
    parser.add_argument("--rounds", type=int, default=3, help="passes over all texts, of four turns each (3)")
    parser.add_argument("--quick", action="store_true", help="half a pass")
    parser.add_argument("--docs", metavar="N,N,…", help="many documents instead: 1000,10000,100000")
    parser.add_argument("--seconds", type=float, default=120,
                        help="with --docs: longest time a peer gets for a count (120)")
    parser.add_argument("--only", metavar="PATTERN,…", default="*",
                        help="rows, with shell wildcards, of: " + " ".join(r[0] for r in PEERS + HEDDLE))
    parser.add_argument("--threads", type=int, default=0, help="cores to use (all)")
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
        summarise(bench, rows)
        body = table_text(rows, bench.sizes, bench.reranks)
    text = report(bench, info, rows, body, date)
    print(text)
    if not a.no_save:
        name = [a.model.name if a.texts != "small" else "", a.name, slug(info), a.isa, "docs" if counts else "",
                "quick" if a.quick else ""]
        keep(a.results, name, text, {
            "date": date, "isa": a.isa, "machine": info, "peak": bench.peaks, "texts": {
                k: {"texts": len(t["tokens"]), "tokens": sum(t["tokens"])} for k, t in bench.sizes.items()},
            "notes": notes_of(bench, rows), "rows": rows})


if __name__ == "__main__":
    main()
