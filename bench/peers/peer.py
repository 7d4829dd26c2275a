#!/usr/bin/env python3
"""One peer in one process, which measures what it is told to; every answer is a JSON object on one line of stdout.

    python peer.py PEER --model DIR --data DIR --threads N --started T --queries N     then, on stdin, lines of
        encode FILE BEGIN END [VECTORS]      lines [BEGIN, END) of a file of the data folder → {"seconds": …}
        many FILE SECONDS                    blocks of 1,000 lines until the file or the time is used up
        end                                  → {"peak_rss_mb": …}

The first answer comes by itself: time to the first vector, the queries' latency, versions. T is CLOCK_MONOTONIC when
the parent started this process, so that the time to the first vector holds the start of Python, imports, loading and
the first query. What is timed afterwards is the encode loop alone, after a warm-up, tokenizing and pooling included,
start-up excluded: that favours the peers, since Heddle's command is timed as a whole process.

Every peer gets what suits it best of what was tried: texts sorted by length, batches planned so that they hold about
`batch_tokens` tokens (sentence-transformers: its own sorting, batches of 32; fastembed's way: as it does).
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import sys
import time
from pathlib import Path

WARM_UP = 16    # texts of each file


def clock():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def peak_rss_mb():
    """VmHWM, since ru_maxrss would start at the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


class SentenceTransformers:
    packages = ("sentence-transformers", "torch")

    def __init__(self, model, data, threads, dtype):
        import torch
        from sentence_transformers import SentenceTransformer
        torch.set_num_threads(threads)
        self.model = SentenceTransformer(str(model), device="cpu",
                                         model_kwargs={"dtype": getattr(torch, dtype)})
        self.model.max_seq_length = work_of(data)["max_length"]
        self.sees = f"torch {torch.backends.cpu.get_cpu_capability()}"

    def encode(self, texts):
        return self.model.encode(texts, batch_size=32, show_progress_bar=False)


class CrossEncoder:
    packages = SentenceTransformers.packages

    def __init__(self, model, data, threads, dtype):
        import torch
        from sentence_transformers import CrossEncoder
        torch.set_num_threads(threads)
        self.model = CrossEncoder(str(model), device="cpu", max_length=work_of(data)["max_length"],
                                  model_kwargs={"dtype": getattr(torch, dtype)})
        self.query = query_of(data)
        self.sees = f"torch {torch.backends.cpu.get_cpu_capability()}"

    def encode(self, texts):
        return self.model.predict([(self.query, t) for t in texts], batch_size=32, show_progress_bar=False).reshape(-1, 1)


def torch_peer(model, data, threads, dtype):
    return (CrossEncoder if work_of(data)["reranks"] else SentenceTransformers)(model, data, threads, dtype)


class Ragged:
    """What is common to the runtimes that only run the graph: tokenize, sort, pad, pool, normalise; of a cross-encoder,
    pairs with the query, and the sigmoid of its logit."""

    def __init__(self, model, data, batch_tokens):
        import numpy
        from tokenizers import Tokenizer
        self.np = numpy
        self.batch_tokens = batch_tokens
        self.tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(work_of(data)["max_length"])
        self.query = query_of(data) if work_of(data)["reranks"] else None
        pooling = Path(model) / "1_Pooling" / "config.json"
        self.by_cls = self.query is None and json.loads(pooling.read_text())["pooling_mode_cls_token"]

    def tokenize(self, texts):
        return self.tokenizer.encode_batch(texts if self.query is None else [(self.query, t) for t in texts])

    def encode(self, texts):
        encodings = self.tokenize(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        out = [None] * len(texts)
        begin = 0
        while begin < len(order):
            end = begin + 1
            while end < len(order) and len(encodings[order[end]].ids) * (end + 1 - begin) <= self.batch_tokens:
                end += 1
            rows = order[begin:end]
            for i, vector in zip(rows, self.run([encodings[i] for i in rows])):
                out[i] = vector
            begin = end
        return self.np.stack(out)

    def run(self, encodings):
        np = self.np
        ids, mask, types = (np.zeros((len(encodings), max(len(e.ids) for e in encodings)), np.int64) for _ in range(3))
        for row, e in enumerate(encodings):
            ids[row, :len(e.ids)] = e.ids
            mask[row, :len(e.ids)] = 1
            types[row, :len(e.ids)] = e.type_ids
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return self.pool(self.forward({name: inputs[name] for name in self.inputs}), mask)

    def pool(self, hidden, mask):
        np = self.np
        if self.query is not None:
            return 1 / (1 + np.exp(-hidden))
        weights = mask.astype(np.float32)
        pooled = hidden[:, 0] if self.by_cls else \
            np.matmul(weights[:, None, :], hidden)[:, 0, :] / weights.sum(1, keepdims=True)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


class OnnxRuntime(Ragged):
    packages = ("onnxruntime", "tokenizers")

    def __init__(self, model, data, threads, dtype, batch_tokens):
        super().__init__(model, data, batch_tokens)
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(Path(data) / dtype / "model.onnx"), options,
                                                    providers=["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.sees = ""

    def forward(self, inputs):
        return self.session.run(None, inputs)[0]


class FastembedWay(OnnxRuntime):
    """As fastembed does it: batches of 256 texts in the order given, each padded to its longest."""

    def __init__(self, model, data, threads):
        super().__init__(model, data, threads, "f32", 0)

    def encode(self, texts):
        batches = [self.run(self.tokenize(texts[i:i + 256])) for i in range(0, len(texts), 256)]
        return self.np.concatenate(batches)


class OpenVino(Ragged):
    packages = ("openvino", "tokenizers")

    def __init__(self, model, data, threads, dtype, batch_tokens):
        super().__init__(model, data, batch_tokens)
        import openvino
        core = openvino.Core()
        graph = core.read_model(str(Path(data) / "f32" / "model.onnx"))
        self.inputs = [i.any_name for i in graph.inputs]
        settings = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": threads}
        self.request = core.compile_model(graph, "CPU", settings).create_infer_request()
        self.sees = " ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))

    def forward(self, inputs):
        self.request.infer(inputs)
        return self.request.get_output_tensor(0).data


PEERS = {
    "torch-f32": lambda m, d, t: torch_peer(m, d, t, "float32"),
    "torch-bf16": lambda m, d, t: torch_peer(m, d, t, "bfloat16"),
    "ort-f32": lambda m, d, t: OnnxRuntime(m, d, t, "f32", 2048),
    "ort-fastembed": FastembedWay,
    "ort-int8": lambda m, d, t: OnnxRuntime(m, d, t, "int8", 2048),
    "openvino-f32": lambda m, d, t: OpenVino(m, d, t, "f32", 2048),
    "openvino-bf16": lambda m, d, t: OpenVino(m, d, t, "bf16", 2048),
}


def work_of(data):
    return json.loads((Path(data) / "work.json").read_text())


def query_of(data):
    return read_texts(data, "query.txt", 0, 1)[0]


def read_texts(data, name, begin=0, end=None):
    with open(data / name, encoding="utf-8") as f:
        return [line.rstrip("\n") for line in itertools.islice(f, begin, end)]


def measure_queries(peer, query, n):
    times = []
    for _ in range(n):
        begin = clock()
        peer.encode([query])
        times.append((clock() - begin) * 1e3)
    times.sort()
    return {"query_p50_ms": times[n // 2], "query_p99_ms": times[min(n - 1, n * 99 // 100)]}


def encode(peer, data, name, first, last, vectors=None):
    texts = read_texts(data, name, int(first), int(last))
    begin = clock()
    out = peer.encode(texts)
    seconds = clock() - begin
    if vectors:
        out.astype("<f4").tofile(vectors)
    return {"seconds": seconds}


def encode_many(peer, data, name, seconds):
    texts, done, begin = read_texts(data, name), 0, clock()
    while done < len(texts) and (done == 0 or clock() - begin < float(seconds)):
        done += len(peer.encode(texts[done:done + 1000]))
    return {"docs": done, "docs_per_s": done / (clock() - begin)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--started", type=float, required=True)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--files", nargs="+", help="to be warmed up with [all of them]")
    a = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")

    def answer(result):
        print(json.dumps(result), flush=True)

    query = query_of(a.data)
    peer = PEERS[a.peer](a.model, a.data, a.threads)
    peer.encode([query])
    result = {"first_vector_ms": (clock() - a.started) * 1e3}
    for name in a.files or [f"{size}.txt" for size in work_of(a.data)["sizes"]]:
        peer.encode(read_texts(a.data, name, 0, WARM_UP))
    result.update(measure_queries(peer, query, a.queries), sees=peer.sees,
                  versions={p: importlib.metadata.version(p) for p in peer.packages})
    answer(result)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "end":
            answer({"peak_rss_mb": peak_rss_mb()})
        else:
            answer({"encode": encode, "many": encode_many}[command](peer, a.data, *arguments))


if __name__ == "__main__":
    sys.exit(main())
