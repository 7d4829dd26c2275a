#!/usr/bin/env python3
"""Writes a Unigram tokenizer.json of 250,002 pieces, the size and layout of xlm-roberta-base's (17 MB), for the benchmark.

    bench/tokenizer/large_vocabulary.py DEST

Charsmap and settings are those of tests/golden/unigram. The pieces are made on the spot: the words of the benchmark's texts and every
beginning and end of them, then words of syllables in ten scripts by a seeded generator; scores fall with the logarithm of the rank, as
trained ones do.
"""
import json
import math
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "peers"))
import texts  # noqa: E402

N_PIECES = 250002
SCRIPTS = [("bcdfghklmnprstvz", "aeiou"), ("бвгджзклмнпрст", "аеиоуыя"), ("βγδζθκλμνπρστ", "αεηιου"), ("בגדהזחטכלמנ", "ויא"),
           ("بتثجحدرزسشصع", "اوي"), ("कखगघचजटडतदनपब", "ािीुे"), ("กขคงจชดตถ", "ะาิีุเ"), ("かきくけこさしす", "たちつてとなに"),
           ("金木水火土日月山川田人口手目耳", "大小中上下左右天地国学生先年"), ("가나다라마바사", "아자차카타파하")]


def words():
    rng = random.Random(11)
    counts = {}
    for text in [*texts.short_texts(3000), *texts.long_texts(300)]:
        for word in re.findall(r"\w+|[^\w\s]+", text):
            counts[word] = counts.get(word, 0) + 1
    for word in sorted(counts, key=lambda w: (-counts[w], w)):
        yield "▁" + word
        for i in range(1, len(word)):
            yield "▁" + word[:i]
            yield word[i:]
    for consonants, vowels in SCRIPTS:
        yield from consonants + vowels
    while True:
        consonants, vowels = rng.choice(SCRIPTS)
        word = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(1, 4)))
        yield ("▁" if rng.random() < 0.5 else "") + word[rng.randint(0, 1):]


def main():
    with open(ROOT / "tests/golden/unigram/tokenizer.json", encoding="utf-8") as f:
        settings = json.load(f)
    vocab = settings["model"]["vocab"]
    mask = vocab.pop()
    pieces = dict.fromkeys(piece for piece, _ in vocab)
    for word in words():
        if len(pieces) == N_PIECES - 1:
            break
        pieces.setdefault(word)
    rest = list(pieces)[len(vocab):]
    vocab += [[piece, -5 - math.log1p(rank)] for rank, piece in enumerate(rest)] + [mask]
    settings["added_tokens"][-1]["id"] = len(vocab) - 1
    dest = pathlib.Path(sys.argv[1])
    dest.mkdir(parents=True, exist_ok=True)
    with open(dest / "tokenizer.json", "w", encoding="utf-8") as f:
        json.dump(settings, f, ensure_ascii=False, indent=2)


main()
