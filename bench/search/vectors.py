#!/usr/bin/env python3
"""Vector indexes beside each other: building, recall and speed, on the same rows, queries and threads. See vectors.sh.

    vectors.py WORK VECTORS QUERIES TRUTH DRIVER THREADS OUT_MD OUT_JSON NAME...

NAME: heddle, usearch-f32, usearch-bf16, usearch-i8, hnswlib, sqlite-vec, chroma, lancedb. Each is built in a process of its own, by THREADS
threads, and then asked all queries with longer and longer lists (ef, beam); the least list whose recall@10 reaches WANTED is
its row, or the longest. p50 is of single queries, one after the other, queries a second of all threads at once (peers: by
their own batches). Shares under 1 are filters; who has no filter that runs inside of it has no row there.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import vector_set

K, WANTED = 10, 0.98
LISTS = (32, 48, 64, 96, 128, 160, 192, 256, 384, 512)
M, EF_BUILD = 16, 128


def recall_of(found, truth):
    return float(np.mean([len(set(map(int, f)) & set(map(int, t))) / K for f, t in zip(found, truth)]))


class Usearch:
    lists, shares = LISTS, (1.0,)

    def __init__(self, dtype, threads):
        self.dtype, self.threads = dtype, threads

    def build(self, rows):
        from usearch.index import Index
        self.index = Index(ndim=rows.shape[1], metric="cos", dtype=self.dtype, connectivity=M, expansion_add=EF_BUILD)
        self.index.add(np.arange(len(rows)), rows, threads=self.threads)

    def one(self, query, size, share):
        self.index.expansion_search = size
        return self.index.search(query, K, threads=1).keys

    def many(self, queries, size, threads):
        self.index.expansion_search = size
        self.index.search(queries, K, threads=threads)

    def memory(self):
        return self.index.memory_usage


class Hnswlib:
    lists, shares = LISTS, (1.0,)

    def __init__(self, threads):
        self.threads = threads

    def build(self, rows):
        import hnswlib
        self.index = hnswlib.Index(space="ip", dim=rows.shape[1]) # rows have length 1
        self.index.init_index(max_elements=len(rows), ef_construction=EF_BUILD, M=M, random_seed=1)
        self.index.add_items(rows, num_threads=self.threads)

    def one(self, query, size, share):
        self.index.set_ef(size)
        return self.index.knn_query(query, K, num_threads=1)[0][0]

    def many(self, queries, size, threads):
        self.index.set_ef(size)
        self.index.knn_query(queries, K, num_threads=threads)

    def memory(self):
        return None


class SqliteVec:
    lists, shares = (0,), vector_set.SHARES

    def __init__(self, work):
        self.path = work / "sqlite-vec.db"

    def build(self, rows):
        import apsw  # a Python's own sqlite3 may be built without extensions
        import sqlite_vec
        self.path.unlink(missing_ok=True)
        self.db = apsw.Connection(str(self.path))
        self.db.enable_load_extension(True)
        self.db.load_extension(sqlite_vec.loadable_path())
        self.db.execute(f"CREATE VIRTUAL TABLE v USING vec0(row float[{rows.shape[1]}] distance_metric=cosine, s1 boolean,"
                        " s2 boolean, s3 boolean, s4 boolean)")
        flags = [vector_set.allowed(np.arange(len(rows)), share) for share in vector_set.SHARES[1:]]
        with self.db:
            self.db.executemany("INSERT INTO v(rowid, row, s1, s2, s3, s4) VALUES(?, ?, ?, ?, ?, ?)",
                                ((i, row.tobytes(), *(bool(f[i]) for f in flags)) for i, row in enumerate(rows)))

    def one(self, query, size, share):
        test = "" if share == 1 else f" AND s{vector_set.SHARES.index(share)} = true"
        return [i for i, in self.db.execute(f"SELECT rowid FROM v WHERE row MATCH ? AND k = {K}{test}", (query.tobytes(),))]

    def memory(self):
        return None


class Chroma:
    lists, shares = (100, 200, 400), vector_set.SHARES

    def __init__(self, work):
        self.work = work / "chroma"

    def build(self, rows):
        import chromadb
        self.client = chromadb.PersistentClient(str(self.work), chromadb.config.Settings(anonymized_telemetry=False))
        self.all = self.client.get_or_create_collection("vectors", configuration={
            "hnsw": {"space": "cosine", "ef_construction": EF_BUILD, "max_neighbors": M, "ef_search": self.lists[0]}})
        flags = [vector_set.allowed(np.arange(len(rows)), share) for share in vector_set.SHARES]
        for first in range(0, len(rows), 5000):
            ids = range(first, min(first + 5000, len(rows)))
            self.all.add(ids=[str(i) for i in ids], embeddings=rows[first:first + 5000],
                         metadatas=[{f"s{s}": bool(f[i]) for s, f in enumerate(flags)} for i in ids])

    def one(self, query, size, share):
        if self.all.configuration["hnsw"]["ef_search"] != size:
            self.all.modify(configuration={"hnsw": {"ef_search": size}})
        where = None if share == 1 else {f"s{vector_set.SHARES.index(share)}": True}
        return self.all.query(query_embeddings=query[None], n_results=K, where=where, include=[])["ids"][0]

    def memory(self):
        return None


class Lance:
    lists, shares = (48, 64, 128, 256), vector_set.SHARES

    def __init__(self, work):
        self.work = work / "lance"

    def build(self, rows):
        import lancedb
        import pyarrow as pa
        columns = {f"s{s}": vector_set.allowed(np.arange(len(rows)), share) for s, share in enumerate(vector_set.SHARES)}
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        self.table = lancedb.connect(self.work).create_table(
            "v", pa.table({"id": np.arange(len(rows)), "vector": vectors, **columns}), mode="overwrite")
        self.table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_HNSW_SQ",
                                m=M, ef_construction=EF_BUILD)

    def one(self, query, size, share):
        asked = self.table.search(query).distance_type("cosine").limit(K).select(["id"]).nprobes(20).ef(size).refine_factor(4)
        if share < 1:
            asked = asked.where(f"s{vector_set.SHARES.index(share)} = true", prefilter=True)
        return asked.to_arrow()["id"].to_pylist()

    def memory(self):
        return None


def make(name, work, threads):
    kind, _, dtype = name.partition("-")
    return {"usearch": lambda: Usearch(dtype, threads), "hnswlib": lambda: Hnswlib(threads), "chroma": lambda: Chroma(work),
            "sqlite": lambda: SqliteVec(work), "lancedb": lambda: Lance(work)}[kind]()


def measure_peer(name, work, rows, queries, truth, threads):
    peer = make(name, work, threads)
    start = time.perf_counter()
    peer.build(rows)
    results = [{"name": name, "build_s": time.perf_counter() - start, "memory_bytes": peer.memory()}]
    print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    for s, share in enumerate(vector_set.SHARES):
        if share not in peer.shares:
            continue
        for size in peer.lists:
            start = time.perf_counter()
            peer.one(queries[0], size, share)
            slow = time.perf_counter() - start > 0.02
            asked = queries[:30] if slow else queries
            found, times = [], []
            for query in asked:
                start = time.perf_counter()
                found.append(peer.one(query, size, share))
                times.append((time.perf_counter() - start) * 1e3)
            row = {"name": name, "share": share, "beam": size, "recall": recall_of(found, truth[s]),
                   "p50_ms": statistics.median(times), "p99_ms": sorted(times)[len(times) * 99 // 100]}
            for key, n in (("qps_one", 1), ("qps", threads)):
                if hasattr(peer, "many"):
                    start, done = time.perf_counter(), 0
                    while time.perf_counter() - start < 1.0:
                        peer.many(queries, size, n)
                        done += len(queries)
                    row[key] = done / (time.perf_counter() - start)
            results.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
            if row["recall"] >= WANTED:
                break
    return results


def measure_heddle(work, vectors, queries, truth, driver, threads):
    db = work / "heddle.db"
    def run(*arguments):
        lines = subprocess.run([driver, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
        print(lines, file=sys.stderr, flush=True, end="")
        return [json.loads(line) for line in lines.splitlines()]
    built = run("build", db, vectors, threads)[0]
    results = [{"name": "heddle", "build_s": built["append_s"] + built["build_s"], **built}, {"name": "heddle", **run("cold", db, queries)[0]}]
    rows = run("search", db, queries, truth, threads, 1.0, *(size for size in LISTS if size <= 256))
    for share in vector_set.SHARES:
        of_share = [r for r in rows if r.get("share") == share]
        good = [r for r in of_share if r["recall"] >= WANTED]
        results += [{"name": "heddle", **r} for r in of_share[:of_share.index(good[0]) + 1 if good else None]]
    results += [{"name": "heddle", **run("scan", db, queries, n)[0]} for n in (1, threads)]
    return results


def table(results, n, threads):
    lines = [f"{n} rows of 384, {threads} threads, 1,000 queries, recall@10 of at least {WANTED} where it is reached", "",
             "| | share | list | recall@10 | p50 ms | p99 ms | queries/s, one thread | all threads | build s | bytes/row |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    def number(value, digits=2):
        return "" if value is None else f"{value:,.{digits}f}"
    names = list(dict.fromkeys(r["name"] for r in results))
    for share in vector_set.SHARES:
        for name in names:
            mine = [r for r in results if r["name"] == name and r.get("share") == share]
            if not mine:
                continue
            built = next(r for r in results if r["name"] == name and "build_s" in r)
            r = mine[-1]
            memory = built.get("memory_bytes")
            lines.append(f"| {name} | {share:g} | {r['beam'] or ''} | {r['recall']:.4f} | {r['p50_ms']:.3f} | {r['p99_ms']:.3f} | "
                         f"{number(r.get('qps_one'), 0)} | {number(r.get('qps'), 0)} | {number(built['build_s'], 1)} | "
                         f"{number(memory / n if memory else None, 0)} |")
    return "\n".join(lines) + "\n"


def main(argv):
    work, vectors, queries_file, truth_file, driver, threads, out_md, out_json = argv[1:9]
    work, threads = Path(work), int(threads)
    if argv[9] == "--one": # a peer alone, in a process of its own
        rows = np.fromfile(vectors, np.float32).reshape(-1, vector_set.DIM)
        queries = np.fromfile(queries_file, np.float32).reshape(-1, vector_set.DIM)
        truth = np.fromfile(truth_file, np.uint32).reshape(len(vector_set.SHARES), len(queries), K)
        Path(out_json).write_text(json.dumps(measure_peer(argv[10], work, rows, queries, truth, threads)))
        return
    results, n = [], Path(vectors).stat().st_size // 4 // vector_set.DIM
    for name in argv[9:]:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            if name == "heddle":
                results += measure_heddle(Path(folder), vectors, queries_file, truth_file, driver, threads)
                continue
            part = Path(folder) / "part.json"
            command = [sys.executable, __file__, folder, vectors, queries_file, truth_file, driver, str(threads), "-", str(part),
                       "--one", name]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
            if subprocess.run(command, env=environment).returncode == 0:
                results += json.loads(part.read_text())
            else:
                results.append({"name": name, "build_s": float("nan"), "failure": "see the log"})
    Path(out_json).write_text(json.dumps(results, indent=1) + "\n")
    Path(out_md).write_text(table(results, n, threads))
    print(table(results, n, threads))


if __name__ == "__main__":
    main(sys.argv)
