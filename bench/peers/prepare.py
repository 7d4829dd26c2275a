#!/usr/bin/env python3
"""Makes what the peers read: texts, token counts, and the model as ONNX in f32 and in dynamic int8.

    python prepare.py MODEL_DIR OUT_DIR small|large|pairs|lengths

small: short paragraphs and chunks of 250 tokens, for a model that does hundreds a second. large: such chunks, and
texts of 32 to 512 tokens mixed, a few of each. pairs: such chunks for a cross-encoder, which reads each of them behind
the query. lengths: as many tokens of texts of 256, 512, … tokens each.

The exports are made the way people make them: torch.onnx.export of the transformer with free batch and length, then
onnxruntime.quantization.quantize_dynamic with one scale per output channel and signed 8-bit weights. (ONNX Runtime's
offline BERT optimizer was tried before quantising; its fused attention made int8 slower, and f32 no faster.)
"""

import inspect
import json
import logging
import os
import shutil
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import texts

# For each set the files, in the order of the table's columns: name, texts, how many a row does in one turn.
SETS = {
    "small": (256, (("short", texts.short_texts, 2000, 500), ("long", texts.long_texts, 400, 100))),
    "large": (512, (("long", texts.long_texts, 64, 16), ("mixed", texts.mixed_texts, 64, 16))),
    "pairs": (512, (("rerank", texts.long_texts, 200, 100),)),
}
LENGTHS, LENGTH_TOKENS = (256, 512, 1024, 2048, 4096, 8192), 16384
SETS["lengths"] = (8192, tuple((f"tokens-{n}", lambda k, n=n: texts.texts_of(n, k), LENGTH_TOKENS // n, LENGTH_TOKENS // n)
                               for n in LENGTHS))
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_atomically(path, write):
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def write_texts(out, model_dir, which):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    max_length, files = SETS[which]
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    work = {"max_length": max_length, "reranks": which == "pairs", "sizes": {}}

    def counts(passages):
        asked = [(texts.QUERY, p) for p in passages] if work["reranks"] else passages
        return [len(e.ids) for e in tokenizer.encode_batch(asked)]

    for name, make, n, block in files:
        passages = list(make(n))
        work["sizes"][name] = {"block": block, "tokens": counts(passages)}
        write_atomically(out / f"{name}.txt", lambda p: p.write_text("".join(t + "\n" for t in passages)))
    write_atomically(out / "query.txt", lambda p: p.write_text(texts.QUERY + "\n"))
    work["query_tokens"], = counts([texts.QUERY])
    write_atomically(out / "work.json", lambda p: p.write_text(json.dumps(work)))


def write_more_texts(out, n):
    """n short paragraphs; the first ones are those of short.txt."""
    path = out / f"short-{n}.txt"
    if not path.exists():
        write_atomically(path, lambda p: p.write_text("".join(t + "\n" for t in texts.short_texts(n))))
    return path


def export_f32(model_dir, path, classifies):
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    class Encoder(torch.nn.Module):
        def __init__(self, model, names):
            super().__init__()
            self.model, self.names = model, names

        def forward(self, *inputs):
            return self.model(**dict(zip(self.names, inputs)))[0]

    kind, output = (AutoModelForSequenceClassification, "logits") if classifies else (AutoModel, "last_hidden_state")
    model = kind.from_pretrained(model_dir, attn_implementation="eager", dtype=torch.float32).eval()
    names = [n for n in INPUTS if n in inspect.signature(model.forward).parameters]
    samples = {"input_ids": 9, "attention_mask": 1, "token_type_ids": 0}
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, output)}
    if classifies:
        axes[output] = {0: "batch"}
    torch.onnx.export(Encoder(model, names), tuple(torch.full((2, 7), samples[n]) for n in names), str(path),
                      input_names=names, output_names=[output], opset_version=17, dynamo=False, dynamic_axes=axes)


def export_int8(f32_path, path):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(str(f32_path), str(path), per_channel=True, weight_type=QuantType.QInt8)


def main(argv):
    if len(argv) != 4 or argv[3] not in SETS:
        sys.exit(f"usage: {argv[0]} MODEL_DIR OUT_DIR {'|'.join(SETS)}")
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    model_dir, out = Path(argv[1]), Path(argv[2])
    out.mkdir(parents=True, exist_ok=True)
    write_texts(out, model_dir, argv[3])
    f32, int8 = out / "f32" / "model.onnx", out / "int8" / "model.onnx"
    classifies = argv[3] == "pairs"
    for path, export in ((f32, lambda p: export_f32(model_dir, p, classifies)), (int8, lambda p: export_int8(f32, p))):
        if not path.exists(): # a folder each: beyond 2 GB the weights lie beside the graph
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir()
            export(path)


if __name__ == "__main__":
    main(sys.argv)
