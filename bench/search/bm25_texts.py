#!/usr/bin/env python3
"""Grows a corpus of short passages out of a real one, for bench/search/bm25.sh: one passage a line.

    bm25_texts.py CORPUS.jsonl N OUT.txt

A passage is four sentences, each of another passage of the corpus, so that words keep the frequencies that they have in real
text and those that go together in a sentence stay together. One of four passages has a name of its own, as versions, hashes
and identifiers do: the dictionary grows with the corpus. Seeded: the same corpus gives the same file.
"""

import json
import random
import re
import sys

SENTENCES, MOST_BYTES, NAMED = 4, 220, 4


def main(argv):
    if len(argv) != 4:
        sys.exit(__doc__)
    choose = random.Random(1)
    sentences = []
    with open(argv[1], encoding="utf-8") as corpus:
        for line in corpus:
            text = " ".join(json.loads(line)["text"].split())
            sentences += [s[:MOST_BYTES] for s in re.split(r"(?<=[.!?:]) ", text) if len(s) > 20]
    with open(argv[3], "w", encoding="utf-8") as out:
        for i in range(int(argv[2])):
            parts = choose.sample(sentences, SENTENCES)
            if i % NAMED == 0:
                parts.append(f"{choose.getrandbits(40):010x}")
            out.write(" ".join(parts) + "\n")


if __name__ == "__main__":
    main(sys.argv)
