#!/usr/bin/env python3
"""Compares what Heddle writes as GGUF with llama.cpp, by llama.cpp's own library.

    pip install llama-cpp-python==0.3.36
    tools/compare_gguf.py HEDDLE [NAME ...]

Every model of make_tiny_gguf_models.py becomes a GGUF file (`heddle convert`), and that a folder again. llama.cpp reads the
file; its vectors and scores of some texts and Heddle's, out of the file and out of both folders, must be the same, and the
tokens too. llama.cpp is given the tokens that Heddle finds in the folder. Exits 1 at a difference.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import llama_cpp
import make_tiny_gguf_models as models

TEXTS = ["the wind blew over the hills", "A river of cold water.", "who wrote the letter?", "seven boxes of apples, 37 pears",
         "na\u00efve r\u00e9sum\u00e9 \u2014 caf\u00e9", "\u6cb3 \u0440\u0435\u043a\u0430", "a",
         "the story of the house by the river is long, and nobody tells it twice in the same way"]
BEFORE = ('<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. '
          'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n')
AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
SILU_BOUND = 1e-4  # of logits; found: 1e-5, and each of the two within 1.2e-5 of the same sums in double
GELU_BOUND = 2e-3  # llama.cpp's GELU is a table in f16; found: 5e-4
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def heddle(program, *args, text=None):
    return subprocess.run([program, *map(str, args)], input=text, capture_output=True, check=True).stdout.decode()


def tokens(program, model, text):
    lines = heddle(program, "tokenize", "-m", model, text).splitlines()
    return json.loads(lines[0])["ids"]


def vectors(program, model):
    lines = heddle(program, "embed", "-m", model, "--dtype", "f32", *TEXTS).splitlines()
    return [json.loads(line)["embedding"] for line in lines]


def logits(program, model):
    pairs = "".join(json.dumps({"query": TEXTS[0], "document": text}) + "\n" for text in TEXTS)
    lines = heddle(program, "rerank", "-m", model, "--dtype", "f32", "--input", "-", text=pairs.encode()).splitlines()
    return [json.loads(line)["logit"] for line in lines]


class Llama:
    """A file in llama.cpp, one text at a time."""

    def __init__(self, path, pooling):
        params = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_load_model_from_file(str(path).encode(), params)
        assert self.model, f"{path}: llama.cpp does not load it"
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = 1024
        options.embeddings = True
        options.pooling_type = pooling
        options.n_threads = options.n_threads_batch = 1
        options.flash_attn_type = 0
        options.type_k = options.type_v = 0  # f32
        self.context = llama_cpp.llama_new_context_with_model(self.model, options)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def tokens(self, text):
        data, room = text.encode(), (llama_cpp.llama_token * 4096)()
        n = llama_cpp.llama_tokenize(self.vocab, data, len(data), room, len(room), True, True)
        return list(room[:n])

    def run(self, ids, width):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
        assert llama_cpp.llama_decode(self.context, batch) == 0
        out = llama_cpp.llama_get_embeddings_seq(self.context, 0)[:width]
        llama_cpp.llama_batch_free(batch)
        return out

    def close(self):
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_free_model(self.model)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def check(name, what, value, bound):
    print(f"{name:28} {what:32} {value:.7f}")
    return value >= bound if bound > 0.5 else value <= bound


def compare(program, name, folder, work):
    file, again = work / f"{name}.gguf", work / f"{name}-folder"
    config = json.loads((folder / "config.json").read_text())
    heddle(program, "convert", "-m", folder, "--type", "f32", "-o", file)
    llama = Llama(file, llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED)
    texts = [t for t in TEXTS if llama.tokens(t) != tokens(program, folder, t)]
    print(f"{name:28} llama.cpp has other tokens for {len(texts)} of {len(TEXTS)} texts {texts}")
    good = all(tokens(program, file, t) == tokens(program, folder, t) for t in TEXTS)
    folders = [] if name.endswith("untied") else [again]
    if folders:
        heddle(program, "convert", "-m", file, "-o", again)
        good &= all(tokens(program, again, t) == tokens(program, folder, t) for t in TEXTS)
    if "rerank" in name or "classifier" in name:
        good &= compare_scores(program, name, config, llama, folder, [file, *folders])
    else:
        wanted = vectors(program, folder)
        theirs = [llama.run(tokens(program, folder, t), len(w)) for t, w in zip(TEXTS, wanted)]
        good &= check(name, "llama.cpp: least cosine", min(map(cosine, theirs, wanted)), 0.9999)
        for model in (file, *folders):
            good &= check(name, f"{model.name}: least cosine", min(map(cosine, vectors(program, model), wanted)), 0.999999)
    llama.close()
    return good


def compare_scores(program, name, config, llama, folder, others):
    if config["model_type"] == "bert":
        print(f"{name:28} llama.cpp has no token types: not compared")
        theirs = None
    elif config["model_type"] == "qwen3":
        theirs = []
        for text in TEXTS:
            chat = f"{BEFORE}<Instruct>: {INSTRUCTION}\n<Query>: {TEXTS[0]}\n<Document>: {text}{AFTER}"
            ids = tokens(program, folder, chat)
            yes, no = llama.run(ids, 2)
            theirs.append(math.log(yes / no))
    else:
        theirs = []
        for text in TEXTS:
            a, b = tokens(program, folder, TEXTS[0]), tokens(program, folder, text)
            two = config["model_type"] in ("roberta", "xlm-roberta")
            theirs.append(llama.run(a + (a[-1:] if two else []) + b[1:], len(config["id2label"]))[0])
    good = True
    if len(config.get("id2label", {"0": ""})) > 1:
        return good
    wanted = logits(program, folder)
    far = lambda a: max(abs(x - y) for x, y in zip(a, wanted))
    if theirs is not None:
        good &= check(name, "llama.cpp: largest difference", far(theirs), SILU_BOUND if config["model_type"] == "qwen3" else GELU_BOUND)
    for model in others:
        good &= check(name, f"{model.name}: largest difference", far(logits(program, model)), 1e-5)
    return good


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, None)
    with tempfile.TemporaryDirectory() as work:
        bad = [name for name in sys.argv[2:] or models.MODELS
               if not compare(sys.argv[1], name, models.write_model(Path(work) / "models", name), Path(work))]
    if bad:
        sys.exit("compare_gguf: error: differences in " + ", ".join(bad))


if __name__ == "__main__":
    main()
