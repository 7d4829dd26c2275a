#!/usr/bin/env python3
"""Makes the goldens under tests/golden: what the reference libraries answer for tests/golden/texts.jsonl.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_goldens.py [--minilm DIR]

Token ids come from `tokenizers`, vectors from `sentence-transformers` in float32 on the CPU, one text at a
time, so that no padding takes part. Every token id is also compared with what sentence-transformers feeds its
model; a difference stops the script. tests/golden/README.md describes the files.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_PROGRESS_BARS="1",
                  TRANSFORMERS_VERBOSITY="error")

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden"
sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_models as tiny

N_UNTRUNCATED = 12      # the longest texts, tokenized without a limit
TINY_STEP = 8           # every 8th text goes through the tiny models …
TINY_ALSO = ("", "\u0301", "[CLS] hello [SEP] world [PAD] [MASK] [UNK]")    # … and these, and the longest three

# Ways to call a tiny model that differ from the plain one: option names as in `heddle embed`.
VARIANTS = {
    "tiny-cls": [{"normalize": False}, {"max_length": 16}],
    "tiny-mean-f16": [{"dimensions": 16}],
    "tiny-prompts": [{"prompt_name": "passage"}, {"prompt_name": "empty"}, {"prompt": "custom prompt: "}],
    "tiny-prompt-excluded": [{"prompt_name": "query"}, {"prompt_name": "query", "max_length": 24}],
    "tiny-pool-all": [{"prompt_name": "query"}, {"prompt_name": "query", "max_length": 8}],  # 8: the prompt and [SEP]
    "tiny-cls-excluded": [{"prompt_name": "query"}],
    "tiny-mrl": [{"dimensions": 8}, {"dimensions": 33}, {"normalize": False},
                 {"dimensions": 24, "normalize": False}],
}

# Models whose tokenizers differ from MiniLM's: their ids on every text are goldens too.
TOKENIZERS = ("tiny-relu", "tiny-gelu-new", "tiny-head32", "tiny-last")


def versions():
    names = ("sentence-transformers", "transformers", "tokenizers", "torch", "numpy")
    return {"python": sys.version.split()[0], **{n: version(n) for n in names}}


def read_texts():
    with open(GOLDEN / "texts.jsonl", encoding="utf-8", newline="\n") as f:
        return [json.loads(line)["text"] for line in f]


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_floats(path, vectors):
    assert vectors.dtype == np.float32 and np.isfinite(vectors).all()
    path.write_bytes(vectors.astype("<f4").tobytes())


def load(folder):
    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})


def reference_tokenizer(folder, model):
    """The tokenizer that sentence-transformers really uses, cut at the model's own maximal length, unpadded."""
    file = folder / "tokenizer.json"
    lowered = json.loads((folder / "sentence_bert_config.json").read_text()).get("do_lower_case")
    if file.exists() and not lowered:
        tokenizer = Tokenizer.from_file(str(file))
    else:       # vocab.txt alone, or lower-casing put in front: only the loaded model knows
        tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_seq_length)
    return tokenizer


def encode_texts(folder, model, texts):
    tokenizer = reference_tokenizer(folder, model)
    encodings = [tokenizer.encode(t) for t in texts]
    for text, encoding in zip(texts, encodings):
        fed = model.preprocess([text])["input_ids"][0].tolist()
        if fed != encoding.ids:
            sys.exit(f"make_goldens: error: {folder.name}: ids of {text!r}: "
                     f"sentence-transformers has {fed}, tokenizers {encoding.ids}")
    return encodings


def vectors_of(model, texts, options):
    """One text at a time. `normalize: false` leaves the model's own Normalize module out; `dimensions` cuts the
    model's output and, unless normalising is off or the model never does it, brings it back to length 1."""
    modules = list(model)
    normalizes = type(modules[-1]).__name__ == "Normalize"
    prompt_of_model = (model.prompts, model.default_prompt_name)
    if options.get("normalize") is False and normalizes:
        model, normalizes = SentenceTransformer(modules=modules[:-1], device="cpu"), False
        model.prompts, model.default_prompt_name = prompt_of_model
    length = model.max_seq_length
    if "max_length" in options:
        model.max_seq_length = options["max_length"]
    arguments = {k: options[k] for k in ("prompt", "prompt_name") if k in options}
    if "dimensions" in options:
        arguments.update(truncate_dim=options["dimensions"], normalize_embeddings=normalizes)
    try:
        rows = [model.encode(t, batch_size=1, show_progress_bar=False, **arguments) for t in texts]
    finally:
        model.max_seq_length = length
    return np.stack(rows)


def make_minilm(folder, texts):
    model = load(folder)
    encodings = encode_texts(folder, model, texts)
    write_lines(GOLDEN / "minilm-tokens.jsonl",
                ({"ids": e.ids, "tokens": e.tokens, "offsets": e.offsets} for e in encodings))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    full = [tokenizer.encode(t).ids for t in texts]
    longest = sorted(sorted(range(len(texts)), key=lambda i: -len(full[i]))[:N_UNTRUNCATED])
    write_lines(GOLDEN / "minilm-untruncated.jsonl", ({"line": i, "ids": full[i]} for i in longest))
    vectors = vectors_of(model, texts, {})
    write_floats(GOLDEN / "minilm-vectors.f32", vectors)
    exact = vectors_of(model.double(), texts, {})
    write_json(GOLDEN / "manifest.json", {
        "model": "sentence-transformers/all-MiniLM-L6-v2", "texts": "texts.jsonl", "rows": len(texts),
        "dimensions": vectors.shape[1], "pooling": "mean", "normalize": True, "max_length": model.max_seq_length,
        "tokens": "minilm-tokens.jsonl", "untruncated": "minilm-untruncated.jsonl",
        "vectors": "minilm-vectors.f32",
        "largest_difference_to_float64": float(np.abs(vectors - exact).max()), "made_with": versions()})


def weights_sha256(folder):
    """Of all weight files in the order of their paths: tells a wrong vector from a wrongly made model."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def variant_file(name, options):
    parts = [f"{k.replace('_', '-')}-{str(v).lower()}" for k, v in options.items() if k != "prompt"]
    return "-".join([name] + parts + (["prompt"] if "prompt" in options else [])) + ".f32"


def make_tiny(texts):
    out = GOLDEN / "tiny"
    out.mkdir(exist_ok=True)
    for old in [*out.glob("*.f32"), *out.glob("*.jsonl")]:
        old.unlink()
    longest = sorted(range(len(texts)), key=lambda i: -len(texts[i]))[:3]
    lines = sorted({*range(0, len(texts), TINY_STEP), *(texts.index(t) for t in TINY_ALSO), *longest})
    chosen = [texts[i] for i in lines]
    entries, sums = [], {}
    with tempfile.TemporaryDirectory() as models:
        for name in tiny.MODELS:
            folder, settings = tiny.write_model(models, name), tiny.settings_of(name)
            model, sums[name] = load(folder), weights_sha256(folder)
            if name in TOKENIZERS:
                write_lines(out / f"{name}-tokens.jsonl",
                            ({"ids": e.ids} for e in encode_texts(folder, model, texts)))
            for options in [{}] + VARIANTS.get(name, []):
                vectors = vectors_of(model, chosen, options)
                write_floats(out / variant_file(name, options), vectors)
                entries.append({
                    "model": name, "why": tiny.MODELS[name][0], "file": variant_file(name, options),
                    "dimensions": vectors.shape[1], "pooling": list(settings["pooling"]),
                    "normalize": settings["normalize"], "max_length": settings["max_length"],
                    "options": options})
    write_json(out / "manifest.json", {
        "texts": "../texts.jsonl", "lines": lines, "tokens": [f"{n}-tokens.jsonl" for n in TOKENIZERS],
        "made_with": versions(), "weights_sha256": sums, "vectors": entries})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm", type=Path, help="all-MiniLM-L6-v2 in the Hub's layout (default: fetched)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.minilm or Path(subprocess.run(
        [ROOT / "tools/fetch_model.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    texts = read_texts()
    make_minilm(folder, texts)
    make_tiny(texts)


if __name__ == "__main__":
    main()
