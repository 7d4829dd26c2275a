#!/usr/bin/env python3
"""Makes the goldens under tests/golden/flag: what FlagEmbedding's own classes make of texts with a small bge-m3 and of pairs with a
small bge-reranker.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt FlagEmbedding==1.4.2
    /tmp/goldens/bin/python tools/make_flag_goldens.py

In float32 on the CPU, one text at a time. tests/golden/flag/README.md describes the files.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import torch
from FlagEmbedding.inference.embedder.encoder_only.m3 import M3Embedder
from FlagEmbedding.inference.reranker.encoder_only.base import BaseReranker
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/flag"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_tiny_architectures as tiny
import make_tiny_gguf_models as models

TEXTS = ["a river of music", "The stone in the garden, the stone and the bread", "na\u00efve Stra\u00dfe \u6f22\u5b57 \U0001f600", "x",
         "the the the", "\uff21\uff22\uff23 \u00bd \ufb01n", "<s> <mask> </s>", "who wrote the letter? " * 12]
QUERY = "who wrote the letter"
DOCUMENTS = ["the stone in the garden", "A river, a river!", "Stone, stone: the GARDEN?", "x", "bread and water " * 60]
MAX_LENGTHS = [128, 48]


def rounded(values):
    return [float(f"{v:.8g}") for v in values]


def embed(folder):
    """bge-m3 has its heads as torch.save writes them."""
    for head in ("sparse", "colbert"):
        torch.save(load_file(folder / f"{head}_linear.safetensors"), folder / f"{head}_linear.pt")
    model = M3Embedder(str(folder), use_fp16=False, devices="cpu")
    for text in TEXTS:
        got = model.encode([text], return_dense=True, return_sparse=True, return_colbert_vecs=True, max_length=128)
        weights = {int(token): float(weight) for token, weight in got["lexical_weights"][0].items()}
        yield {"text": text, "dense": rounded(got["dense_vecs"][0]),
               "sparse": {"indices": sorted(weights), "values": rounded(weights[token] for token in sorted(weights))},
               "colbert": [rounded(row) for row in got["colbert_vecs"][0]]}


def rerank(folder):
    for max_length in MAX_LENGTHS:
        model = BaseReranker(str(folder), use_fp16=False, devices="cpu", max_length=max_length)
        for document in DOCUMENTS:
            [logit], [score] = (model.compute_score([(QUERY, document)], normalize=normalize) for normalize in (False, True))
            yield {"query": QUERY, "document": document, "max_length": max_length, "logit": logit, "score": score}


def write(name, rows):
    (OUT / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main():
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        m3 = models.write_model(folder, "gguf-xlmr")
        for head in tiny.write_model(folder, "tiny-m3").glob("*_linear.safetensors"):
            shutil.copy(head, m3)
        write("embedded.jsonl", embed(m3))
        write("reranked.jsonl", rerank(models.write_model(folder, "gguf-xlmr-reranker")))
    made_with = golden_manifest.made_with(("FlagEmbedding", "transformers", "torch"))
    (OUT / "manifest.json").write_text(json.dumps({"made_with": made_with}) + "\n")


if __name__ == "__main__":
    main()
