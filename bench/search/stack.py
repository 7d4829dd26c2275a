#!/usr/bin/env python3
"""One stack that people glue together, in one process: documents in, an index on the disk, then queries.

    stack.py NAME --model DIR --onnx DIR --db DIR (--documents DIR | --chunks FILE) --queries FILE [--threads N]

Prints one JSON object. What is timed as ingest begins with the first byte of the first document read and ends when the index
is on the disk; imports and the loading of the model are not in it (load_s has them), which favours the stacks: Heddle's
program is timed from its start to its exit. A document is parsed as people do it, HTML by BeautifulSoup over lxml, the
rest as it is, and cut by LangChain's RecursiveCharacterTextSplitter, which counts the model's tokens: at most 252 to a piece, 31
of them from the one before, as Heddle does. (By characters, 1,000 to a piece, the model would not read the end of a third of
them.) --chunks gives all stacks the same pieces instead ({"id", "text"} a line). A query is embedded and answered with the best
ten chunks; each is timed alone.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
import peer  # noqa: E402

CHUNK_TOKENS, OVERLAP = 252, 31
DEPTH, CANDIDATES, RRF_K = 10, 100, 60


def text_of(path):
    data = path.read_bytes()
    if path.suffix != ".html":
        return data.decode("utf-8", "replace")
    from bs4 import BeautifulSoup
    return BeautifulSoup(data, "lxml").get_text(" ", strip=True)


def chunks_of_folder(folder, model):
    """(id, text) of all pieces."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    count = lambda text: len(tokenizer.encode(text, add_special_tokens=False))
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP, length_function=count)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for i, piece in enumerate(splitter.split_text(text_of(path))):
            yield f"{path.relative_to(folder)}#{i}", piece


def chunks_of_file(path):
    with open(path, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield str(row["id"]), row["text"]


class SentenceTransformer:
    def __init__(self, args):
        import torch
        from sentence_transformers import SentenceTransformer as Model
        torch.set_num_threads(args.threads)
        self.model = Model(str(args.model), device="cpu")

    def __call__(self, texts):
        return self.model.encode(texts, batch_size=32, show_progress_bar=False, normalize_embeddings=True)


class LangChainChroma:
    """Dense alone: LangChain's Chroma has no other leg."""
    packages = ("langchain-chroma", "chromadb", "sentence-transformers")

    def __init__(self, args):
        import torch
        from langchain_chroma import Chroma
        from langchain_huggingface import HuggingFaceEmbeddings
        torch.set_num_threads(args.threads)
        self.store = Chroma(persist_directory=str(args.db), embedding_function=HuggingFaceEmbeddings(
            model_name=str(args.model), model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True}))

    def add(self, ids, texts):
        for i in range(0, len(ids), 1000):
            self.store.add_texts(texts[i:i + 1000], ids=ids[i:i + 1000])

    def search(self, query):
        return [d.id for d in self.store.similarity_search(query, k=DEPTH)]


class ChromaOnnx:
    """Chroma with the embedding function that it brings along, all-MiniLM-L6-v2 in ONNX f32. Dense alone."""
    packages = ("chromadb", "onnxruntime")

    def __init__(self, args):
        import chromadb
        from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2
        files = args.db / "model" / "onnx"  # where it would have downloaded the same weights to
        files.mkdir(parents=True)
        for name in ("config.json", "tokenizer.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt"):
            (files / name).symlink_to((args.model / name).resolve())
        (files / "model.onnx").symlink_to((args.onnx / "f32" / "model.onnx").resolve())
        self.model = ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])
        self.model.DOWNLOAD_PATH = files.parent
        self.model._download_model_if_not_exists = lambda: None  # the files are there, and their sums are an archive's
        self.model(["loads it"])
        self.collection = chromadb.PersistentClient(path=str(args.db / "chroma")).create_collection(
            "chunks", embedding_function=self.model, metadata={"hnsw:space": "cosine"})

    def add(self, ids, texts):
        for i in range(0, len(ids), 1000):
            self.collection.add(ids=ids[i:i + 1000], documents=texts[i:i + 1000])

    def search(self, query):
        return self.collection.query(query_texts=[query], n_results=DEPTH)["ids"][0]


class Txtai:
    """Hybrid: its own BM25 and Faiss, weights 0.5 each."""
    packages = ("txtai", "faiss-cpu", "torch")

    def __init__(self, args):
        import torch
        from txtai import Embeddings
        torch.set_num_threads(args.threads)
        self.db = args.db / "txtai"
        self.index = Embeddings(path=str(args.model), hybrid=True, content=True, gpu=False)

    def add(self, ids, texts):
        self.index.index((i, t, None) for i, t in zip(ids, texts))
        self.index.save(str(self.db))

    def search(self, query):
        return [row["id"] for row in self.index.search(query, DEPTH)]


class LanceDb:
    """Hybrid: vectors without an index (it advises none below 100,000 rows), its own full-text index, RRF."""
    packages = ("lancedb", "sentence-transformers")

    def __init__(self, args):
        import lancedb
        from lancedb.rerankers import RRFReranker
        self.embed = SentenceTransformer(args)
        self.db = lancedb.connect(str(args.db))
        self.fuse = RRFReranker()

    def add(self, ids, texts):
        for i in range(0, len(ids), 4000):
            rows = [{"id": k, "text": t, "vector": v} for k, t, v in
                    zip(ids[i:i + 4000], texts[i:i + 4000], self.embed(texts[i:i + 4000]))]
            if i == 0:
                self.table = self.db.create_table("chunks", rows)
            else:
                self.table.add(rows)
        self.table.create_fts_index("text")

    def search(self, query):
        found = self.table.search(query_type="hybrid").distance_type("cosine").vector(self.embed([query])[0]).text(query)
        return [row["id"] for row in found.rerank(self.fuse).limit(DEPTH).select(["id"]).to_list()]


class Glued:
    """The fastest that we could put together: ONNX Runtime int8 over texts sorted by length, sqlite-vec, FTS5, RRF."""
    packages = ("sqlite-vec", "apsw", "onnxruntime")

    def __init__(self, args):
        import apsw
        import sqlite_vec
        (args.db / "work.json").write_text(json.dumps({"max_length": 256, "reranks": False}))
        (args.db / "int8").symlink_to((args.onnx / "int8").resolve())
        self.model = peer.OnnxRuntime(args.model, args.db, args.threads, "int8", 2048)
        self.db = apsw.Connection(str(args.db / "glued.db"))
        self.db.enable_load_extension(True)
        self.db.load_extension(sqlite_vec.loadable_path())
        list(self.db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                             "CREATE TABLE chunks (n INTEGER PRIMARY KEY, id TEXT UNIQUE, text TEXT);"
                             "CREATE VIRTUAL TABLE words USING fts5 (text, content=chunks, content_rowid=n, tokenize='porter unicode61');"
                             "CREATE VIRTUAL TABLE vectors USING vec0 (n INTEGER PRIMARY KEY, v FLOAT[384] distance_metric=cosine)"))

    def add(self, ids, texts):
        for i in range(0, len(ids), 4000):
            vectors = self.model.encode(texts[i:i + 4000])
            rows = list(zip(range(i, i + 4000), ids[i:i + 4000], texts[i:i + 4000]))
            with self.db:
                self.db.executemany("INSERT INTO chunks VALUES (?, ?, ?)", rows)
                self.db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", ((n, t) for n, _, t in rows))
                self.db.executemany("INSERT INTO vectors VALUES (?, ?)",
                                    ((n, v.astype("float32").tobytes()) for (n, _, _), v in zip(rows, vectors)))
        list(self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))

    def search(self, query):
        vector = self.model.encode([query])[0].astype("float32").tobytes()
        words = " OR ".join('"' + w.replace('"', '""') + '"' for w in query.split())
        dense = self.db.execute("SELECT n FROM vectors WHERE v MATCH ? AND k = ?", (vector, CANDIDATES))
        sparse = self.db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (words, CANDIDATES))
        scores = {}
        for rows in (dense, sparse):
            for rank, (n,) in enumerate(rows, 1):
                scores[n] = scores.get(n, 0) + 1 / (RRF_K + rank)
        best = sorted(scores, key=scores.get, reverse=True)[:DEPTH]
        return [self.db.execute("SELECT id, text FROM chunks WHERE n = ?", (n,)).fetchone()[0] for n in best]


STACKS = {"langchain-chroma": LangChainChroma, "chroma-onnx": ChromaOnnx, "txtai": Txtai, "lancedb": LanceDb, "glued": Glued}


def bytes_below(folder):
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=STACKS)
    for name in ("model", "onnx", "db", "documents", "chunks", "queries"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    begin = time.monotonic()
    args.db.mkdir(parents=True)
    stack = STACKS[args.name](args)
    loaded = time.monotonic()
    chunks = list(chunks_of_folder(args.documents, args.model) if args.documents else chunks_of_file(args.chunks))
    parsed = time.monotonic()
    stack.add([i for i, _ in chunks], [t for _, t in chunks])
    done = time.monotonic()
    ingest_rss = peer.peak_rss_mb()
    queries = [row["text"] for row in map(json.loads, args.queries.read_text().splitlines())]
    stack.search("once, so that everything is there")
    ms, hits = [], []
    for query in queries:
        asked = time.monotonic()
        hits.append(stack.search(query))
        ms.append(1000 * (time.monotonic() - asked))
    import importlib.metadata
    print(json.dumps({"load_s": loaded - begin, "parse_s": parsed - loaded, "ingest_s": done - loaded, "n_chunks": len(chunks),
                      "ingest_rss_mb": ingest_rss, "peak_rss_mb": peer.peak_rss_mb(), "disk_bytes": bytes_below(args.db),
                      "query_ms": ms, "hits": hits,
                      "versions": {p: importlib.metadata.version(p) for p in stack.packages}}))


if __name__ == "__main__":
    main()
