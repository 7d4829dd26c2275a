#!/usr/bin/env python3
"""Makes the goldens under tests/golden/lookup: what sentence-transformers makes of queries and documents where queries are
looked up in a table.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_lookup_goldens.py

The models are those of tools/make_tiny_architectures.py that have a Router, in float32 on the CPU, one text at a time.
tests/golden/lookup/README.md describes the files.
"""

import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from sentence_transformers import SparseEncoder

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/lookup"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_tiny_architectures as tiny

QUERIES = ["what is a river", "", "The river, the RIVER and the sea of light in winter: which stone is bread? r\u00edo", "[SEP] stone"]
DOCUMENTS = ["A river is a stream of water, that flows to the sea.", "", "the house (in the garden) of music; bread. " * 20]


def encode(method, texts):
    rows = [method([text], convert_to_tensor=True, convert_to_sparse_tensor=False, show_progress_bar=False)[0] for text in texts]
    return b"".join(row.numpy().astype("<f4").tobytes() for row in rows)


def make(name, folder):
    model = SparseEncoder(str(folder), device="cpu")
    (OUT / f"{name}.f32").write_bytes(encode(model.encode_query, QUERIES) + encode(model.encode_document, DOCUMENTS)
                                      + encode(model.encode, QUERIES[:1]))
    return {"model": name, "width": model.get_embedding_dimension()}


def main():
    torch.set_num_threads(1)
    names = [name for name, model in tiny.MODELS.items() if "router" in model[3]]
    golden_manifest.write_all(OUT, names, make, ("sentence-transformers", "transformers", "torch"), QUERIES, DOCUMENTS)


if __name__ == "__main__":
    main()
