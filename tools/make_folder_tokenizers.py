#!/usr/bin/env python3
"""Makes tests/golden/tokenizers/folders: tokenizers in folders without tokenizer.json, and what `transformers` makes of them.

    python3 -m venv V && V/bin/pip install -r tools/requirements-goldens.txt sentencepiece==0.2.3 protobuf==7.36.2
    V/bin/python tools/make_folder_tokenizers.py

Byte-pair vocabularies are those of ../bpe, SentencePiece's is that of tests/golden/unigram, which a test copies to MODEL's place.
tests/golden/tokenizers/README.md describes the files.
"""
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden"
FOLDERS = GOLDEN / "tokenizers/folders"
N_TEXTS, N_PAIRS = 400, 60


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True, **flags}


# name: class, where its vocabulary is from, the folder's small files
FOLDER_KINDS = {
    "roberta": ("RobertaTokenizer", "roberta", {
        "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512},
        "special_tokens_map.json": {"bos_token": "<s>", "mask_token": token("<mask>", lstrip=True)},
        "added_tokens.json": {"naïve": 1101, "|||IP_ADDRESS|||": 1100}}),
    "gpt2": ("GPT2Tokenizer", "gpt2", {"config.json": {"model_type": "gpt2"},
                                       "tokenizer_config.json": {"add_prefix_space": True}}),
    "gpt2-begin": ("GPT2Tokenizer", "gpt2", {"tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast", "add_bos_token": True,
                                                                       "add_eos_token": True}}),
    "qwen2": ("Qwen2Tokenizer", "qwen2", {"tokenizer_config.json": {
        "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "added_tokens_decoder": {"1103": token("Hello", normalized=True, special=False, single_word=True), "1100": token("<|endoftext|>"),
                                 "1101": token("<|im_start|>"), "1102": token("<|im_end|>")}}}),
    "xlm-roberta": ("XLMRobertaTokenizer", "sentencepiece.bpe.model", {
        "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer", "mask_token": token("<mask>", lstrip=True, __type="AddedToken")},
        "special_tokens_map.json": {"additional_special_tokens": ["[MASK]"]}}),
    "camembert": ("CamembertTokenizer", "sentencepiece.bpe.model", {"config.json": {"model_type": "camembert"}}),
    "t5": ("T5Tokenizer", "spiece.model", {"tokenizer_config.json": {"tokenizer_class": "T5TokenizerFast", "extra_ids": 20}}),
    "albert": ("AlbertTokenizer", "spiece.model", {"tokenizer_config.json": {"tokenizer_class": "AlbertTokenizer", "cls_token": "<s>",
                                                                                  "sep_token": "</s>"}}),
    "albert-cased": ("AlbertTokenizer", "spiece.model", {"tokenizer_config.json": {
        "tokenizer_class": "AlbertTokenizer", "cls_token": "<s>", "sep_token": "</s>", "do_lower_case": False, "keep_accents": True, "add_prefix_space": False}}),
}


def write_bpe(folder, kind):
    settings = json.loads((GOLDEN / f"tokenizers/bpe/{kind}.json").read_text())
    vocab, merges = settings["model"]["vocab"], settings["model"]["merges"]
    if kind == "qwen2":  # its special tokens come after the vocabulary
        for added in settings["added_tokens"]:
            del vocab[added["content"]]
        vocab = {text: i for i, (text, _) in enumerate(sorted(vocab.items(), key=lambda item: item[1]))}
        fill = ["\u0120" * (30 + i) for i in range(1100 - len(vocab))]  # up to a round number
        vocab.update({text: len(vocab) + i for i, text in enumerate(fill)})
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=True, separators=(",", ":")) + "\n")
    lines = [m if isinstance(m, str) else " ".join(m) for m in merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")


def texts_for(is_bpe):
    if is_bpe:
        return [json.loads(line) for line in (GOLDEN / "tokenizers/bpe/texts.jsonl").read_text().splitlines()]
    with open(GOLDEN / "unigram/tokens.jsonl", encoding="utf-8") as f:
        return [json.loads(line)["text"] for line in f]


def main():
    shutil.rmtree(FOLDERS, ignore_errors=True)
    for name, (cls, vocabulary, files) in FOLDER_KINDS.items():
        is_bpe = not vocabulary.endswith(".model")
        folder = FOLDERS / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        if is_bpe:
            write_bpe(folder, vocabulary)
        with tempfile.TemporaryDirectory() as whole:
            shutil.copytree(folder, whole, dirs_exist_ok=True)
            if not is_bpe:
                shutil.copyfile(GOLDEN / "unigram/sentencepiece.bpe.model", Path(whole, vocabulary))
            tokenizer = getattr(transformers, cls).from_pretrained(whole)
        texts = texts_for(is_bpe)
        rng = random.Random(7)
        with open(FOLDERS / f"{name}.jsonl", "w", encoding="utf-8") as f:
            rows = [(i, None) for i in range(N_TEXTS)] + [(rng.randrange(len(texts)), rng.randrange(len(texts))) for _ in range(N_PAIRS)]
            for i, k in rows:
                ids = tokenizer(texts[i], None if k is None else texts[k])["input_ids"]
                f.write(json.dumps([i, k, ids], separators=(",", ":")) + "\n")
        print(name, len(tokenizer), file=sys.stderr)


main()
