#!/usr/bin/env python3
"""Makes what the peers read: texts, token counts, and the model as ONNX in f32 and in dynamic int8.

    python prepare.py MODEL_DIR OUT_DIR

The exports are made the way people make them: torch.onnx.export of the transformer with free batch and length, then
onnxruntime.quantization.quantize_dynamic with one scale per output channel and signed 8-bit weights. (ONNX
Runtime's offline BERT optimizer was tried before quantising; its fused attention made int8 slower, and f32 no faster.)
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import texts

N_SHORT, N_LONG = 2000, 400
MAX_LENGTH = 256
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_atomically(path, write):
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def write_texts(out, model_dir):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    lengths = {}
    for name, passages in (("short", texts.short_texts(N_SHORT)), ("long", texts.long_texts(N_LONG)),
                           ("query", [texts.QUERY])):
        passages = list(passages)
        lengths[name] = [len(e.ids) for e in tokenizer.encode_batch(passages)]
        write_atomically(out / f"{name}.txt", lambda p: p.write_text("".join(t + "\n" for t in passages)))
    assert lengths["query"] == [30], lengths["query"]
    write_atomically(out / "lengths.json", lambda p: p.write_text(json.dumps(lengths)))


def write_more_texts(out, n):
    """n short paragraphs; the first ones are those of short.txt."""
    path = out / f"short-{n}.txt"
    if not path.exists():
        write_atomically(path, lambda p: p.write_text("".join(t + "\n" for t in texts.short_texts(n))))
    return path


def export_f32(model_dir, path):
    import torch
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self, bert):
            super().__init__()
            self.bert = bert

        def forward(self, *inputs):
            return self.bert(**dict(zip(INPUTS, inputs))).last_hidden_state

    bert = AutoModel.from_pretrained(model_dir, attn_implementation="eager", dtype=torch.float32).eval()
    sample = torch.ones(2, 7, dtype=torch.int64)
    names = (*INPUTS, "last_hidden_state")
    torch.onnx.export(Encoder(bert), (sample,) * 3, str(path), input_names=INPUTS, output_names=names[3:],
                      dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names},
                      opset_version=17, dynamo=False)


def export_int8(f32_path, path):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(str(f32_path), str(path), per_channel=True, weight_type=QuantType.QInt8)


def main(argv):
    if len(argv) != 3:
        sys.exit(f"usage: {argv[0]} MODEL_DIR OUT_DIR")
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    model_dir, out = Path(argv[1]), Path(argv[2])
    out.mkdir(parents=True, exist_ok=True)
    write_texts(out, model_dir)
    f32, int8 = out / "model-f32.onnx", out / "model-int8.onnx"
    if not f32.exists():
        write_atomically(f32, lambda p: export_f32(model_dir, p))
    if not int8.exists():
        write_atomically(int8, lambda p: export_int8(f32, p))


if __name__ == "__main__":
    main(sys.argv)
