#!/usr/bin/env python3
"""A model of random weights with the sizes of a real one, in the Hub's layout: its speed is the real one's.

    python make_shape.py bge-m3|ms-marco-MiniLM-L6-v2|nomic-embed-text-v1.5|MiniLM-L6-8192 MINILM_DIR DIR

MiniLM-L6-8192 is all-MiniLM-L6-v2 with 8,192 positions, which no published model is.

Weights are normal with a deviation of 0.02 (norms: ones and zeros) in float16. The vocabulary has the real one's size: the
words of texts.py as pieces (or the WordPiece of MINILM_DIR), so that a text has about as many tokens as with the real
tokenizer, and made-up pieces.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent))
import texts

BERT_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def bert_like(prefix, layers, hidden, middle, vocab, positions, types=2):
    """Names and shapes of a BERT's or XLM-RoBERTa's tensors; a size alone is a bias, "norm" a norm's."""
    def linear(name, n, k):
        return [(f"{name}.weight", (n, k)), (f"{name}.bias", (n,))]

    def norm(name):
        return [(f"{name}.weight", "norm"), (f"{name}.bias", (hidden,))]

    yield f"{prefix}embeddings.word_embeddings.weight", (vocab, hidden)
    yield f"{prefix}embeddings.position_embeddings.weight", (positions, hidden)
    yield f"{prefix}embeddings.token_type_embeddings.weight", (types, hidden)
    yield from norm(f"{prefix}embeddings.LayerNorm")
    for i in range(layers):
        layer = f"{prefix}encoder.layer.{i}."
        for part in ("query", "key", "value"):
            yield from linear(f"{layer}attention.self.{part}", hidden, hidden)
        yield from linear(f"{layer}attention.output.dense", hidden, hidden)
        yield from norm(f"{layer}attention.output.LayerNorm")
        yield from linear(f"{layer}intermediate.dense", middle, hidden)
        yield from linear(f"{layer}output.dense", hidden, middle)
        yield from norm(f"{layer}output.LayerNorm")


def nomic_like(layers, hidden, middle, vocab):
    yield "embeddings.word_embeddings.weight", (vocab, hidden)
    yield "embeddings.token_type_embeddings.weight", (2, hidden)
    norms = ["emb_ln"]
    for i in range(layers):
        layer = f"encoder.layers.{i}."
        yield f"{layer}attn.Wqkv.weight", (3 * hidden, hidden)
        yield f"{layer}attn.out_proj.weight", (hidden, hidden)
        yield f"{layer}mlp.fc11.weight", (middle, hidden)
        yield f"{layer}mlp.fc12.weight", (middle, hidden)
        yield f"{layer}mlp.fc2.weight", (hidden, middle)
        norms += [f"{layer}norm1", f"{layer}norm2"]
    for norm in norms:
        yield f"{norm}.weight", "norm"
        yield f"{norm}.bias", (hidden,)


def write_weights(folder, tensors, hidden):
    import torch
    from safetensors.torch import save_file
    generator = torch.Generator().manual_seed(1)

    def values(shape):
        if shape == "norm":
            return torch.ones(hidden, dtype=torch.float16)
        if len(shape) == 1:
            return torch.zeros(shape, dtype=torch.float16)
        return (torch.randn(shape, generator=generator) * 0.02).half()

    save_file({name: values(shape) for name, shape in tensors}, folder / "model.safetensors", {"format": "pt"})


def write_bge_m3_heads(folder, hidden):
    import torch
    generator = torch.Generator().manual_seed(2)
    for name, n in (("sparse_linear", 1), ("colbert_linear", hidden)):
        torch.save({"weight": torch.randn(n, hidden, generator=generator) * 0.02, "bias": torch.zeros(n)},
                   folder / f"{name}.pt")


def write_json(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1))


def write_unigram(folder, size):
    """XLM-RoBERTa's tokenizer.json, its normaliser apart, with words of texts.py and invented ones."""
    words = re.findall(r"[^\W_]+|[^\w\s]", " ".join([*texts.long_texts(400), texts.QUERY]))
    pieces = dict.fromkeys("▁" + w for w in words)
    pieces.update(dict.fromkeys(sorted({c for w in words for c in w} | {"▁"})))
    random = Random(3)
    while len(pieces) < size - 5:
        length = 3 + int(random.random() * 8)
        word = "".join(chr(97 + int(random.random() * 26)) for _ in range(length))
        pieces[("▁" if random.random() < 0.5 else "") + word] = None
    specials = ("<s>", "<pad>", "</s>", "<unk>")
    vocab = [[s, 0.0] for s in specials] + [[p, -5.0 - i * 1e-4] for i, p in enumerate(pieces)] + [["<mask>", 0.0]]
    added = [{"id": i, "content": s, "single_word": False, "lstrip": s == "<mask>", "rstrip": False, "normalized": False,
              "special": True} for i, s in [*enumerate(specials), (size - 1, "<mask>")]]
    def special(s, kind):
        return {"SpecialToken": {"id": s, "type_id": kind}}
    def text(s, kind):
        return {"Sequence": {"id": s, "type_id": kind}}
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("<s>", 0), text("A", 0), special("</s>", 0)],
            "pair": [special("<s>", 0), text("A", 0), special("</s>", 0), special("</s>", 0), text("B", 0),
                     special("</s>", 0)],
            "special_tokens": {s: {"id": s, "ids": [specials.index(s)], "tokens": [s]} for s in ("<s>", "</s>")}},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False}})
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 8192, "bos_token": "<s>", "eos_token": "</s>",
        "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"})


def copy_bert_tokenizer(folder, model):
    for name in BERT_TOKENIZER:
        shutil.copyfile(model / name, folder / name)


def write_modules(folder, hidden, pooling, max_length):
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": hidden, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})


def bge_m3(folder, _):
    hidden, middle, layers, vocab, positions = 1024, 4096, 24, 250002, 8194
    write_json(folder / "config.json", {
        "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_size": hidden,
        "intermediate_size": middle, "num_hidden_layers": layers, "num_attention_heads": 16, "vocab_size": vocab,
        "max_position_embeddings": positions, "type_vocab_size": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "position_embedding_type": "absolute", "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02})
    write_weights(folder, bert_like("", layers, hidden, middle, vocab, positions, types=1), hidden)
    write_bge_m3_heads(folder, hidden)
    write_unigram(folder, vocab)
    write_modules(folder, hidden, "cls", 8192)


def write_minilm(folder, minilm, architecture, prefix, positions, head=()):
    hidden, middle, layers, vocab = 384, 1536, 6, 30522
    write_json(folder / "config.json", {
        "architectures": [architecture], "model_type": "bert", "hidden_size": hidden,
        "intermediate_size": middle, "num_hidden_layers": layers, "num_attention_heads": 12, "vocab_size": vocab,
        "max_position_embeddings": positions, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "pad_token_id": 0, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}})
    write_weights(folder, [*bert_like(prefix, layers, hidden, middle, vocab, positions), *head], hidden)
    copy_bert_tokenizer(folder, minilm)


def ms_marco(folder, minilm):
    write_minilm(folder, minilm, "BertForSequenceClassification", "bert.", 512, (
        ("bert.pooler.dense.weight", (384, 384)), ("bert.pooler.dense.bias", (384,)),
        ("classifier.weight", (1, 384)), ("classifier.bias", (1,))))


def minilm_8192(folder, minilm):
    write_minilm(folder, minilm, "BertModel", "", 8192)
    write_modules(folder, 384, "mean", 8192)


def nomic(folder, minilm):
    hidden, middle, layers, vocab = 768, 3072, 12, 30528
    write_json(folder / "config.json", {
        "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "n_embd": hidden, "n_head": 12,
        "n_inner": middle, "n_layer": layers, "n_positions": 8192, "vocab_size": vocab, "type_vocab_size": 2,
        "activation_function": "swiglu", "layer_norm_epsilon": 1e-12, "prenorm": False, "qkv_proj_bias": False,
        "mlp_fc1_bias": False, "mlp_fc2_bias": False, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
        "use_rms_norm": False, "parallel_block": False, "max_trained_positions": 2048, "causal": False})
    write_weights(folder, nomic_like(layers, hidden, middle, vocab), hidden)
    copy_bert_tokenizer(folder, minilm)
    write_modules(folder, hidden, "mean", 8192)


SHAPES = {"bge-m3": bge_m3, "ms-marco-MiniLM-L6-v2": ms_marco, "nomic-embed-text-v1.5": nomic,
          "MiniLM-L6-8192": minilm_8192}


def main(argv):
    if len(argv) != 4 or argv[1] not in SHAPES:
        sys.exit(f"usage: {argv[0]} {'|'.join(SHAPES)} MINILM_DIR DIR")
    folder = Path(argv[3])
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    SHAPES[argv[1]](temporary, Path(argv[2]))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


if __name__ == "__main__":
    main(sys.argv)
