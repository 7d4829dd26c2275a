#!/usr/bin/env python3
"""Measures what bench/models/run.sh names: heads, nomic, long. That script sets everything up and calls this.

As in bench/peers: each row is a process of its own that stays open, rows take turns within seconds and are stopped when
it is not their turn, and a ratio is the median over the turns of the ratio within a turn. What something costs is the
time that the CPUs ran it, of all threads together, which other processes disturb least.
"""

import argparse
import datetime
import fnmatch
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "peers"), str(HERE.parent / "serve")]
import bench  # noqa: E402
import compare  # noqa: E402
import prepare  # noqa: E402
import texts  # noqa: E402

DENSE, SPARSE, MULTI = 1, 2, 4  # hd_head

THREE_HEADS_MOST = 0.06     # what three heads may cost more than one
SERVER_LEAST, SERVER_MB = 4.0, 200
LONG_MOST = 1.3             # per token, what attention's arithmetic asks for apart
FITTED = 2048               # longest text that the law of the cost is taken from


class Failure(Exception):
    pass


def percent(x):
    return f"{100 * x:+.1f} %"


def met(yes):
    return "met" if yes else "NOT met"


def peer_env(a):
    """As bench.py has it: where the CPU hides what its tiles are, peers are told."""
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "OMP_NUM_THREADS": str(a.threads)}
    probe = a.tools / "cpuid_probe"
    if probe.exists() and "tiles hidden" in subprocess.run([probe], stdout=subprocess.PIPE, text=True).stdout.split("\n"):
        env.update(LD_PRELOAD=str(a.tools / "libcpuid_mask.so"), HEDDLE_BENCH_ISA="native")
    return env


def heddle_env(a):
    return {**os.environ, "XDG_CACHE_HOME": str(a.data / "cache")}


def open_heddle(a, dtype, *files):
    if not (a.tools / "heddle_peer").exists():
        raise Failure("no program could be linked with build/libheddle.so")
    bench.say(f"opening Heddle {dtype}")
    return bench.Peer([a.tools / "heddle_peer", dtype, a.model, a.data, a.threads, bench.now(), 1, *files], heddle_env(a))


def write_lines(path, lines):
    prepare.write_atomically(path, lambda p: p.write_text("".join(t + "\n" for t in lines)))


def ask(peer, *command):
    """The answer, and the CPU seconds of all threads."""
    def ran():
        return sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{peer.process.pid}/task").glob("*/schedstat")) * 1e-9
    before = ran()
    answer = peer.ask(*command)
    return {**answer, "cpu_seconds": ran() - before}


def foreign_note(foreign):
    share = statistics.median(foreign)
    return f"Other processes took {share:.0%} of the CPU in the median, {max(foreign):.0%} at most."


# --- heads ----------------------------------------------------------------------------------------------------

def heads(a):
    """Dense alone and all three heads on the same texts, in turns, the first first in every other one."""
    block, turns = (4, 8) if a.quick else (8, 24)
    write_lines(a.data / "long.txt", texts.long_texts(64))
    write_lines(a.data / "query.txt", [texts.QUERY])
    cases = (("dense", DENSE), ("dense + sparse", DENSE | SPARSE), ("dense + sparse + ColBERT", DENSE | SPARSE | MULTI))
    rows, verdicts, foreign = [], [], []
    for dtype in ("int8", "bf16"):
        peer = open_heddle(a, dtype, "long.txt")
        seconds, cpu = ({name: [] for name, _ in cases} for _ in range(2))
        for turn in range(turns):
            begin = turn * block % 64
            for name, bits in cases if turn % 2 == 0 else cases[::-1]:
                answer = ask(peer, "heads", bits, "long.txt", begin, begin + block)
                seconds[name].append(answer["seconds"])
                cpu[name].append(answer["cpu_seconds"])
                foreign.append(answer["foreign_cpu"])
        peer.close()
        for name, _ in cases:
            more, more_wall = (statistics.median(x / y for x, y in zip(t[name], t["dense"])) - 1 for t in (cpu, seconds))
            rows.append({"dtype": dtype, "heads": name, "docs_per_s": block / statistics.median(seconds[name]), "more": more,
                         "more_wall": more_wall, "cpu_ms": 1e3 * statistics.median(cpu[name]) / block,
                         "seconds": seconds[name], "cpu_seconds": cpu[name]})
        verdicts.append(f"- {dtype}: three heads cost {percent(more)}, at most {percent(THREE_HEADS_MOST)} "
                        f"({met(more <= THREE_HEADS_MOST)})")
    table = bench.markdown_table(["", "docs/s", "more time than dense alone", "CPU ms a doc", "more than dense alone"], [
        [f"{r['dtype']}, {r['heads']}", f"{r['docs_per_s']:.2f}", "" if r["heads"] == "dense" else percent(r["more_wall"]),
         f"{r['cpu_ms']:.1f}", "" if r["heads"] == "dense" else percent(r["more"])] for r in rows])
    note = (f"Medians of {turns} turns of {block} chunks of about 250 tokens. By arithmetic alone the three cost "
            f"{percent(heads_by_arithmetic(a))}: dense vectors are read from one row, so that the last layer computes that "
            "row only; the others need all of them, and ColBERT one product of 1024 by 1024.")
    return table, verdicts, [note, foreign_note(foreign)], rows


def heads_by_arithmetic(a):
    config = json.loads((a.model / "config.json").read_text())
    layers, hidden, middle = (config[k] for k in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    keys, rest, attention = 2 * hidden, 2 * hidden + 2 * middle, 2 * 250
    layer = keys + rest + attention
    return (layers * layer + hidden) / ((layers - 1) * layer + keys) - 1


# --- nomic ----------------------------------------------------------------------------------------------------

CLIENTS = 8


def servers(a):
    gguf = a.data / "model-q8_0.gguf"
    llama = [a.serve_python, "-m", "llama_cpp.server", "--model", gguf, "--embedding", "true", "--n_ctx", "512", "--n_batch",
             "2048", "--n_ubatch", "2048", "--n_threads", a.threads, "--verbose", "false", "--host", "127.0.0.1",
             "--port", "{port}"]
    found = [compare.Server("heddle", "Heddle, int8 of the Q8_0 file",
                            [a.heddle, "serve", "--port", "{port}", "--no-access-log", "--cache-bytes", "0", "--dtype",
                             "int8", "--model", gguf], heddle_env(a)),
             compare.Server("llama-python", "llama.cpp, llama-cpp-python's server", llama)]
    if a.llama_server:
        found.append(compare.Server("llama-server", "llama.cpp, llama-server, 8 slots",
                                    [a.llama_server, "-m", gguf, "--embedding", "--pooling", "mean", "-np", CLIENTS, "-c",
                                     512 * CLIENTS, "-b", "2048", "-ub", "2048", "-t", a.threads, "--host", "127.0.0.1",
                                     "--port", "{port}"]))
    return found


def memory_mb(pid, field, file="status"):
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def nomic_bodies(folder):
    """Requests as clients make them: a question each; four chunks each."""
    cases = {"questions": (1, [texts.QUERY]), "chunks": (4, list(texts.long_texts(4)))}
    for name, (_, asked) in cases.items():
        (folder / f"{name}.json").write_text(json.dumps(
            {"model": "m", "encoding_format": "base64", "input": [compare.MARK + t for t in asked]}))
    return {name: n for name, (n, _) in cases.items()}


def first_start_mb(server, cache):
    """Peak memory of a server that finds no packed weights, which it leaves for the next one."""
    shutil.rmtree(cache, ignore_errors=True)
    with tempfile.NamedTemporaryFile() as log:
        server.start(Path(log.name))
        try:
            server.vectors([texts.QUERY])
            return memory_mb(server.process.pid, "VmHWM:")
        finally:
            server.stop()


def nomic(a):
    rounds, seconds = (2, 5) if a.quick else (4, 8)
    all_servers, reference = servers(a), None
    first_mb = first_start_mb(all_servers[0], a.data / "cache")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        cases = nomic_bodies(folder)
        try:
            for s in all_servers:
                bench.say(f"starting {s.label}")
                try:
                    rows = compare.prepare(s, folder / f"{s.name}.log", reference)
                    reference = reference or rows
                except (OSError, RuntimeError, ValueError, KeyError) as error:
                    s.fail(error)
            for turn in range(rounds):
                for s in (s for s in all_servers if not s.failure):
                    nomic_turn(a, s, cases, folder, seconds, warm=turn == 0)
            for s in (s for s in all_servers if not s.failure):
                s.peak_mb = memory_mb(s.process.pid, "VmHWM:")
                s.pss_mb = memory_mb(s.process.pid, "Pss:", "smaps_rollup")
        finally:
            for s in all_servers:
                s.stop()
    table, verdicts, notes, rows = nomic_report(all_servers, cases, rounds, seconds)
    notes.append(f"Heddle's peak RSS is that of a start with packed weights on disk; without them it is {first_mb:.0f} MB.")
    return table, verdicts, notes, rows


def nomic_turn(a, server, cases, folder, seconds, warm):
    server.rest(False)
    try:
        for case, n in cases.items():
            body = folder / f"{case}.json"
            if warm:
                compare.run_load(a, server, CLIENTS, 1, body)
            answer = compare.run_load(a, server, CLIENTS, seconds, body)
            if answer["per_s"] == 0:
                raise RuntimeError(f"none of the clients had its answer of {case} within a minute")
            server.figures.setdefault(case, []).append({**answer, "per_s": answer["per_s"] * n})
    except RuntimeError as error:
        server.fail(error)
    else:
        server.rest(True)


def nomic_report(all_servers, cases, rounds, seconds):
    ours, *others = all_servers
    good = [s for s in others if not s.failure]
    if ours.failure:
        raise Failure(f"Heddle: {ours.failure}")

    def lead(other, case):
        return statistics.median(x["per_s"] / y["per_s"] for x, y in zip(ours.figures[case], other.figures[case]))

    lines, verdicts = [], []
    for s in [ours, *good]:
        cells = [s.label]
        for case in cases:
            cells += [f"{s.median(case, 'per_s'):.1f}", f"{lead(s, case):.2f}", f"{s.median(case, 'p50_ms'):.0f} / "
                      f"{s.median(case, 'p99_ms'):.0f}"]
        lines.append([*cells, f"{s.peak_mb:.0f}", f"{s.pss_mb:.0f}", f"{s.cosine:.5f}"])
    for case in cases:
        best = max(good, key=lambda s: s.median(case, "per_s"), default=None)
        if best:
            verdicts.append(f"- {case}: {lead(best, case):.2f} × {best.label}, floor {SERVER_LEAST} "
                            f"({met(lead(best, case) >= SERVER_LEAST)})")
    verdicts.append(f"- peak RSS {ours.peak_mb:.0f} MB, at most {SERVER_MB} ({met(ours.peak_mb <= SERVER_MB)})")
    columns = [c for case in cases for c in (f"{case}/s", "Heddle's lead", "p50 / p99 ms")]
    table = bench.markdown_table(["", *columns, "peak RSS MB", "PSS MB", "cosine"], lines)
    notes = [f"Medians of {rounds} rounds of {seconds} s. {CLIENTS} clients of one server; each sends its next request when "
             "it has the answer: a question of 30 tokens, or four chunks of 250. Cosine to Heddle's vectors."]
    notes += [f"Not in the table: {s.label}: {s.failure}." for s in others if s.failure]
    rows = [{"name": s.name, "label": s.label, "failure": s.failure, "rounds": s.figures,
             **({} if s.failure else {"peak_rss_mb": s.peak_mb, "pss_mb": s.pss_mb, "cosine": s.cosine})}
            for s in all_servers]
    return table, verdicts, notes, rows


# --- long -----------------------------------------------------------------------------------------------------

LONG_ROWS = (("heddle-bf16", "Heddle bf16"), ("heddle-int8", "Heddle int8"), ("heddle-f32", "Heddle f32"),
             ("torch-f32", "sentence-transformers, torch f32"), ("ort-int8", "ONNX Runtime dynamic int8"))
PEER_LENGTHS = (512, 8192)


def open_long(a, name, files):
    if name.startswith("heddle-"):
        return open_heddle(a, name.removeprefix("heddle-"), *files)
    bench.say(f"opening {name}")
    return bench.Peer([sys.executable, HERE.parent / "peers" / "peer.py", name, "--model", a.model, "--data", a.data,
                       "--threads", a.threads, "--started", bench.now(), "--queries", 1,
                       "--files", f"tokens-{PEER_LENGTHS[0]}.txt"], peer_env(a))


def long(a):
    turns, peer_turns = (2, 1) if a.quick else (6, 2)
    sizes = json.loads((a.data / "work.json").read_text())["sizes"]
    tokens = {n: sizes[f"tokens-{n}"]["tokens"] for n in prepare.LENGTHS}
    rows, foreign = [], []
    for name, label in LONG_ROWS:
        if not any(fnmatch.fnmatch(name, p) for p in a.only.split(",")):
            continue
        try:
            peer = open_long(a, name, ["tokens-512.txt"])
        except bench.Failed as failure:
            rows.append({"name": name, "label": label, "failure": str(failure)})
            continue
        rows.append({"name": name, "label": label, "peer": peer, "turns": {n: [] for n in prepare.LENGTHS}})
    opened = [r for r in rows if "peer" in r]
    for turn in range(turns):
        bench.say(f"turn {turn + 1} of {turns}")
        for row in opened:
            ours = row["name"].startswith("heddle-")
            for n in prepare.LENGTHS if ours else PEER_LENGTHS if turn < peer_turns else ():
                answer = ask(row["peer"], "encode", f"tokens-{n}.txt", 0, len(tokens[n]))
                row["turns"][n].append(answer["cpu_seconds"] / sum(tokens[n]) * 1e6)
                foreign.append(answer["foreign_cpu"])
    for row in opened:
        row.pop("peer").close()
    memory = long_memory(a, tokens)
    return long_report(rows, memory, turns, foreign)


def long_memory(a, tokens):
    """Peak RSS of the program for one text of each length."""
    found = {}
    for n in tokens:
        with tempfile.TemporaryDirectory(dir=a.data) as folder:
            path = Path(folder) / "in.txt"
            path.write_text((a.data / f"tokens-{n}.txt").read_text().split("\n", 1)[0] + "\n")
            done = subprocess.run([str(c) for c in (
                sys.executable, "-I", "-S", HERE.parent / "peers" / "spawn.py", a.heddle, "embed", "-m", a.model, "--dtype",
                "bf16", "--input", path, "--output", Path(folder) / "out", "--output-format", "f32")],
                env=heddle_env(a), stderr=subprocess.PIPE, text=True, check=True)
            found[n] = json.loads(done.stderr.splitlines()[-1])["peak_rss_mb"]
    return found


def law(costs):
    """a and b of cost(n) = a + b n by least squares of relative errors: b is attention's part, which each key adds to."""
    points = [(1 / y, n / y) for n, y in costs.items()]
    uu, uv, vv = (sum(p[i] * p[j] for p in points) for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = (sum(p[i] for p in points) for i in (0, 1))
    determinant = uu * vv - uv * uv
    return (u * vv - v * uv) / determinant, (v * uu - u * uv) / determinant


def long_report(rows, memory, turns, foreign):
    verdicts, lines = [], []
    for row in (r for r in rows if "turns" in r):
        costs = {n: statistics.median(t) for n, t in row["turns"].items() if t}
        row["us_per_token"] = costs
        cells = [row["label"]] + [f"{costs[n]:.2f}" if n in costs else "–" for n in prepare.LENGTHS]
        ratio = "–"
        if row["name"].startswith("heddle-"):
            a, b = law({n: c for n, c in costs.items() if n <= FITTED})
            row.update(law=[a, b], excess={n: c / (a + b * n) for n, c in costs.items()})
            worst = max(row["excess"][n] for n in costs if n > FITTED)
            ratio = f"{worst:.2f}"
            verdicts.append(f"- {row['label']}: {costs[8192] / costs[512]:.2f} × the cost at 512, {worst:.2f} × what it and "
                            f"attention's arithmetic make, at most {LONG_MOST} ({met(worst <= LONG_MOST)})")
        lines.append([*cells, ratio])
    lines.append(["Heddle bf16, peak RSS of one text, MB", *(f"{memory[n]:.0f}" for n in prepare.LENGTHS), "–"])
    growth = (memory[8192] - memory[4096]) / max(1.0, memory[4096] - memory[2048])
    verdicts.append(f"- memory: from 4,096 to 8,192 tokens {growth:.2f} × what it grows from 2,048 to 4,096; linear is 2, "
                    f"quadratic 4, at most 2.2 ({met(growth <= 2.2)})")
    table = bench.markdown_table(["CPU µs a token, texts of", *(f"{n:,}" for n in prepare.LENGTHS), "÷ the law"], lines)
    notes = [f"Medians of {turns} turns of {prepare.LENGTH_TOKENS:,} tokens of each length; peers at two lengths. The law is "
             "a + b n, the cost of a token apart from attention and of attention's arithmetic for each key, from lengths up to "
             f"{FITTED:,}; the last column is the worst of the longer ones over it.", foreign_note(foreign)]
    notes += [f"Not in the table: {r['label']}: {r['failure']}." for r in rows if "failure" in r]
    return table, verdicts, notes, [*rows, {"name": "heddle-bf16-memory", "peak_rss_mb": memory}]


# --- what comes of it -----------------------------------------------------------------------------------------

WHAT = {"heads": heads, "nomic": nomic, "long": long}


def arguments():
    parser = argparse.ArgumentParser(prog="bench/models/run.sh",
                                     description="Larger models and other heads, each beside its peer.")
    parser.add_argument("what", choices=WHAT)
    for name in ("model", "data", "tools", "heddle", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--serve-python", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--llama-server", type=Path, help="llama.cpp's own server, besides llama-cpp-python's [none]")
    parser.add_argument("--only", metavar="PATTERN,…", default="*",
                        help="rows of `long`, with shell wildcards, of: " + " ".join(name for name, _ in LONG_ROWS))
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="cores to use (all)")
    parser.add_argument("--no-save", action="store_true", help="print, but write nothing into bench/results")
    a = parser.parse_args()
    a.load = a.tools / "load"
    return a


def main():
    a = arguments()
    info, begin = bench.machine(a.threads), time.monotonic()
    busy = os.getloadavg()[0]
    try:
        table, verdicts, notes, rows = WHAT[a.what](a)
    except (Failure, bench.Failed) as failure:
        sys.exit(f"bench: error: {failure}")
    notes.append(f"The load average was {busy:.1f} at the beginning; the run took {time.monotonic() - begin:.0f} s.")
    text = "\n".join([
        f"# {a.what.capitalize()}: {a.model.name}, {datetime.date.today()}", "",
        f"{info['cpu']} (family/model/stepping {info['family_model_stepping']}), {info['cores']} cores, {a.threads} threads "
        f"used{', virtual machine' if info['virtual'] else ''}, {info['memory_gb']} GB, Linux {info['kernel']}.", "",
        table, "", *verdicts, "", *(f"- {note}" for note in notes)]) + "\n"
    print(text)
    if not a.no_save:
        bench.keep(a.results, [a.model.name, a.what, bench.slug(info), "quick" if a.quick else ""], text,
                   {"date": str(datetime.date.today()), "machine": info, "verdicts": verdicts, "notes": notes, "rows": rows})


if __name__ == "__main__":
    main()
