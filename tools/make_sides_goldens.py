#!/usr/bin/env python3
"""Makes the goldens under tests/golden/sides: what sentence-transformers makes of queries and documents that have encoders of
their own.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_sides_goldens.py

The models are those of tools/make_tiny_architectures.py that have a Router of two encoders, or Asym, in float32 on the CPU,
one text at a time. One whose encoders have tasks is left out: sentence-transformers' Router hands modules its own routes as tasks. tests/golden/sides/README.md describes the files.
"""

import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from sentence_transformers import SentenceTransformer, SparseEncoder

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/sides"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_tiny_architectures as tiny

QUERIES = ["what is a river", "", "The river, the RIVER and the sea of light in winter: which stone is bread? r\u00edo " * 2]
DOCUMENTS = ["A river is a stream of water, that flows to the sea.", "", "the house (in the garden) of music; bread. " * 20]


def encode(method, texts, **more):
    rows = [method([text], convert_to_tensor=True, show_progress_bar=False, **more)[0] for text in texts]
    return b"".join(row.numpy().astype("<f4").tobytes() for row in rows)


def make(name, folder):
    """Asym's routes have names of their own, which encode_document does not know."""
    sparse = name == "tiny-sides-splade"
    model = (SparseEncoder if sparse else SentenceTransformer)(str(folder), device="cpu")
    dense = {"convert_to_sparse_tensor": False} if sparse else {}
    route = "doc" if "asym" in tiny.MODELS[name][3] else "document"
    documents = encode(model.encode, DOCUMENTS, task=route, prompt_name="document", **dense)
    (OUT / f"{name}.f32").write_bytes(
        encode(model.encode_query, QUERIES, **dense) + documents + encode(model.encode, QUERIES[:1], **dense))
    return {"model": name, "sparse": sparse, "width": model.get_embedding_dimension()}


def main():
    torch.set_num_threads(1)
    names = [name for name, model in tiny.MODELS.items() if {"sides", "asym"} & set(model[3]) and name != "tiny-sides-tasks"]
    golden_manifest.write_all(OUT, names, make, ("sentence-transformers", "transformers", "torch"), QUERIES, DOCUMENTS)


if __name__ == "__main__":
    main()
