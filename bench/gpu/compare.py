#!/usr/bin/env python3
"""Heddle's vectors on a GPU beside its own on the CPU, and its speed beside sentence-transformers and a plain product.

    python compare.py check|speed|profile OUT       run.sh sets everything up and calls this

`check`: all-MiniLM-L6-v2, vectors of every type beside f32 of the CPU, and how many of the ten nearest of 100 texts are the
same. `speed`: random weights of bge-m3's and MiniLM's sizes (make_shape.py), texts of about so many tokens;
sentence-transformers in fp16 with SDPA, sorted by length, at the best of some batch sizes; the products of a layer by
torch.mm, 16,384 rows at once, are the peak that shares are of. `profile`, after it: where the time of a batch goes,
kernel by kernel, from Nsight Compute. Figures are printed as they come, with what was promised, and are in OUT/check.json and so on,
so that a run that is cut short leaves what it had. A batch that the GPU gave back is a failure.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import time
from array import array
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
import texts

KIT = Path(os.environ["HEDDLE_GPU_KIT"])
WORK = Path(os.environ["HEDDLE_GPU_WORK"])
DATA = WORK / "texts"
LEAST_COSINE = {"f32": 0.99999, "f16": 0.9999, "bf16": 0.999, "fp8": 0.98, "int8": 0.98}    # all-MiniLM-L6-v2
PROMISED_COSINE = {"f16": 0.9999, "bf16": 0.999, "fp8": 0.999}
TYPES = ("f16", "bf16", "f32", "fp8", "int8")
N_TEXTS = int(os.environ.get("TEXTS", 1000))
N_LONG = max(1, N_TEXTS // 25)
PEAK_ROWS = 16384
BATCHES = (16384, 65536, 262144)    # tokens


class Figures:
    def __init__(self, path):
        self.path, self.all = path, {}

    def say(self, name, value, wanted=""):
        self.all[name] = value
        shown = f"{value:,.6g}" if isinstance(value, float) else value
        print(f"{name:<44} {shown!s:>14}   {wanted}", flush=True)
        self.path.write_text(json.dumps(self.all, indent=1) + "\n")


class Heddle:
    """heddle_peer with one model on one device; the first answer is in `first`."""

    def __init__(self, model, dtype, device="cuda", queries=50, warm=("short.txt",), **environment):
        command = [str(KIT / "programs" / "heddle_peer"), dtype, str(model), str(DATA), "0",
                   str(time.clock_gettime(time.CLOCK_MONOTONIC)), str(queries), *warm]
        plugin = {} if device == "cuda" else {"HEDDLE_PLUGIN_DIR": "/nowhere"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={
            **os.environ, "LD_LIBRARY_PATH": os.environ["HEDDLE_GPU_LIBRARIES"], **plugin, **environment})
        self.device = device
        self.first = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"heddle_peer ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def seconds(self, name, n):
        return self.ask(f"encode {name} 0 {n}")["seconds"]

    def vectors(self, name, n):
        path = WORK / "vectors.f32"
        self.ask(f"encode {name} 0 {n} {path}")
        values = array("f", path.read_bytes())
        return values, len(values) // n

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        device = self.ask("device") if kind is None else {}
        self.process.stdin.close()
        self.process.wait()
        if kind is None and self.device != "cpu" and (device.get("texts", 0) == 0 or device["failures"] > 0):
            raise RuntimeError(f"the GPU has not computed all: {device}")


def write_texts(name, lines):
    DATA.mkdir(parents=True, exist_ok=True)
    with open(DATA / name, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)


# --- check ------------------------------------------------------------------------------------------------------

def nearest(rows, i, k):
    scores = rows @ rows[i]
    scores[i] = -2
    return set(scores.argsort()[-k:].tolist())


def check_vectors(figures, n_texts, n_long):
    import numpy as np
    write_texts("query.txt", [texts.QUERY])
    write_texts("short.txt", texts.short_texts(n_texts))
    write_texts("long.txt", texts.texts_of(700, n_long))
    model, good = KIT / "minilm" / "model.gguf", True

    def rows_of(heddle):
        found = [heddle.vectors(name, n) for name, n in (("short.txt", n_texts), ("long.txt", n_long))]
        return np.concatenate([np.frombuffer(values, np.float32).reshape(-1, width) for values, width in found])

    with Heddle(model, "f32", "cpu", queries=1) as cpu:
        wanted = rows_of(cpu)
    for dtype in TYPES:
        try:
            with Heddle(model, dtype) as heddle:
                got = rows_of(heddle)
        except RuntimeError as error:
            figures.say(f"{dtype}: failed", str(error))
            good = False
            continue
        cosines = (got * wanted).sum(1)
        same = [len(nearest(wanted, i, 10) & nearest(got, i, 10)) / 10 for i in range(min(100, n_texts))]
        promised = f">= {PROMISED_COSINE[dtype]}" if dtype in PROMISED_COSINE else ""
        figures.say(f"{dtype}: least cosine to f32 of the CPU", float(cosines.min()), promised)
        figures.say(f"{dtype}: of the ten nearest, the same", statistics.mean(same), ">= 0.99" if dtype == "f16" else "")
        good &= float(cosines.min()) >= LEAST_COSINE[dtype]
    return good


# --- speed ------------------------------------------------------------------------------------------------------

def gemm_tflops(hidden, middle):
    """Of a layer's four products, f16, with random values: what cuBLAS reaches with nothing else."""
    import torch
    shapes = ((hidden, 3 * hidden), (hidden, hidden), (hidden, middle), (middle, hidden))
    pairs = [(torch.randn(PEAK_ROWS, k, device="cuda", dtype=torch.float16),
              torch.randn(n, k, device="cuda", dtype=torch.float16)) for k, n in shapes]

    def layer():
        for a, w in pairs:
            torch.mm(a, w.t())

    best = float("inf")
    for _ in range(5):
        layer()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(20):
            layer()
        end.record()
        end.synchronize()
        best = min(best, begin.elapsed_time(end) / 20)
    return sum(2 * PEAK_ROWS * k * n for k, n in shapes) / best * 1e-9


class Torch:
    def __init__(self, model):
        import torch
        from sentence_transformers import SentenceTransformer
        self.model = SentenceTransformer(str(model), device="cuda", model_kwargs={
            "dtype": torch.float16, "attn_implementation": "sdpa"})
        self.model.max_seq_length = 8192
        self.model.encode(["a text"] * 8, show_progress_bar=False)

    def seconds(self, lines, n_tokens):
        """The best of some batch sizes."""
        best = float("inf")
        for tokens in BATCHES:
            batch = max(1, tokens * len(lines) // n_tokens)
            part = lines[:max(batch, len(lines) // 4)]
            begin = time.perf_counter()
            self.model.encode(part, batch_size=batch, show_progress_bar=False)
            best = min(best, (time.perf_counter() - begin) * len(lines) / len(part))
        return best


def count_tokens(model, lines):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return sum(len(e.ids) for e in tokenizer.encode_batch(lines, add_special_tokens=True))


def lines_of(model, n_tokens, n):
    """n texts of about so many tokens of this model's; a few are written, and tried with sentence starts of their own."""
    some = list(texts.texts_of(n_tokens, 20, seed=9))
    factor = n_tokens * len(some) / count_tokens(model, some)
    different = list(islice(texts.texts_of(n_tokens * factor, min(n, 2000)), n))
    return [f"{i} {different[i % len(different)]}" for i in range(n)]


class Shape:
    """A model of random weights, and texts for it."""

    def __init__(self, name, figures, sizes, promised):
        self.name, self.figures, self.promised = name, figures, promised
        self.folder = WORK / "shapes" / name
        if not self.folder.exists():
            subprocess.run([sys.executable, str(Path(texts.__file__).parent / "make_shape.py"), name, str(KIT / "minilm"),
                            str(self.folder)], check=True)
        self.config = json.loads((self.folder / "config.json").read_text())
        self.lines, self.tokens = {}, {}
        write_texts("query.txt", [texts.QUERY])
        for size, n in sizes:
            lines = list(texts.short_texts(n)) if size == "short" else lines_of(self.folder, size, n)
            self.lines[size], self.tokens[size] = lines, count_tokens(self.folder, lines)
            write_texts(f"{size}.txt", lines)

    def say(self, what, value):
        self.figures.say(f"{self.name}: {what}", value, self.promised.get(what, ""))

    def heddle(self, dtype, **environment):
        return Heddle(self.folder, dtype, queries=500, warm=[f"{size}.txt" for size in self.lines], **environment)

    def rates(self, heddle, dtype, sizes):
        for size in sizes:
            n = len(self.lines[size])
            heddle.seconds(f"{size}.txt", n)
            seconds = statistics.median(heddle.seconds(f"{size}.txt", n) for _ in range(3))
            self.say(f"{dtype}, {size}, tokens/s", self.tokens[size] / seconds)

    def rate(self, dtype, size):
        return self.figures.all.get(f"{self.name}: {dtype}, {size}, tokens/s", 0.0)

    def share_of_peak(self, size):
        hidden, middle, layers = (self.config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
        peak = gemm_tflops(hidden, middle)
        self.say("plain products, TFLOPS", peak)
        each = layers * 2 * (4 * hidden * hidden + 2 * hidden * middle)
        self.say(f"f16, {size}, share of them", self.rate("f16", size) * each * 1e-12 / peak)

    def beside_torch(self, sizes):
        torch = Torch(self.folder)
        for size in sizes:
            rate = self.tokens[size] / torch.seconds(self.lines[size], self.tokens[size])
            self.say(f"torch fp16, {size}, tokens/s", rate)
            self.say(f"times torch, {size}", self.rate("f16", size) / rate)


def measure_shape(shape, main, others, long):
    with shape.heddle("f16") as heddle:     # packs the weights
        shape.say("first start to the first vector, ms", heddle.first["first_vector_ms"])
    with shape.heddle("f16") as heddle:
        shape.say("next start to the first vector, ms", heddle.first["first_vector_ms"])
        shape.say("one query, p50, ms", heddle.first["query_p50_ms"])
        shape.say("one query, p99, ms", heddle.first["query_p99_ms"])
        shape.rates(heddle, "f16", [main, *others])
        device = heddle.ask("device")
        shape.say("computed by", f"{device['hardware']}, {device['driver']}")
        shape.say("weights and batches, MB", device["used_mb"])
    for dtype in ("bf16", "fp8", "int8"):
        try:
            with shape.heddle(dtype) as heddle:
                shape.rates(heddle, dtype, [main])
        except RuntimeError as error:
            shape.say(f"{dtype} failed", str(error))
    shape.say("fp8 to f16", shape.rate("fp8", main) / shape.rate("f16", main))
    if long is not None:
        shape.say(f"a token of {long:,} to one of {main:,}", shape.rate("f16", main) / shape.rate("f16", long))
    limit = 1250 if long is not None else 80
    with shape.heddle("f16", HEDDLE_PEER_GPU_BYTES=f"{limit}000000") as heddle:
        shape.rates(heddle, f"f16 in {limit:,} MB", [main])


def measure_speed(figures):
    shapes = (
        (("bge-m3", figures, ((512, 4000), (128, 8000), (8000, 200)), {
            "f16, 512, tokens/s": ">= 600,000", "f16, 512, share of them": ">= 0.6", "times torch, 512": ">= 2.5",
            "fp8 to f16": ">= 1.4", "a token of 8,000 to one of 512": "<= 1.6",
            "next start to the first vector, ms": "<= 1,000",
            "f16 in 1,250 MB, 512, tokens/s": "as without the limit"}), 512, (128, 8000), 8000),
        (("MiniLM-L6-8192", figures, (("short", 60000), (256, 20000)), {
            "times torch, short": ">= 4", "one query, p50, ms": "<= 0.8"}), "short", (256,), None))
    made, good = [], True
    for arguments, main, others, long in shapes:
        shape = Shape(*arguments)
        made.append((shape, main, others))
        try:
            measure_shape(shape, main, others, long)
        except (RuntimeError, ZeroDivisionError) as error:
            shape.say("failed", str(error))
            good = False
    try:
        import torch
        figures.say("torch", f"{torch.__version__}, {torch.cuda.get_device_name(0)}")
        for shape, main, _ in made:
            shape.share_of_peak(main)
        for shape, main, others in made:
            shape.beside_torch([main, *others])
    except Exception as error:      # whatever the other side lacks; ours are there
        figures.say("torch failed", f"{type(error).__name__}: {str(error)[:200]}")
        return False
    return good


# --- profile ----------------------------------------------------------------------------------------------------

def profile(figures):
    """Of one or two batches of bge-m3's size: those that the peer is warmed up with, after its first query."""
    command = ["ncu", "--target-processes", "all", "--clock-control", "none", "--metrics", "gpu__time_duration.sum",
               "--csv", "--launch-skip", "250", "--launch-count", "450",
               "env", "LD_LIBRARY_PATH=" + os.environ["HEDDLE_GPU_LIBRARIES"],
               KIT / "programs" / "heddle_peer", "f16", WORK / "shapes" / "bge-m3", DATA, "0", "0", "1", "512.txt"]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    lines = [line for line in answer.stdout.splitlines() if line.startswith('"')]
    kernels = {}
    for row in csv.DictReader(lines):
        factor = {"ns": 1e-3, "nsecond": 1e-3, "us": 1.0, "usecond": 1.0, "ms": 1e3, "msecond": 1e3}[row["Metric Unit"]]
        name, value = row["Kernel Name"].split("(")[0][:80], float(row["Metric Value"].replace(",", ""))
        kernels.setdefault(name, []).append(value * factor)
    everything = sum(sum(times) for times in kernels.values())
    for name, times in sorted(kernels.items(), key=lambda kernel: -sum(kernel[1])):
        figures.say(name, f"{100 * sum(times) / everything:.1f} %", f"{len(times)} x {statistics.median(times):.1f} us")
    return answer.returncode == 0 and len(kernels) > 0


PARTS = {"check": lambda figures: check_vectors(figures, N_TEXTS, N_LONG), "speed": measure_speed, "profile": profile}


def main(argv):
    if len(argv) != 3 or argv[1] not in PARTS:
        sys.exit(f"usage: {argv[0]} {'|'.join(PARTS)} OUT")
    sys.exit(0 if PARTS[argv[1]](Figures(Path(argv[2]) / f"{argv[1]}.json")) else 1)


if __name__ == "__main__":
    main(sys.argv)
