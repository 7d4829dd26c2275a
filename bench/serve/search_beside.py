#!/usr/bin/env python3
"""What writes of documents cost searches of `heddle serve`, over HTTP.

One client searches without a pause. It takes turns of a second: alone, while another client has the same documents embedded
and written nowhere, while that one puts them into the index. The second is what computing costs on this machine, whatever is
done with the vectors; the third over the second is what writing costs. Medians over the rounds of each turn's p50 and p99.

    bench/serve/search_beside.py --build DIR --model DIR [--documents N] [--rounds N]
"""

import argparse
import http.client
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

WORDS = ("warp weft heddle reed shuttle loom thread cloth dye madder indigo spindle distaff carding fleece twill selvedge bobbin "
         "pattern tension treadle harness beam yarn felt plain basket satin tapestry fringe").split()
BATCH = 8


def text(seed, n_words):
    words = []
    for _ in range(n_words):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append(WORDS[(seed >> 33) % len(WORDS)])
    return " ".join(words)


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:200]}")
        return json.loads(data)


def documents(first):
    return [{"id": f"beside{i % 2000}", "text": text(i, 120)} for i in range(first, first + BATCH)]


def work(port, kind, stop, counts):
    client, at = Client(port), 10**6 + counts[kind] * BATCH
    while not stop.is_set():
        batch = documents(at)
        if kind == "writing":
            client.ask("/v1/documents", {"documents": batch})
        else:
            client.ask("/v1/embeddings", {"model": "m", "input": [d["text"] for d in batch]})
        at += BATCH
        counts[kind] += 1


def turn(port, searcher, kind, n, counts):
    """Seconds of each search of a turn."""
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(port, kind, stop, counts)) if kind != "alone" else None
    if worker:
        worker.start()
        time.sleep(0.1)
    times, end = [], time.monotonic() + 1
    while time.monotonic() < end:
        n[0] += 1
        begin = time.perf_counter()
        searcher.ask("/v1/search", {"query": text(n[0], 6), "limit": 10})
        times.append(time.perf_counter() - begin)
    stop.set()
    if worker:
        worker.join()
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([str(args.build / "heddle"), "serve", "--port", "0", "--no-access-log", "--model", args.model, "--index",
                                   f"{folder}/index.db"], stderr=subprocess.PIPE, text=True)
        try:
            port = int(server.stderr.readline().rsplit(":", 1)[1])
            searcher = Client(port)
            for first in range(0, args.documents, BATCH):
                searcher.ask("/v1/documents", {"documents": documents(first)})
            kinds, n, counts = ("alone", "embedding", "writing"), [0], {"embedding": 0, "writing": 0}
            found = {kind: {"p50": [], "p99": []} for kind in kinds}
            turn(port, searcher, "alone", n, counts)
            for _ in range(args.rounds):
                for kind in kinds:
                    times = sorted(turn(port, searcher, kind, n, counts))
                    found[kind]["p50"].append(times[len(times) // 2])
                    found[kind]["p99"].append(times[min(len(times) - 1, len(times) * 99 // 100)])
        finally:
            server.terminate()
            server.wait(60)
    for kind in kinds:
        print(f"{kind:10s} p50 {1e3 * statistics.median(found[kind]['p50']):7.2f} ms   p99 {1e3 * statistics.median(found[kind]['p99']):7.2f} ms"
              + (f"   {counts[kind] * BATCH} documents" if kind in counts else ""))
    for over in ("alone", "embedding"):
        ratios = [statistics.median(a / b for a, b in zip(found["writing"][p], found[over][p])) for p in ("p50", "p99")]
        print(f"writing over {over}: p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
