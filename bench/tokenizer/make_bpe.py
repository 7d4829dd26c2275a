#!/usr/bin/env python3
"""Trains byte-pair tokenizers as large as those of Qwen2 (151,643 tokens) and GPT-2 (50,257) on Python's own sources and
documentation, for the benchmark: nothing of it is a published vocabulary.

    pip install tokenizers==0.23.3
    bench/tokenizer/make_bpe.py DEST

Writes DEST/qwen2/tokenizer.json and DEST/gpt2/tokenizer.json unless they are there. Takes a minute or two.
"""
import os
import pathlib
import pydoc_data.topics
import sys
import sysconfig

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus():
    yield from pydoc_data.topics.topics.values()
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" not in path.parts:
            yield path.read_text(encoding="utf-8", errors="ignore")


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t, 151643, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    return t, 50257, ["<|endoftext|>"]


def main():
    for make in (qwen2, gpt2):
        path = pathlib.Path(sys.argv[1], make.__name__, "tokenizer.json")
        if path.exists():
            continue
        tokenizer, size, added = make()
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, min_frequency=1,
                                      special_tokens=[AddedToken(a, normalized=False, special=True) for a in added],
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(corpus(), trainer)
        path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(path))
        print(f"{path}: {tokenizer.get_vocab_size()} tokens", file=sys.stderr)


main()
