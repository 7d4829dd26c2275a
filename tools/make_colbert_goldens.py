#!/usr/bin/env python3
"""Makes the goldens under tests/golden/colbert: what sentence-transformers makes of queries and documents with models in the
layout of ColBERT's own code or sentence-transformers' own, and with Dense modules that add their input.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_colbert_goldens.py

In float32 on the CPU, one text at a time. The texts are those of tests/golden/late, less what its prefixes are part of: there
a text cannot be mistaken for a prefix. The files are as tests/golden/late/README.md describes them.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from sentence_transformers import MultiVectorEncoder

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/colbert"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_architecture_goldens as architectures
import make_tiny_architectures as tiny

QUERIES = ["what is a river", "", "the garden, the house and the light of the sea in winter: which stone is bread? " * 2]
DOCUMENTS = ["A river is a stream of water, that flows to the sea.", "", "...!?",
             "the house (in the garden) of music; bread, water & ship - winter's light. " * 4]


def use_class(folder):
    """Jina's own code by the name of transformers' class for the same weights."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if "auto_map" in config:
        path.write_text(json.dumps(architectures.translation(config) | {"architectures": config["architectures"]}))


def make(name, folder):
    use_class(folder)
    model = MultiVectorEncoder(str(folder), device="cpu")
    rows = {side: [encode([text], show_progress_bar=False)[0] for text in texts]
            for side, encode, texts in (("queries", model.encode_query, QUERIES), ("documents", model.encode_document, DOCUMENTS))}
    (OUT / f"{name}.f32").write_bytes(b"".join(v.numpy().astype("<f4").tobytes() for side in rows.values() for v in side))
    scores = [model.similarity([rows["queries"][0]], [v]).item() for v in rows["documents"]]
    return {"model": name, "width": rows["queries"][0].shape[1], **{side: [len(v) for v in rows[side]] for side in rows},
            "scores": [round(score, 6) for score in scores]}


def main():
    torch.set_num_threads(1)
    names = [name for name, model in tiny.MODELS.items() if {"artifact", "residual", "multi_vector"} & set(model[3])]
    golden_manifest.write_all(OUT, names, make, ("sentence-transformers", "transformers", "torch"), QUERIES, DOCUMENTS)


if __name__ == "__main__":
    main()
