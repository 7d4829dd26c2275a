#!/usr/bin/env python3
"""Writes small seeded models of every architecture that llama.cpp runs as well, each with the kind of tokenizer that real
ones have, in the Hub's folder layout.

    python3 tools/make_tiny_gguf_models.py DEST [NAME ...]

Graphs and numbers are those of make_tiny_architectures.py, tokenizers those under tests/golden. What llama.cpp's converter
makes of them is tests/golden/gguf/converted.json (made by tools/make_gguf_goldens.py); tools/compare_gguf.py compares what
llama.cpp's own library computes.
"""

import json
import sys
from pathlib import Path

import make_tiny_architectures as arch
import make_tiny_models as tiny

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden"
BPE = GOLDEN / "tokenizers/bpe"

MODELS = {
    # name: (the model of make_tiny_architectures.py, its tokenizer, changes of config.json)
    "gguf-bert-reranker": ("tiny-bert-reranker", None, {}),
    "gguf-distilbert": ("tiny-distilbert", None, {}),
    "gguf-nomic": ("tiny-nomic", None, {"n_positions": 8192}),  # what the converter knows
    "gguf-jina": ("tiny-jina", None, {}),
    "gguf-xlmr": ("tiny-m3", GOLDEN / "unigram/tokenizer.json", {}),
    "gguf-xlmr-reranker": ("tiny-xlmr-reranker", GOLDEN / "unigram/tokenizer.json", {}),
    "gguf-roberta": ("tiny-m3", BPE / "roberta.json", {"model_type": "roberta", "architectures": ["RobertaModel"]}),
    "gguf-roberta-classifier": ("tiny-roberta-classifier", BPE / "roberta.json", {}),
    "gguf-modernbert": ("tiny-modernbert", BPE / "modernbert.json", {"pad_token_id": 29}),
    "gguf-modernbert-classifier": ("tiny-modernbert-classifier", BPE / "modernbert.json", {"pad_token_id": 29}),
    "gguf-qwen3": ("tiny-qwen3", BPE / "qwen2.json", {}),
    "gguf-qwen3-reranker": ("tiny-qwen3-reranker", "chat", {}),
    "gguf-qwen3-reranker-untied": ("tiny-qwen3-reranker", "chat", {"tie_word_embeddings": False}),
}

SPECIALS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def tokenizer_config(tokenizer, specials):
    """The file that llama.cpp's converter takes special tokens from."""
    kind = "BertTokenizer" if tokenizer["model"].get("type") == "WordPiece" else "PreTrainedTokenizerFast"
    config = {"tokenizer_class": kind, "clean_up_tokenization_spaces": False}
    texts = {a["content"] for a in tokenizer["added_tokens"]}
    for kind, text in zip(SPECIALS, specials):
        if text in texts:
            config[kind + "_token"] = text
    return config


def specials_of(tokenizer):
    """In the order of SPECIALS."""
    texts = {a["content"] for a in tokenizer["added_tokens"]}
    if "[CLS]" in texts:
        return None, None, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"
    if "</s>" in texts:
        return "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"
    return None, "<|endoftext|>", None, None, "<|endoftext|>", None, None


def write_model(dest, name):
    base, source, changes = MODELS[name]
    _, graph, config, behind = arch.MODELS[base]
    behind = {k: v for k, v in behind.items() if k != "m3"}
    folder = Path(dest) / name
    config = dict(config, **changes)
    if source is None:
        vocab, tokenizer = arch.vocabulary(config), None
    elif source == "chat":
        vocab, tokenizer = arch.chat_tokenizer()
    else:
        tokenizer = json.loads(source.read_text(encoding="utf-8"))
        model = tokenizer["model"]["vocab"]
        vocab = range(len(model) + (0 if isinstance(model, list) else sum(
            a["content"] not in model for a in tokenizer["added_tokens"])))
    arch.write_folder(folder, name, graph, config, behind, vocab, tokenizer)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tiny.write_json(folder / "tokenizer_config.json", tokenizer_config(tokenizer, specials_of(tokenizer)))
    return folder


def main(argv):
    if len(argv) < 2 or argv[1].startswith("-"):
        sys.exit(f"usage: {argv[0]} DEST [NAME ...]\nmodels: {' '.join(MODELS)}")
    for name in argv[2:] or list(MODELS):
        if name not in MODELS:
            sys.exit(f"make_tiny_gguf_models: error: no model named {name}; there are: {' '.join(MODELS)}")
        write_model(argv[1], name)


if __name__ == "__main__":
    main(sys.argv)
