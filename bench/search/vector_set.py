#!/usr/bin/env python3
"""Vectors to search in: of real text, and more of them grown out of those.

    vector_set.py texts OUT N               N passages of Debian's package descriptions, one a line
    vector_set.py grow VECTORS N_REAL OUT N the first N_REAL rows of VECTORS (raw f32, 384 each), then rows grown out of them
    vector_set.py truth VECTORS QUERIES OUT the 10 nearest rows of each query by f32 products, for shares of rows (SHARES)

Descriptions are fetched by apt-get as for bench/quality/retrieval_set.py and cut where sentences end; which pieces are taken, and
their order, depends on hashes of them. A grown row is a real one, a part of another real one, and noise: cosine about 0.9 to the first, so that rows
lie in clusters as chunks of many documents about the same things do. Random numbers are seeded. The rows of a share are those
whose number's hash says so (allowed(), which bench/search/vectors.c computes alike).
"""

import hashlib
import re
import sys
from pathlib import Path

DIM, SEED, K = 384, 7, 10
LEAST_TEXT, MOST_TEXT = 50, 160 # characters
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
OTHER, NOISE = 0.33, 0.30 # lengths of what is added to a row of length 1


def passages(paragraph):
    """Pieces of a paragraph: sentences, as many as fit."""
    piece = ""
    for sentence in re.split(r"(?<=[.!?:]) ", paragraph):
        if piece and len(piece) + len(sentence) > MOST_TEXT:
            if len(piece) >= LEAST_TEXT:
                yield piece
            piece = ""
        piece = f"{piece} {sentence}".strip()
    if len(piece) >= LEAST_TEXT:
        yield piece[:1000]


def texts(out, n):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "quality"))
    import retrieval_set
    out.parent.mkdir(parents=True, exist_ok=True)
    seen = {}
    _, translations = retrieval_set.apt_lists(out.parent / "apt")
    for fields in retrieval_set.stanzas(translations):
        long = fields.get("Description-en", "").partition("\n")[2]
        for paragraph in long.split("\n .\n"):
            for text in passages(retrieval_set.one_line(paragraph)):
                seen[hashlib.sha256(text.encode()).digest()] = text
    chosen = [seen[key] for key in sorted(seen)][:n]
    if len(chosen) < n:
        sys.exit(f"vector_set: {len(chosen)} paragraphs, {n} wanted")
    out.write_text("\n".join(chosen) + "\n")


def unit(rows):
    import numpy as np
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def grow(source, n_real, out, n):
    import numpy as np
    real = unit(np.fromfile(source, np.float32).reshape(-1, DIM)[:n_real])
    random = np.random.Generator(np.random.PCG64(SEED))
    with open(out, "wb") as file:
        real[:n].tofile(file)
        for first in range(n_real, n, 50000):
            count = min(50000, n - first)
            noise = random.standard_normal((count, DIM), dtype=np.float32) * np.float32(NOISE / DIM ** 0.5)
            base, other = random.integers(0, n_real, count), random.integers(0, n_real, count)
            unit(real[base] + np.float32(OTHER) * real[other] + noise).tofile(file)


def allowed(ids, share):
    """Numbers in a set of the share: by the upper half of a product."""
    import numpy as np
    hashes = (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return hashes < np.uint64(int(share * 2 ** 32))


def truth(source, queries, out):
    import numpy as np
    rows = np.memmap(source, np.float32, "r").reshape(-1, DIM)
    asked = np.fromfile(queries, np.float32).reshape(-1, DIM)
    result = np.empty((len(SHARES), len(asked), K), np.uint32)
    best = [(np.full((len(asked), K), -2, np.float32), np.zeros((len(asked), K), np.uint32)) for _ in SHARES]
    for first in range(0, len(rows), 50000):
        block = np.ascontiguousarray(rows[first:first + 50000])
        ids = np.arange(first, first + len(block), dtype=np.uint32)
        scores = asked @ block.T
        for s, share in enumerate(SHARES):
            keep = allowed(ids, share)
            if not keep.any():
                continue
            scores_here = np.concatenate([best[s][0], scores[:, keep]], axis=1)
            ids_here = np.concatenate([best[s][1], np.broadcast_to(ids[keep], (len(asked), keep.sum()))], axis=1)
            top = np.argpartition(-scores_here, K - 1, axis=1)[:, :K]
            best[s] = np.take_along_axis(scores_here, top, 1), np.take_along_axis(ids_here, top, 1)
    for s in range(len(SHARES)):
        order = np.argsort(-best[s][0], axis=1, kind="stable")
        result[s] = np.take_along_axis(best[s][1], order, 1)
    result.tofile(out)


def main(argv):
    if len(argv) == 4 and argv[1] == "texts":
        texts(Path(argv[2]), int(argv[3]))
    elif len(argv) == 6 and argv[1] == "grow":
        grow(argv[2], int(argv[3]), argv[4], int(argv[5]))
    elif len(argv) == 5 and argv[1] == "truth":
        truth(argv[2], argv[3], argv[4])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
