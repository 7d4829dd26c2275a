#!/usr/bin/env python3
"""Compares Heddle's tokenizer with the Hugging Face `tokenizers` library on hostile Unicode text.

    pip install tokenizers==0.23.3
    tools/compare_tokenizer.py DRIVER MODEL_DIR [--n 100000] [--seed 1] [--variants] [--code-points]

DRIVER is the program of bench/tokenizer/tokenize_lines.c. Ids by both of its ways, character offsets and byte
offsets must be equal for each text. --code-points goes through every code point, alone and among letters and
marks. --variants goes through other settings (normalisers, pre-tokenizers, added tokens, post-processors, length
limits) made from MODEL_DIR's tokenizer.json, with a fifth of the texts each. Exits 1 at the first differences.
MODEL_DIR may also be what tools/make_unigram_tokenizers.py makes: the variants are then those of SentencePiece models.
"""
import argparse
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

from nasty_texts import PIECES, SURROGATES, BPE_PIECES, UNIGRAM_PIECES, random_text


def code_point_texts():
    everyone = [chr(c) for c in range(0x110000) if c not in SURROGATES]
    for ch in everyone:
        yield ch
        yield f"a{ch}b {ch}\u0323\u0301 E\u0301{ch}\u302e {ch}{ch}"


def run_driver(driver, folder, texts, extra):
    data = b"".join(b"%d\n%s" % (len(b), b) for b in (t.encode() for t in texts))
    out = subprocess.run([driver, folder, *extra], input=data, stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in out.splitlines():
        ids, tokens = line.split("|")
        yield [int(i) for i in ids.split()], [tuple(map(int, t.split(":"))) for t in tokens.split()]


def expected(text, encoding):
    ends = [0]
    for ch in text:
        ends.append(ends[-1] + len(ch.encode()))
    return encoding.ids, [(i, b, e, ends[b], ends[e]) for i, (b, e) in zip(encoding.ids, encoding.offsets)]


def compare(driver, settings, name, texts, extra=(), max_length=0):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "tokenizer.json"), "w") as f:
            json.dump(settings, f)
        reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        reference.no_padding()
        reference.no_truncation()
        if max_length:
            reference.enable_truncation(max_length)
            extra = [*extra, "--max-length", str(max_length)]
        n, n_bad = 0, 0
        for start in range(0, len(texts), 20000):
            part = texts[start:start + 20000]
            for text, got, want in zip(part, run_driver(driver, folder, part, extra), reference.encode_batch(part), strict=True):
                ids, tokens = expected(text, want)
                n += 1
                if got != (ids, tokens):
                    n_bad += 1
                    if n_bad <= 3:
                        print(f"{name}: {text!r}\n  want {tokens}\n  got  {got[1]}\n  ids  {got[0]}")
    print(f"{name}: {n} texts, {n_bad} different", flush=True)
    return n_bad


def compare_lowered(driver, settings, texts):
    """do_lower_case of sentence-transformers: Python lower-cases each text first."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "tokenizer.json"), "w") as f:
            json.dump(settings, f)
        reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        n_bad = 0
        got = run_driver(driver, folder, texts, ["--lower-case"])
        for text, (ids, tokens), want in zip(texts, got, reference.encode_batch([t.lower() for t in texts]), strict=True):
            if ids != want.ids or [t[0] for t in tokens] != want.ids:
                n_bad += 1
                if n_bad <= 3:
                    print(f"lower case: {text!r}\n  want {want.ids}\n  got  {ids}")
    print(f"lower case: {len(texts)} texts, {n_bad} different", flush=True)
    return n_bad


def variants(base):
    def made(**changes):
        settings = copy.deepcopy(base)
        settings.update(changes)
        return settings

    def bert(**options):
        return {**base["normalizer"], **options}

    def added(content, **flags):
        token = dict(id=0, content=content, single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)
        return {**token, **flags}

    def sequence(*types):
        return {"type": "Sequence", "normalizers": [t if isinstance(t, dict) else {"type": t} for t in types]}

    yield "cased", made(normalizer=bert(lowercase=False))
    yield "accents kept", made(normalizer=bert(strip_accents=False))
    yield "accents stripped, cased", made(normalizer=bert(strip_accents=True, lowercase=False))
    yield "not cleaned", made(normalizer=bert(clean_text=False))
    yield "no Chinese", made(normalizer=bert(handle_chinese_chars=False))
    yield "no normalizer", made(normalizer=None)
    for kind in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]:
        yield kind, made(normalizer={"type": kind})
    yield "NFKC sequence", made(normalizer=sequence("NFD", "StripAccents", "NFKC", "Lowercase", base["normalizer"]))
    yield "NFC after NFKD", made(normalizer=sequence("NFKD", "Lowercase", "NFC"))
    yield "strip, replace, prepend", made(normalizer=sequence(
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Replace", "pattern": {"String": "a"}, "content": "é漢"},
        {"type": "Replace", "pattern": {"String": "is"}, "content": ""}, {"type": "Prepend", "prepend": "xy"}, base["normalizer"]))
    for kind in ["Whitespace", "WhitespaceSplit"]:
        yield kind, made(pre_tokenizer={"type": kind})
    for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        yield f"punctuation {behavior}", made(pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": behavior}]})
    yield "no pre_tokenizer", made(pre_tokenizer=None)
    yield "BertProcessing", made(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]})
    yield "no post_processor", made(post_processor=None)
    yield "raw added", made(added_tokens=base["added_tokens"] + [
        added("<mask>", lstrip=True, normalized=False), added("covid", single_word=True, normalized=False),
        added("Σ", normalized=False), added("cov", normalized=False, rstrip=True), added("é", single_word=True, normalized=False)])
    yield "normalised added", made(added_tokens=base["added_tokens"] + [
        added("<MASK>", lstrip=True, rstrip=True), added("Covid", single_word=True), added("[DAY]"), added("na", rstrip=True),
        added("e f"), added("漢字")])
    yield "RobertaProcessing", made(
        post_processor={"type": "RobertaProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101], "trim_offsets": True,
                        "add_prefix_space": False},
        added_tokens=base["added_tokens"] + [added("<mask>", lstrip=True, rstrip=True, normalized=False)])
    model = copy.deepcopy(base["model"])
    model["max_input_chars_per_word"] = 5
    yield "short words", made(model=model)
    model = copy.deepcopy(base["model"])
    model["max_input_chars_per_word"] = 1000000
    yield "long words", made(model=model)


def unigram_variants(base):
    """Settings that models made from SentencePiece have, and some that they might."""
    def made(**changes):
        return {**copy.deepcopy(base), **changes}

    def sequence(*steps):
        return {"type": "Sequence", "normalizers": list(steps)}

    def metaspace(scheme, split=True, replacement="▁"):
        return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}

    def model(**changes):
        return {**copy.deepcopy(base["model"]), **changes}

    precompiled = base["normalizer"]
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    squeeze = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    bytes_model = model(byte_fallback=True, vocab=base["model"]["vocab"] + [[f"<0x{b:02X}>", -20.0] for b in range(256)])
    few_bytes = model(byte_fallback=True, vocab=base["model"]["vocab"] + [[f"<0x{b:02X}>", -20.0] for b in range(0xE0)])
    yield "bge-m3", made(normalizer=sequence(precompiled, strip, squeeze), pre_tokenizer=metaspace("always"))
    yield "not split", made(normalizer=sequence(precompiled, strip, squeeze), pre_tokenizer=metaspace("always", split=False))
    yield "first", made(normalizer=sequence(precompiled, {**squeeze, "content": " "}), pre_tokenizer=metaspace("first"))
    yield "first, in words", made(pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("first")]})
    yield "never", made(pre_tokenizer=metaspace("never"))
    yield "another mark", made(pre_tokenizer=metaspace("always", replacement="_"))
    yield "no pre_tokenizer", made(pre_tokenizer=None)
    yield "no normalizer", made(normalizer=None)
    yield "Nmt, NFKC", made(normalizer=sequence({"type": "Nmt"}, {"type": "NFKC"}, {**squeeze, "content": " "}), pre_tokenizer=metaspace("always"))
    yield "lower case first", made(normalizer=sequence({"type": "Lowercase"}, precompiled, {"type": "NFD"}))
    yield "bytes", made(model=bytes_model)
    yield "not all bytes", made(model=few_bytes)
    yield "bytes, not split", made(model=bytes_model, pre_tokenizer=metaspace("first", split=False))
    yield "integer scores", made(model=model(vocab=[[t, round(s)] for t, s in base["model"]["vocab"]]))
    yield "equal pieces", made(model=model(vocab=base["model"]["vocab"] + [[t, s - 0.5] for t, s in base["model"]["vocab"][300:500]]))
    yield "normalised added", made(added_tokens=base["added_tokens"] + [
        {**base["added_tokens"][0], "id": 9000 + i, "content": c, "special": False, "normalized": True, **flags}
        for i, (c, flags) in enumerate([("½", {}), ("Hello", {"single_word": True}), ("か\u3099", {"rstrip": True}), ("ab", {"lstrip": True})])])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("model_dir")
    parser.add_argument("--n", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--code-points", action="store_true")
    args = parser.parse_args()

    with open(os.path.join(args.model_dir, "tokenizer.json")) as f:
        base = json.load(f)
    base["truncation"] = base["padding"] = None
    rng = random.Random(args.seed)
    kind = base["model"].get("type", "BPE")
    is_unigram = kind == "Unigram"
    texts = [random_text(rng, {"Unigram": UNIGRAM_PIECES, "BPE": BPE_PIECES}.get(kind, PIECES)) for _ in range(args.n)]
    n_bad = compare(args.driver, base, "as it is", texts)
    if args.code_points:
        every = list(code_point_texts())
        n_bad += compare(args.driver, base, "every code point", every)
        if args.variants and kind == "WordPiece":
            for name, settings in variants(base):
                if name in ("cased", "accents kept", "no normalizer", "NFC", "NFKC", "NFKD", "Lowercase", "StripAccents", "Whitespace"):
                    n_bad += compare(args.driver, settings, f"every code point, {name}", every)
    if args.variants:
        fifth = texts[:max(1, len(texts) // 5)]
        for max_length in (2, 3, 7, 16, 64):
            n_bad += compare(args.driver, base, f"max_length {max_length}", fifth, max_length=max_length)
        for name, settings in unigram_variants(base) if is_unigram else ():
            n_bad += compare(args.driver, settings, name, fifth)
            n_bad += compare(args.driver, settings, f"{name}, max_length 9", fifth[:len(fifth) // 4], max_length=9)
    if args.variants and kind == "WordPiece":
        cased = dict(base, normalizer={**base["normalizer"], "lowercase": False})
        n_bad += compare_lowered(args.driver, cased, [t for t in fifth if all(unicodedata.category(c) != "Cn" for c in t)])
        for name, settings in variants(base):
            n_bad += compare(args.driver, settings, name, fifth)
            n_bad += compare(args.driver, settings, f"{name}, max_length 9", fifth[:len(fifth) // 4], max_length=9)
    sys.exit(1 if n_bad else 0)


main()
