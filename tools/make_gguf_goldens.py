#!/usr/bin/env python3
"""Makes tests/golden/gguf: GGUF files of a small model by llama.cpp's own converter, what it writes for a model of each
architecture, what its blocks of quantised values mean, and a tokenizer of SentencePiece's BPE with llama.cpp's ids.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt gguf==0.19.0 \
        sentencepiece==0.2.3 llama-cpp-python==0.3.36
    /tmp/goldens/bin/python tools/make_gguf_goldens.py LLAMA_CPP

LLAMA_CPP is a checkout of llama.cpp with convert_hf_to_gguf.py in it. tests/golden/gguf/README.md describes the files.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/gguf"
MODEL = "tiny-cls"
TEXTS = range(0, 301, 8)  # lines of texts.jsonl

# The converter knows tokenizers by what they make of one text, and refuses those it has not met.
CONVERT = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0])
from conversion.base import TextModel
pre = sys.argv.pop(1)
TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
runpy.run_path(sys.argv[0] + "/convert_hf_to_gguf.py", run_name="__main__")
"""

# (type, values in a block, offsets of its f16 numbers)
BLOCKS = [("Q4_0", 32, [0]), ("Q4_1", 32, [0, 2]), ("Q5_0", 32, [0]), ("Q5_1", 32, [0, 2]), ("Q8_0", 32, [0]),
          ("Q4_K", 256, [0, 2]), ("Q5_K", 256, [0, 2]), ("Q6_K", 256, [208])]
N_BLOCKS = 3


def convert(llama, folder, kind, out, pre="default"):
    env = dict(os.environ, PYTHONPATH=str(Path(llama) / "gguf-py"))
    subprocess.run([sys.executable, "-c", CONVERT, llama, pre, str(folder), "--outtype", kind, "--outfile", str(out)],
                   env=env, check=True, capture_output=True)


def digest(raw):
    return hashlib.sha256(raw).hexdigest()[:16]


def describe(path):
    """Keys (type, 9 for arrays before that of their values, and a digest of the values) and tensors (type, shape, digest)."""
    reader = gguf.GGUFReader(path)
    keys, tensors = {}, {}
    for name, field in reader.fields.items():
        if name.startswith(("GGUF.", "general.")):
            continue
        first = 5 if field.types[0] == gguf.GGUFValueType.ARRAY else 3
        keys[name] = [[int(t) for t in field.types[:2 if first == 5 else 1]],
                      digest(b"".join(part.tobytes() for part in field.parts[first:]))]
    for t in reader.tensors:
        tensors[t.name] = [int(t.tensor_type), [int(n) for n in reversed(t.shape)], digest(t.data.tobytes())]
    return keys, tensors


def write_converted(llama, temp):
    """One line a model: what the converter writes as F16."""
    import make_tiny_gguf_models as models
    lines = []
    for name, (_, tokenizer, _) in models.MODELS.items():
        stem = "qwen2" if tokenizer == "chat" else tokenizer.stem if tokenizer else ""
        pre = {"roberta": "roberta-bpe", "modernbert": "modern-bert", "qwen2": "qwen2"}.get(stem, "default")
        path = Path(temp) / f"{name}.gguf"
        # by its name the converter knows a folder with a Qwen3-Reranker
        folder = models.write_model(Path(temp) / "gguf", name)
        convert(llama, folder, "f16", path, pre)
        keys, tensors = describe(path)
        lines.append(json.dumps({"model": name, "keys": keys, "tensors": tensors}))
    (OUT / "converted.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_blocks(path):
    """For each type: the bytes of three blocks, then what they mean as f32."""
    rng = np.random.default_rng(5)
    with open(path, "wb") as f:
        for name, block, halves in BLOCKS:
            kind = gguf.GGMLQuantizationType[name]
            size = gguf.GGML_QUANT_SIZES[kind][1]
            raw = rng.integers(0, 256, (N_BLOCKS, size), dtype=np.uint8)
            for at in halves:
                raw[:, at:at + 2] = rng.normal(0, 0.05, (N_BLOCKS, 1)).astype(np.float16).view(np.uint8)
            values = gguf.quants.dequantize(raw, kind).astype("<f4")
            assert values.size == N_BLOCKS * block
            f.write(raw.tobytes() + values.tobytes())


def train_sentencepiece():
    """Pieces of a small BPE model with bytes for unknown characters: text, score, type."""
    import sentencepiece
    lines = [json.loads(line)["text"] for line in (ROOT / "tests/golden/texts.jsonl").read_text().splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.replace("\n", " ") for line in lines if line.isascii() and "\0" not in line]),
        model_writer=model, model_type="bpe", vocab_size=900, byte_fallback=True, character_coverage=0.98,
        normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=["<tool>"],
        hard_vocab_limit=False, num_threads=1, minloglevel=2)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    kinds = gguf.TokenType
    for i in range(sp.vocab_size()):
        piece = sp.id_to_piece(i)
        kind = (kinds.UNKNOWN if sp.is_unknown(i) else kinds.CONTROL if sp.is_control(i) else kinds.BYTE if sp.is_byte(i)
                else kinds.USER_DEFINED if piece == "<tool>" else kinds.NORMAL)
        yield piece.encode(), sp.get_score(i), kind


def write_sentencepiece(path):
    """A file with a tokenizer and nothing else, and llama.cpp's ids of every third of the nasty texts."""
    import llama_cpp
    tokens, scores, kinds = zip(*train_sentencepiece())
    w = gguf.GGUFWriter(path, "qwen3")
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(list(tokens))
    w.add_token_scores(list(scores))
    w.add_token_types(list(kinds))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    vocab = llama_cpp.llama_model_get_vocab(llama_cpp.llama_load_model_from_file(str(path).encode(), params))
    room = (llama_cpp.llama_token * 8192)()
    lines = []
    for line in (ROOT / "tests/golden/tokenizers/bpe/texts.jsonl").read_text(encoding="utf-8").splitlines()[::3]:
        text = json.loads(line)
        data = text.encode()
        n = llama_cpp.llama_tokenize(vocab, data, len(data), room, len(room), True, True)
        lines.append(json.dumps({"text": text, "ids": room[:n]}))
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def reference(folder, path, out):
    """The vectors of the Hub's folder with the weights that the GGUF file holds."""
    from sentence_transformers import SentenceTransformer
    arch = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 8)
    held = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        other = arch.get_name(name, try_suffixes=(".weight", ".bias"))
        if other in held:
            assert weights[name].shape == held[other].shape, name
            weights[name] = np.ascontiguousarray(held[other], dtype=np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    lines = (ROOT / "tests/golden/texts.jsonl").read_text().splitlines()
    model = SentenceTransformer(str(folder), device="cpu")
    rows = [model.encode(json.loads(lines[i])["text"], show_progress_bar=False) for i in TEXTS]
    np.array(rows).astype("<f4").tofile(out)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    llama = sys.argv[1]
    OUT.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT / "tools"))
    write_blocks(OUT / "blocks.bin")
    write_sentencepiece(OUT / "sentencepiece.gguf")
    with tempfile.TemporaryDirectory() as temp:
        subprocess.run([sys.executable, str(ROOT / "tools/make_tiny_models.py"), temp, MODEL], check=True,
                       stdout=subprocess.DEVNULL)
        write_converted(llama, temp)
        folder = Path(temp) / MODEL
        for kind in ("f16", "q8_0"):
            convert(llama, folder, kind, OUT / f"{MODEL}-{kind}.gguf")
        for kind in ("f16", "q8_0"):
            reference(folder, OUT / f"{MODEL}-{kind}.gguf", OUT / f"{MODEL}-{kind}.f32")


if __name__ == "__main__":
    main()
