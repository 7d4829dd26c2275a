#!/usr/bin/env python3
"""Trains a small SentencePiece Unigram model and writes it as XLM-RoBERTa models have it, with what the libraries make of nasty texts.

    python3 -m venv V && V/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    V/bin/python tools/make_unigram_tokenizers.py DEST [--vocab-size 1500] [--texts 1200]

Writes to DEST
  sentencepiece.bpe.model   the model as the trainer left it: nmt_nfkc charsmap, byte pieces none
  tokenizer.json            the same in the structure of xlm-roberta-base: ids moved by one behind <s> <pad> </s> <unk>, <mask> last
  tokens.jsonl              a text a line with its ids and character offsets, and how the ids decode, from `tokenizers`

The training text is tests/golden/texts.jsonl and words of many scripts drawn from a seeded generator.
"""
import argparse
import base64
import json
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import nasty_texts  # noqa: E402


def training_lines(rng):
    with open(ROOT / "tests/golden/texts.jsonl", encoding="utf-8") as f:
        for line in f:
            yield from json.loads(line)["text"].splitlines()
    for _ in range(2000):
        low, high = rng.choice([(0x3B1, 0x3C9), (0x430, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A), (0x905, 0x939), (0xE01, 0xE2E),
                                (0x3042, 0x3093), (0x4E00, 0x4E80), (0xAC00, 0xAC40), (0x61, 0x7A)])
        yield " ".join("".join(chr(min(high, low + int(rng.expovariate(0.2)))) for _ in range(rng.randint(1, 7))) for _ in range(8))


def added(content, i, **flags):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True,
            **flags}


def xlm_roberta(proto):
    """As transformers' XLMRobertaConverter wrote it when the published files were made."""
    pieces = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    pieces += [[p.piece, p.score] for p in proto.pieces[3:]] + [["<mask>", 0.0]]
    mask = len(pieces) - 1
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    special = {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in (("<s>", 0), ("</s>", 2))}

    def token(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    def text(name):
        return {"Sequence": {"id": name, "type_id": 0}}

    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added("<s>", 0), added("<pad>", 1), added("</s>", 2), added("<unk>", 3), added("<mask>", mask, lstrip=True)],
        "normalizer": {"type": "Precompiled",
                       "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {"type": "TemplateProcessing", "single": [token("<s>"), text("A"), token("</s>")],
                           "pair": [token("<s>"), text("A"), token("</s>"), token("</s>"), text("B"), token("</s>")],
                           "special_tokens": special},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dest", type=pathlib.Path)
    parser.add_argument("--vocab-size", type=int, default=1500)
    parser.add_argument("--texts", type=int, default=1100)
    args = parser.parse_args()
    args.dest.mkdir(parents=True, exist_ok=True)
    rng = random.Random(5)
    lines = [line for line in training_lines(rng) if line.strip() and "\0" not in line]
    with open(args.dest / "sentencepiece.bpe.model", "wb") as f:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=f, vocab_size=args.vocab_size, model_type="unigram", character_coverage=0.98,
            normalization_rule_name="nmt_nfkc", num_threads=1, max_sentence_length=100000, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((args.dest / "sentencepiece.bpe.model").read_bytes())
    settings = xlm_roberta(proto)
    with open(args.dest / "tokenizer.json", "w", encoding="utf-8") as f:
        json.dump(settings, f, ensure_ascii=False, indent=0)
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    with open(args.dest / "tokens.jsonl", "w", encoding="utf-8") as f:
        for _ in range(args.texts):
            text = nasty_texts.random_text(rng, nasty_texts.UNIGRAM_PIECES)
            e = tokenizer.encode(text)
            offsets = [place for pair in e.offsets for place in pair]
            f.write(json.dumps({"text": text, "ids": e.ids, "offsets": offsets, "decoded": tokenizer.decode(e.ids)},
                               ensure_ascii=False, separators=(",", ":")) + "\n")


main()
