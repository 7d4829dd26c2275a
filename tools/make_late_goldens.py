#!/usr/bin/env python3
"""Makes the goldens under tests/golden/late: what PyLate makes of queries and documents.

    python3 -m venv /tmp/late && /tmp/late/bin/pip install pylate==1.4.0
    /tmp/late/bin/python tools/make_late_goldens.py

The models are those of tools/make_tiny_architectures.py that have late interaction, in float32 on the CPU, but for those of
tools/make_colbert_goldens.py. Queries and documents are encoded one at a time; PyLate pads documents that come together.
tests/golden/late/README.md describes the files.
"""

import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from pylate import models, scores

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/late"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_tiny_architectures as tiny

QUERIES = ["what is a river", "", "the garden, the house and the light of the sea in winter: which stone is bread? " * 2,
           "[Q] stone"]
DOCUMENTS = ["A river is a stream of water, that flows to the sea.", "", "...!?",
             "the house (in the garden) of music; bread, water & ship - winter's light. " * 4, "[MASK] [D] stone"]


@torch.no_grad()
def encode(model, texts, is_query):
    return [model.encode([text], is_query=is_query, show_progress_bar=False)[0] for text in texts]


def make(name, folder):
    model = models.ColBERT(str(folder), device="cpu")
    rows = {"queries": encode(model, QUERIES, True), "documents": encode(model, DOCUMENTS, False)}
    (OUT / f"{name}.f32").write_bytes(b"".join(v.astype("<f4").tobytes() for side in rows.values() for v in side))
    query = torch.from_numpy(rows["queries"][0])[None]
    all_scores = [scores.colbert_scores(query, torch.from_numpy(v)[None]).item() for v in rows["documents"]]
    return {"model": name, "width": rows["queries"][0].shape[1], **{side: [len(v) for v in rows[side]] for side in rows},
            "scores": [round(score, 6) for score in all_scores]}


def main():
    torch.set_num_threads(1)
    names = [name for name, model in tiny.MODELS.items() if "late" in model[3] and "residual" not in model[3]]
    golden_manifest.write_all(OUT, names, make, ("pylate", "sentence-transformers", "transformers", "torch"), QUERIES, DOCUMENTS)


if __name__ == "__main__":
    main()
