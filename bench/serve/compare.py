#!/usr/bin/env python3
"""`heddle serve` beside other servers: throughput with 64 clients, latency at several loads. compare.sh calls this.

All servers are started once; in each round they take turns, and those whose turn it is not are stopped with SIGSTOP, so
that nothing spins beside the one that is measured. Everyone gets the same requests from the same load tool (load.c, one
thread, on the same machine), each text with a number of its own, so that no cache helps. A figure is the median over
the rounds; a lead is the median of the rounds' ratios, to Heddle in int8 for those that compute in int8, to what Heddle
chooses by itself (vectors of f32, cosine 0.9999) for the others.

    compare.py --build DIR --data DIR --model DIR --load PROGRAM --results DIR [--rounds N] [--seconds S] [--only NAMES]
"""

import argparse
import base64
import datetime
import fnmatch
import json
import math
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))
import bench  # noqa: E402
import texts  # noqa: E402

CLIENTS = (1, 4, 16, 64)
N_TEXTS = 32
MARK = "@@@@@@@@ "  # load.c puts a number here
START_S, PROBE_S = 120, 60
MOST_S = 540  # no round is begun that would end later


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


class Server:
    """One of those compared: name, what the table calls it, command line with {port} in it."""

    def __init__(self, name, label, line, env=None):
        self.name, self.label, self.line, self.env = name, label, line, env or {}
        self.rival = "heddle-int8" if name.endswith(("int8", "q8_0")) else "heddle-auto"
        self.figures = {}  # case → figures of each round
        self.process, self.failure = None, None

    def start(self, log):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        line = [str(part).format(port=self.port) for part in self.line]
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(line, stdout=out, stderr=out, env={**os.environ, **self.env})
        end = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("it does not start") from None
            time.sleep(0.05)

    def ask(self, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/embeddings", data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PROBE_S) as response:
            return json.load(response)["data"]

    def vectors(self, asked):
        rows = [row["embedding"] for row in self.ask({"model": "m", "encoding_format": "base64", "input": asked})]
        self.base64 = isinstance(rows[0], str)
        return [unpack(row) if isinstance(row, str) else row for row in rows]

    def fail(self, error):
        time.sleep(0.2)
        died = self.process.poll()
        self.failure = f"{error}" if died is None else f"killed by {signal.Signals(-died).name}" if died < 0 else f"ended with {died}"
        say(f"{self.label}: {self.failure}; its last words: "
            + " ".join(self.log.read_text(errors="replace").strip().splitlines()[-1:])[:200])
        self.stop()

    def rest(self, asleep):
        os.kill(self.process.pid, signal.SIGSTOP if asleep else signal.SIGCONT)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.rest(False)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def median(self, case, figure):
        return statistics.median(f[figure] for f in self.figures[case])


def unpack(text):
    data = base64.b64decode(text)
    return struct.unpack(f"<{len(data) // 4}f", data)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def servers(args):
    python = sys.executable
    heddle = [args.build / "heddle", "serve", "--port", "{port}", "--no-access-log", "--preload", "--model", args.model]
    found = [Server(f"heddle-{d}", f"Heddle, {d}", [*heddle, "--dtype", d]) for d in ("auto", "int8", "f32")]
    for dtype in ("int8", "f32"):
        found.append(Server(f"ort-{dtype}", f"FastAPI + ONNX Runtime, {dtype}",
                            [python, HERE / "fastapi_peer.py", args.model, args.data, dtype, "{port}"]))
    for kind in ("q8_0", "f16"):
        gguf = args.data / f"model-{kind}.gguf"
        if not gguf.exists():
            continue
        found.append(Server(f"llama-{kind}", f"llama-cpp-python's server, {kind.upper()}",
                            [python, "-m", "llama_cpp.server", "--model", gguf, "--embedding", "true", "--n_ctx", "512",
                             "--n_batch", "2048", "--n_ubatch", "2048", "--n_threads", os.cpu_count(), "--verbose", "false",
                             "--host", "127.0.0.1", "--port", "{port}"]))
    if args.infinity:
        found.append(Server("infinity", "infinity, f32",
                            [args.infinity, "v2", "--model-id", args.model, "--engine", "torch", "--device", "cpu",
                             "--dtype", "float32", "--no-bettertransformer", "--no-model-warmup",
                             "--url-prefix", "/v1", "--host", "127.0.0.1", "--port", "{port}"],
                            {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}))
    return [s for s in found if not args.only or any(fnmatch.fnmatch(s.name, p) for p in args.only.split(","))]


def prepare(server, log, reference):
    """Starts it, and sees that it gives the vectors of the others before anybody is measured."""
    server.start(log)
    asked = texts.short_texts(4)
    rows = server.vectors(list(asked))
    if reference is not None:
        server.cosine = min(cosine(a, b) for a, b in zip(rows, reference))
        if server.cosine < 0.98:
            raise RuntimeError(f"its vectors are other ones: cosine {server.cosine:.3f}")
    else:
        server.cosine = 1.0
    server.rest(True)
    return rows


def run_load(args, server, clients, seconds, body):
    done = subprocess.run([args.load, str(server.port), str(clients), str(seconds), "/v1/embeddings", body],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip())
    return json.loads(done.stdout)


def measure(args, server, bodies):
    server.rest(False)
    run_load(args, server, 4, 0.5, bodies["query"])
    busy, mine = bench.busy_seconds(), time.monotonic()
    for clients in CLIENTS:
        server.figures.setdefault(clients, []).append(run_load(args, server, clients, args.seconds, bodies["query"]))
    found = server.figures.setdefault("docs", [])
    if found and found[-1]["unanswered"]:  # once is enough
        found.append(found[-1])
    else:
        many = run_load(args, server, 64, 2 * args.seconds, bodies["texts"])
        found.append({**many, "per_s": many["per_s"] * N_TEXTS})
    server.rest(True)
    say(f"{server.label}: {found[-1]['per_s']:.0f} docs/s, "
        f"{(bench.busy_seconds() - busy) / (time.monotonic() - mine) / os.cpu_count():.0%} of the CPUs busy")


def run_rounds(args, all_servers, folder):
    """As many as are wanted and fit the time; how many there were."""
    started, n_rounds, longest, reference = time.monotonic(), 0, 0, None
    bodies = write_bodies(folder)
    for s in all_servers:
        try:
            rows = prepare(s, folder / f"{s.name}.log", reference)
            reference = reference or rows
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            s.fail(error)
    while n_rounds < args.rounds and (n_rounds == 0 or time.monotonic() - started + longest < MOST_S):
        begun = time.monotonic()
        for s in all_servers:
            try:
                if not s.failure:
                    measure(args, s, bodies)
            except RuntimeError as error:
                s.fail(error)
        n_rounds += 1
        longest = max(longest, time.monotonic() - begun)
    return n_rounds


def write_bodies(folder):
    query = {"model": "m", "encoding_format": "base64", "input": MARK + texts.QUERY}
    many = {**query, "input": [MARK + text for text in texts.short_texts(N_TEXTS)]}
    paths = {}
    for name, body in (("query", query), ("texts", many)):
        paths[name] = folder / f"{name}.json"
        paths[name].write_text(json.dumps(body))
    return paths


# --- what comes of it -----------------------------------------------------------------------------------------

def lead_of(server, rival):
    """How many times as many documents a second its rival does, in the median round; None without a rival in this run."""
    if rival is None or rival.failure:
        return None
    return statistics.median(ours["per_s"] / theirs["per_s"]
                             for ours, theirs in zip(rival.figures["docs"], server.figures["docs"]))


def table(all_servers, rounds, info):
    by_name = {s.name: s for s in all_servers}
    lines = [f"{info['cpu']}, {info['cores']} cores, {rounds} rounds; all-MiniLM-L6-v2. Throughput: 64 clients with 32 texts "
             "each, base64. Latency: one text, at so many clients, p50 / p99 in ms. Heddle's lead: int8 against int8, auto "
             "against f32 and f16.", "",
             "| server | docs/s | Heddle's lead | " + " | ".join(f"{c} client{'s' * (c > 1)}" for c in CLIENTS) + " |",
             "|---|---|---|" + "---|" * len(CLIENTS)]
    for s in all_servers:
        if s.failure:
            lines.append(f"| {s.label} | failed: {s.failure} |" + " |" * (1 + len(CLIENTS)))
            continue
        late = s.figures["docs"][-1]["unanswered"]
        docs = f"{s.median('docs', 'per_s'):.0f}" + (f" ({late} of 64 without an answer after a minute)" if late else "")
        lead = None if s.name.startswith("heddle") else lead_of(s, by_name.get(s.rival))
        cells = [f"{s.median(c, 'p50_ms'):.1f} / {s.median(c, 'p99_ms'):.1f}" for c in CLIENTS]
        lines.append(f"| {s.label} | {docs} | {f'{lead:.2f} ×' if lead else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def verdicts(all_servers):
    """What the server has promised: 4 times anybody's throughput at 64 clients, a lower p99 at every load."""
    by_name = {s.name: s for s in all_servers}
    for s in all_servers:
        ours = by_name.get(s.rival)
        if s.failure or s.name.startswith("heddle") or ours is None or ours.failure:
            continue
        lead = lead_of(s, ours)
        yield f"{'reached' if lead >= 4 else 'MISSED'}: {lead:.2f} × the throughput of {s.label}, wanted 4 ×"
        worse = [c for c in CLIENTS if ours.median(c, "p99_ms") >= s.median(c, "p99_ms")]
        yield (f"MISSED: the p99 of {s.label} is lower with {worse} clients" if worse else
               f"reached: a lower p99 than {s.label} at every load")


def plot(all_servers, path, title):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "heddle", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt
    import matplotlib.ticker
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for s in all_servers:
        if s.failure:
            continue
        x = [s.median(c, "per_s") for c in CLIENTS]
        line, = axes.plot(x, [s.median(c, "p99_ms") for c in CLIENTS], marker="o", markersize=4, label=s.label,
                          linewidth=2 if s.name.startswith("heddle") else 1)
        axes.plot(x, [s.median(c, "p50_ms") for c in CLIENTS], linestyle=":", color=line.get_color(), linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="queries a second, with 1, 4, 16 and 64 clients",
             ylabel="latency, ms: p99 (dotted: p50)", title=title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def write_results(args, all_servers, rounds):
    info = bench.machine(os.cpu_count())
    stem = args.results / f"{datetime.date.today()}-{bench.slug(info)}-serve"
    text = table(all_servers, rounds, info)
    print(text)
    for line in verdicts(all_servers):
        print(line)
    Path(f"{stem}.md").write_text(text + f"\n![latency against load]({stem.name}.svg)\n")
    rows = [{"name": s.name, "label": s.label, "failure": s.failure} if s.failure else
            {"name": s.name, "label": s.label, "base64": s.base64, "cosine": round(s.cosine, 5),
             "rounds": {str(case): figures for case, figures in s.figures.items()}} for s in all_servers]
    Path(f"{stem}.json").write_text(json.dumps({"machine": info, "servers": rows}, indent=1) + "\n")
    plot(all_servers, f"{stem}.svg", "One text, all-MiniLM-L6-v2")
    say(f"written to {stem}.md, .json, .svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("build", "data", "model", "load", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--infinity", type=Path, help="the program of that name; left out without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="of one measurement of latency; throughput has twice as long")
    parser.add_argument("--only", help="names of servers, with wildcards, separated by commas")
    args = parser.parse_args()
    all_servers = servers(args)
    try:
        with tempfile.TemporaryDirectory() as folder:
            n_rounds = run_rounds(args, all_servers, Path(folder))
    finally:
        for s in all_servers:
            s.stop()
    write_results(args, all_servers, n_rounds)


if __name__ == "__main__":
    main()
