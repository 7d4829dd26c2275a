#!/usr/bin/env python3
"""Writes small seeded models of every architecture that Heddle runs, in the Hub's folder layout, for the tests.

    python3 tools/make_tiny_architectures.py DEST [NAME ...]

Numbers are made as in make_tiny_models.py, from the standard library alone, and so is the tokenizer: a WordPiece one
for nearly all of them, since tokenizers have tests of their own. What the reference libraries answer is under
tests/golden/architectures (made by tools/make_architecture_goldens.py).
"""

import json
import re
import struct
import sys
from pathlib import Path

import make_tiny_models as tiny


class Weights:
    """Tensors of one model in the order of its layers."""

    def __init__(self, seed, prefix=""):
        self.seed, self.prefix, self.tensors = seed, prefix, []

    def add(self, name, shape, scale, offset=0.0):
        n = 1
        for size in shape:
            n *= size
        self.tensors.append((self.prefix + name, shape, tiny.numbers(f"{self.seed}/{name}", n, scale, offset)))

    def matrix(self, name, rows, columns, gain=1.0):
        self.add(name, [rows, columns], gain * 3 / columns ** 0.5)

    def linear(self, name, rows, columns, gain=1.0, bias=True):
        self.matrix(name + ".weight", rows, columns, gain)
        if bias:
            self.add(name + ".bias", [rows], 0.3)

    def norm(self, name, n, bias=True):
        self.add(name + ".weight", [n], 0.6, 1.0)
        if bias:
            self.add(name + ".bias", [n], 0.4)

    def table(self, name, rows, columns, scale):
        self.add(name + ".weight", [rows, columns], scale)

    def at(self, prefix):
        """The same tensors, under another prefix from here on."""
        self.prefix = prefix
        return self


# --- the graphs ---------------------------------------------------------------------------------------------

def bert_embeddings(w, c, types=True):
    h = c["hidden_size"]
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    w.table("embeddings.position_embeddings", c["max_position_embeddings"], h, 0.6)
    if types:
        w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("embeddings.LayerNorm", h)


def bert_layers(w, c):
    h, middle = c["hidden_size"], c["intermediate_size"]
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        w.linear(layer + "attention.self.query", h, h, 1.6)
        w.linear(layer + "attention.self.key", h, h, 1.6)
        w.linear(layer + "attention.self.value", h, h)
        w.linear(layer + "attention.output.dense", h, h)
        w.norm(layer + "attention.output.LayerNorm", h)
        w.linear(layer + "intermediate.dense", middle, h, 1.2)
        w.linear(layer + "output.dense", h, middle, 1.2)
        w.norm(layer + "output.LayerNorm", h)


def bert(w, c):
    """BERT and RoBERTa: the same names, but for their heads."""
    h, heads = c["hidden_size"], c["architectures"][0]
    roberta = c["model_type"] != "bert"
    if not heads.endswith("Model"):
        w.at("roberta." if roberta else "bert.")
    bert_embeddings(w, c)
    bert_layers(w, c)
    if heads.startswith("BertForSequence"):
        w.linear("pooler.dense", h, h)
    w.at("")
    if heads.endswith("ForSequenceClassification") and roberta:
        w.linear("classifier.dense", h, h)
        w.linear("classifier.out_proj", len(c["id2label"]), h)
    elif heads.endswith("ForSequenceClassification"):
        w.linear("classifier", len(c["id2label"]), h)
    elif heads.endswith("ForMaskedLM"):
        head = "lm_head." if roberta else "cls.predictions.transform."
        w.linear(head + "dense", h, h, 1.2)
        w.norm(head + ("layer_norm" if roberta else "LayerNorm"), h)
        w.add("lm_head.bias" if roberta else "cls.predictions.bias", [c["vocab_size"]], 1.0, -2.0)


def distilbert(w, c):
    h, middle, heads = c["dim"], c["hidden_dim"], c["architectures"][0]
    if not heads.endswith("Model"):
        w.at("distilbert.")
    bert_embeddings(w, dict(c, hidden_size=h), types=False)
    for i in range(c["n_layers"]):
        layer = f"transformer.layer.{i}."
        w.linear(layer + "attention.q_lin", h, h, 1.6)
        w.linear(layer + "attention.k_lin", h, h, 1.6)
        w.linear(layer + "attention.v_lin", h, h)
        w.linear(layer + "attention.out_lin", h, h)
        w.norm(layer + "sa_layer_norm", h)
        w.linear(layer + "ffn.lin1", middle, h, 1.2)
        w.linear(layer + "ffn.lin2", h, middle, 1.2)
        w.norm(layer + "output_layer_norm", h)
    w.at("")
    if heads.endswith("ForSequenceClassification"):
        w.linear("pre_classifier", h, h)
        w.linear("classifier", len(c["id2label"]), h)
    elif heads.endswith("ForMaskedLM"):
        w.linear("vocab_transform", h, h, 1.2)
        w.norm("vocab_layer_norm", h)
        w.linear("vocab_projector", c["vocab_size"], h)     # not the table of words: some files hold both


def mpnet(w, c):
    h, middle, heads = c["hidden_size"], c["intermediate_size"], c["architectures"][0]
    if not heads.endswith("Model"):
        w.at("mpnet.")
    bert_embeddings(w, c, types=False)
    w.table("encoder.relative_attention_bias", 32, c["num_attention_heads"], 3.0)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        w.linear(layer + "attention.attn.q", h, h, 1.6)
        w.linear(layer + "attention.attn.k", h, h, 1.6)
        w.linear(layer + "attention.attn.v", h, h)
        w.linear(layer + "attention.attn.o", h, h)
        w.norm(layer + "attention.LayerNorm", h)
        w.linear(layer + "intermediate.dense", middle, h, 1.2)
        w.linear(layer + "output.dense", h, middle, 1.2)
        w.norm(layer + "output.LayerNorm", h)
    w.at("")
    if heads.endswith("ForSequenceClassification"):
        w.linear("classifier.dense", h, h)
        w.linear("classifier.out_proj", len(c["id2label"]), h)


def nomic_bert(w, c):
    h, middle = c["n_embd"], c["n_inner"]
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("emb_ln", h)
    for i in range(c["n_layer"]):
        layer = f"encoder.layers.{i}."
        w.linear(layer + "attn.Wqkv", 3 * h, h, 1.4, bias=False)
        w.linear(layer + "attn.out_proj", h, h, bias=False)
        w.linear(layer + "mlp.fc11", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.fc12", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.fc2", h, middle, 1.2, bias=False)
        w.norm(layer + "norm1", h)
        w.norm(layer + "norm2", h)


def modernbert(w, c):
    h, middle, heads = c["hidden_size"], c["intermediate_size"], c["architectures"][0]
    if not heads.endswith("Model"):
        w.at("model.")
    w.table("embeddings.tok_embeddings", c["vocab_size"], h, 1.5)
    w.norm("embeddings.norm", h, bias=False)
    for i in range(c["num_hidden_layers"]):
        layer = f"layers.{i}."
        if i > 0:
            w.norm(layer + "attn_norm", h, bias=False)
        w.linear(layer + "attn.Wqkv", 3 * h, h, 1.4, bias=False)
        w.linear(layer + "attn.Wo", h, h, bias=False)
        w.norm(layer + "mlp_norm", h, bias=False)
        w.linear(layer + "mlp.Wi", 2 * middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.Wo", h, middle, 1.2, bias=False)
    w.norm("final_norm", h, bias=False)
    w.at("")
    if not heads.endswith("Model"):
        w.linear("head.dense", h, h, bias=False)
        w.norm("head.norm", h, bias=False)
    if heads.endswith("ForSequenceClassification"):
        w.linear("classifier", len(c["id2label"]), h)
    elif heads.endswith("ForMaskedLM"):
        w.add("decoder.bias", [c["vocab_size"]], 1.0, -2.0)


def qwen3(w, c):
    h, middle, dim = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
    if c["architectures"][0].endswith("ForSequenceClassification"):
        w.at("model.")
    w.table("embed_tokens", c["vocab_size"], h, 1.5)
    for i in range(c["num_hidden_layers"]):
        layer = f"layers.{i}."
        w.norm(layer + "input_layernorm", h, bias=False)
        w.linear(layer + "self_attn.q_proj", q, h, bias=False)
        w.linear(layer + "self_attn.k_proj", kv, h, bias=False)
        w.linear(layer + "self_attn.v_proj", kv, h, bias=False)
        w.norm(layer + "self_attn.q_norm", dim, bias=False)
        w.norm(layer + "self_attn.k_norm", dim, bias=False)
        w.linear(layer + "self_attn.o_proj", h, q, bias=False)
        w.norm(layer + "post_attention_layernorm", h, bias=False)
        w.linear(layer + "mlp.gate_proj", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.up_proj", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.down_proj", h, middle, 1.2, bias=False)
    w.norm("norm", h, bias=False)
    w.at("")
    if not c["tie_word_embeddings"]:
        w.table("lm_head", c["vocab_size"], h, 1.5)
    if c["architectures"][0].endswith("ForSequenceClassification"):
        w.linear("score", len(c["id2label"]), h, bias=False)


def qwen3_causal(w, c):
    qwen3(w.at("model."), c)


def gemma3(w, c):
    h, middle, dim = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
    def norm(name, n):      # weights less one
        w.add(name + ".weight", [n], 0.6)
    w.table("embed_tokens", c["vocab_size"], h, 0.2)
    for i in range(c["num_hidden_layers"]):
        layer = f"layers.{i}."
        norm(layer + "input_layernorm", h)
        w.linear(layer + "self_attn.q_proj", q, h, bias=False)
        w.linear(layer + "self_attn.k_proj", kv, h, bias=False)
        w.linear(layer + "self_attn.v_proj", kv, h, bias=False)
        norm(layer + "self_attn.q_norm", dim)
        norm(layer + "self_attn.k_norm", dim)
        w.linear(layer + "self_attn.o_proj", h, q, bias=False)
        norm(layer + "post_attention_layernorm", h)
        norm(layer + "pre_feedforward_layernorm", h)
        w.linear(layer + "mlp.gate_proj", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.up_proj", middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.down_proj", h, middle, 1.2, bias=False)
        norm(layer + "post_feedforward_layernorm", h)
    norm("norm", h)


def gte(w, c):
    h, middle, heads = c["hidden_size"], c["intermediate_size"], c["architectures"][0]
    if not heads.endswith("Model"):
        w.at("new.")
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    if c["type_vocab_size"] > 0:
        w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("embeddings.LayerNorm", h)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        w.linear(layer + "attention.qkv_proj", 3 * h, h, 1.4)
        w.linear(layer + "attention.o_proj", h, h)
        w.norm(layer + "attn_ln", h)
        w.linear(layer + "mlp.up_gate_proj", 2 * middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.down_proj", h, middle, 1.2)
        w.norm(layer + "mlp_ln", h)
    if heads.endswith("ForSequenceClassification"):
        w.linear("pooler.dense", h, h)
        w.at("").linear("classifier", len(c["id2label"]), h)
    elif heads.endswith("ForMaskedLM"):
        w.at("").linear("lm_head.dense", h, h, 1.2)
        w.norm("lm_head.norm", h)
        w.add("lm_head.decoder.bias", [c["vocab_size"]], 1.0, -2.0)


def jina_bert(w, c):
    h, middle = c["hidden_size"], c["intermediate_size"]
    if "id2label" in c:
        w.at("bert.")
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("embeddings.LayerNorm", h)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        w.linear(layer + "attention.self.query", h, h, 1.6)
        w.linear(layer + "attention.self.key", h, h, 1.6)
        w.linear(layer + "attention.self.value", h, h)
        w.linear(layer + "attention.output.dense", h, h)
        w.norm(layer + "attention.output.LayerNorm", h)
        w.linear(layer + "mlp.gated_layers", 2 * middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.wo", h, middle, 1.2)
        w.norm(layer + "mlp.layernorm", h)
    if "id2label" in c:
        w.linear("pooler.dense", h, h)
        w.at("").linear("classifier", len(c["id2label"]), h)


def jina_bert_qk(w, c):
    h, middle = c["hidden_size"], c["intermediate_size"]
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("embeddings.LayerNorm", h)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        w.linear(layer + "attention.self.query", h, h)
        w.norm(layer + "attention.self.layer_norm_q", h)
        w.linear(layer + "attention.self.key", h, h)
        w.norm(layer + "attention.self.layer_norm_k", h)
        w.linear(layer + "attention.self.value", h, h)
        w.linear(layer + "attention.output.dense", h, h)
        w.norm(layer + "attention.output.LayerNorm", h)
        w.norm(layer + "layer_norm_1", h)
        w.linear(layer + "mlp.up_gated_layer", 2 * middle, h, 1.2, bias=False)
        w.linear(layer + "mlp.down_layer", h, middle, 1.2)
        w.norm(layer + "layer_norm_2", h)


def xlm_roberta_flash(w, c):
    """With adapters, weights have the names that torch's parametrizations give them, and A and B of all tasks beside them;
    the embedding's A is as long as the vocabulary."""
    h, middle, heads = c["hidden_size"], c["intermediate_size"], c["architectures"][0]
    tasks, rank = len(c.get("lora_adaptations") or []), c.get("lora_rank")

    def adapted(name, rows, columns, gain, bias=True, table=False):
        path = name + ".parametrizations.weight" if tasks else name
        original = path + ".original" if tasks else path + ".weight"
        if table:
            w.add(original, [rows, columns], gain)
        else:
            w.matrix(original, rows, columns, gain)
        if bias and not table:
            w.add(name + ".bias", [rows], 0.3)
        if tasks and table:
            w.add(path + ".0.lora_A", [tasks, rows, rank], 1.0)
            w.add(path + ".0.lora_B", [tasks, rank, columns], gain)
        elif tasks:
            w.add(path + ".0.lora_A", [tasks, rank, columns], 3 / columns ** 0.5)
            w.add(path + ".0.lora_B", [tasks, rows, rank], gain)

    if tasks or not heads.endswith("Model"):
        w.at("roberta.")
    adapted("embeddings.word_embeddings", c["vocab_size"], h, 1.5, table=True)
    if c["position_embedding_type"] == "absolute":
        w.table("embeddings.position_embeddings", c["max_position_embeddings"], h, 0.6)
    adapted("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6, table=True)
    w.norm("emb_ln", h)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layers.{i}."
        adapted(layer + "mixer.Wqkv", 3 * h, h, 1.4)
        adapted(layer + "mixer.out_proj", h, h, 1.0)
        w.norm(layer + "norm1", h)
        adapted(layer + "mlp.fc1", middle, h, 1.2)
        adapted(layer + "mlp.fc2", h, middle, 1.2)
        w.norm(layer + "norm2", h)
    if heads.endswith("ForSequenceClassification"):
        w.at("")
        w.linear("classifier.dense", h, h)
        w.linear("classifier.out_proj", len(c["id2label"]), h)


def jina_v3_class(w, c):
    """jina-embeddings-v3 as transformers' class names its tensors."""
    h, middle = c["hidden_size"], c["intermediate_size"]
    w.table("embeddings.word_embeddings", c["vocab_size"], h, 1.5)
    w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h, 0.6)
    w.norm("embeddings.LayerNorm", h)
    for i in range(c["num_hidden_layers"]):
        layer = f"layers.{i}."
        for part in "qkv":
            w.linear(f"{layer}self_attn.{part}_proj", h, h, 1.4)
        w.linear(layer + "self_attn.o_proj", h, h)
        w.norm(layer + "post_attention_layernorm", h)
        w.linear(layer + "mlp.fc1", middle, h, 1.2)
        w.linear(layer + "mlp.fc2", h, middle, 1.2)
        w.norm(layer + "post_mlp_layernorm", h)
    w.linear("pooler.dense", h, h)


def static(w, c):
    """model2vec: as many rows as tokens, or fewer and a weight for each token."""
    w.add(c.get("table", "embeddings"), [c["rows"], c["hidden_dim"]], 1.5)
    if "mapped" in c:
        w.add("weights", [c["vocab_size"]], 0.6, 1.0)


# --- the models ---------------------------------------------------------------------------------------------

BERT = {"model_type": "bert", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2,
        "intermediate_size": 128, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 160,
        "type_vocab_size": 2, "pad_token_id": 0}
ROBERTA = dict(BERT, model_type="roberta", layer_norm_eps=1e-5, max_position_embeddings=162, type_vocab_size=1,
               pad_token_id=1)
DISTILBERT = {"model_type": "distilbert", "dim": 64, "n_heads": 4, "n_layers": 2, "hidden_dim": 128,
              "activation": "gelu", "max_position_embeddings": 160, "sinusoidal_pos_embds": False, "pad_token_id": 0}
MPNET = dict(BERT, model_type="mpnet", max_position_embeddings=162, pad_token_id=1, relative_attention_num_buckets=32)
del MPNET["type_vocab_size"]
NOMIC = {"model_type": "nomic_bert", "architectures": ["NomicBertModel"], "n_embd": 64, "n_head": 4, "n_layer": 2,
         "n_inner": 96, "n_positions": 160, "activation_function": "swiglu", "layer_norm_epsilon": 1e-12,
         "type_vocab_size": 2, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
         "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "qkv_proj_bias": False, "mlp_fc1_bias": False,
         "mlp_fc2_bias": False, "prenorm": False, "causal": False, "use_rms_norm": False, "pad_token_id": 0,
         "max_trained_positions": 2048, "parallel_block": False}
MODERNBERT = {"model_type": "modernbert", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4,
              "intermediate_size": 96, "hidden_activation": "gelu", "norm_eps": 1e-5, "norm_bias": False,
              "attention_bias": False, "mlp_bias": False, "classifier_bias": False, "classifier_activation": "gelu",
              "classifier_pooling": "mean", "decoder_bias": True, "global_rope_theta": 160000.0,
              "local_rope_theta": 10000.0, "local_attention": 32, "global_attn_every_n_layers": 3,
              "max_position_embeddings": 160, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3,
              "bos_token_id": 2, "eos_token_id": 3}
QWEN3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 64, "num_attention_heads": 6,
         "num_key_value_heads": 2, "head_dim": 32, "num_hidden_layers": 2, "intermediate_size": 96, "hidden_act": "silu",
         "rms_norm_eps": 1e-6, "rope_theta": 1000000, "attention_bias": False, "use_sliding_window": False,
         "sliding_window": None, "max_position_embeddings": 160, "pad_token_id": 0, "tie_word_embeddings": True}
GEMMA3 = {"model_type": "gemma3_text", "architectures": ["Gemma3TextModel"], "hidden_size": 96, "num_attention_heads": 3,
          "num_key_value_heads": 1, "head_dim": 64, "num_hidden_layers": 4, "intermediate_size": 96,
          "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
          "rope_local_base_freq": 10000.0, "rope_scaling": None, "attention_bias": False, "attn_logit_softcapping": None,
          "final_logit_softcapping": None, "query_pre_attn_scalar": 64, "sliding_window": 32, "sliding_window_pattern": 3,
          "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
          "use_bidirectional_attention": True, "max_position_embeddings": 160, "pad_token_id": 0}
GTE = dict(BERT, model_type="new", architectures=["NewModel"], position_embedding_type="rope", rope_theta=500000.0,
           rope_scaling=None, layer_norm_type="layer_norm", logn_attention_scale=False, logn_attention_clip1=False,
           pack_qkv=True, unpad_inputs=False, use_memory_efficient_attention=False)
JINA_BERT = dict(BERT, architectures=["JinaBertForMaskedLM"], position_embedding_type="alibi", feed_forward_type="geglu",
                 emb_pooler="mean", num_attention_heads=6, hidden_size=96)
FLASH = {"auto_map": {"AutoConfig": "jinaai/xlm-roberta-flash-implementation--configuration_xlm_roberta.XLMRobertaFlashConfig"},
         "hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 96,
         "hidden_act": "gelu", "layer_norm_eps": 1e-5, "max_position_embeddings": 162, "type_vocab_size": 1,
         "pad_token_id": 1, "use_flash_attn": True, "emb_pooler": None}
JINA_V3 = dict(FLASH, architectures=["XLMRobertaModel"], position_embedding_type="rotary", rotary_emb_base=20000.0,
               load_trained_adapters=True, lora_adaptations=["retrieval.query", "retrieval.passage", "separation"],
               lora_alpha=1, lora_rank=4, lora_dropout_p=0.0, lora_main_params_trainable=False,
               task_instructions={"retrieval.query": "Represent the query: ",
                                  "retrieval.passage": "Represent the document: ", "separation": ""})
JINA_V3_CLASS = {k: v for k, v in FLASH.items() if k != "auto_map"} | {
    "model_type": "jina_embeddings_v3", "architectures": ["JinaEmbeddingsV3Model"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}}
STATIC = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": 80, "normalize": True,
          "seq_length": 1000000, "pad_token_id": 0}
ONE_LABEL, THREE_LABELS = {"0": "LABEL_0"}, {"0": "negative", "1": "neutral", "2": "positive"}

MODELS = {
    # name: (why it is here, graph, config.json, what comes behind the transformer)
    "tiny-m3": ("bge-m3: XLM-RoBERTa with dense, sparse and multi-vector heads",
                bert, dict(ROBERTA, model_type="xlm-roberta", architectures=["XLMRobertaModel"]),
                dict(pooling="cls", normalize=True, m3=True)),
    "tiny-m3-wide": ("the same with token vectors wider than the hidden states, mean pooling, 3 heads of 16",
                     bert, dict(ROBERTA, model_type="xlm-roberta", architectures=["XLMRobertaModel"], hidden_size=48,
                                num_attention_heads=3),
                     dict(pooling="mean", normalize=True, m3=True, colbert=80)),
    "tiny-xlmr-reranker": ("bge-reranker-v2-m3: one label",
                           bert, dict(ROBERTA, model_type="xlm-roberta", id2label=ONE_LABEL,
                                      architectures=["XLMRobertaForSequenceClassification"]), {}),
    "tiny-roberta-classifier": ("three labels by name",
                                bert, dict(ROBERTA, architectures=["RobertaForSequenceClassification"],
                                           id2label=THREE_LABELS), {}),
    "tiny-roberta-splade": ("a masked-language head of RoBERTa's", bert,
                            dict(ROBERTA, architectures=["RobertaForMaskedLM"]), dict(splade="relu")),
    "tiny-bert-reranker": ("ms-marco-MiniLM: a pooler and one label",
                           bert, dict(BERT, architectures=["BertForSequenceClassification"], id2label=ONE_LABEL), {}),
    "tiny-bert-splade": ("a masked-language head whose decoder is the table of words", bert,
                         dict(BERT, architectures=["BertForMaskedLM"]), dict(splade="relu")),
    "tiny-distilbert": ("DistilBERT's own config keys and names", distilbert,
                        dict(DISTILBERT, architectures=["DistilBertModel"]), dict(pooling="mean", normalize=True)),
    "tiny-distilbert-classifier": ("a classifier with ReLU", distilbert,
                                   dict(DISTILBERT, architectures=["DistilBertForSequenceClassification"],
                                        id2label=THREE_LABELS), {}),
    "tiny-distilbert-splade": ("SPLADE with two logarithms and a decoder of its own", distilbert,
                               dict(DISTILBERT, architectures=["DistilBertForMaskedLM"], tie_word_embeddings=False),
                               dict(splade="log1p_relu")),
    "tiny-bert-splade-sum": ("the first SPLADE: the sum over the tokens", bert,
                             dict(BERT, architectures=["BertForMaskedLM"]), dict(splade="relu", strategy="sum")),
    "tiny-distilbert-splade-sum": ("the sum, with the logarithm twice", distilbert,
                                   dict(DISTILBERT, architectures=["DistilBertForMaskedLM"], tie_word_embeddings=False),
                                   dict(splade="log1p_relu", strategy="sum")),
    "tiny-mpnet": ("all-mpnet: a bias by distance", mpnet, dict(MPNET, architectures=["MPNetModel"]),
                   dict(pooling="mean", normalize=True)),
    "tiny-mpnet-heads": ("so many heads that the CPU takes some at a time, each with its bias", mpnet,
                         dict(MPNET, architectures=["MPNetModel"], hidden_size=192, num_attention_heads=6),
                         dict(pooling="mean", normalize=True)),
    "tiny-mpnet-classifier": ("the same where one row is read", mpnet,
                              dict(MPNET, architectures=["MPNetForSequenceClassification"], id2label=ONE_LABEL), {}),
    "tiny-nomic": ("nomic-embed-text-v1.5: GPT-2's config keys, rotary positions, SwiGLU", nomic_bert, NOMIC,
                   dict(pooling="mean", normalize=True)),
    "tiny-nomic-cls": ("the same where one row is read, as snowflake-arctic-embed-m-long does", nomic_bert, NOMIC,
                       dict(pooling="cls", normalize=True)),
    "tiny-modernbert": ("gte-modernbert: local and global layers", modernbert,
                        dict(MODERNBERT, architectures=["ModernBertModel"]), dict(pooling="cls", normalize=True)),
    "tiny-modernbert-heads": ("some heads at a time, turned by position, where one row is read", modernbert,
                              dict(MODERNBERT, architectures=["ModernBertModel"], hidden_size=192, num_attention_heads=6),
                              dict(pooling="cls", normalize=True)),
    "tiny-modernbert-classifier": ("gte-reranker-modernbert: a classifier of the mean", modernbert,
                                   dict(MODERNBERT, architectures=["ModernBertForSequenceClassification"],
                                        id2label=ONE_LABEL), {}),
    "tiny-modernbert-splade": ("a masked-language head without biases", modernbert,
                               dict(MODERNBERT, architectures=["ModernBertForMaskedLM"]), dict(splade="relu")),
    "tiny-qwen3": ("Qwen3-Embedding: causal, three heads of queries to one of keys, wider than the hidden states", qwen3,
                   QWEN3, dict(pooling="last", normalize=True)),
    "tiny-qwen3-heads": ("some heads at a time, two of queries to each of keys", qwen3,
                         dict(QWEN3, num_attention_heads=8, num_key_value_heads=4, head_dim=64), dict(pooling="last", normalize=True)),
    "tiny-qwen3-classifier": ("a linear layer on the last token", qwen3,
                              dict(QWEN3, architectures=["Qwen3ForSequenceClassification"], id2label=ONE_LABEL), {}),
    "tiny-qwen3-logits": ("Qwen3-Reranker with a LogitScore module and a head of its own", qwen3_causal,
                          dict(QWEN3, tie_word_embeddings=False), dict(answers=(311, 47))),
    "tiny-qwen3-reranker": ("Qwen3-Reranker without modules.json: the head is the table of words, the tokenizer knows yes",
                            qwen3_causal, dict(QWEN3, max_position_embeddings=1024), dict(chat=True)),
    "tiny-gemma3": ("EmbeddingGemma: windows to both sides, three heads of queries to one of keys", gemma3, GEMMA3,
                    dict(pooling="mean", normalize=True)),
    "tiny-gemma3-wide": ("heads of 256 values, narrower than the hidden states in 16 bits", gemma3,
                         dict(GEMMA3, hidden_size=768, num_attention_heads=1, head_dim=256, query_pre_attn_scalar=256,
                              num_hidden_layers=3, layer_types=GEMMA3["layer_types"][:3], intermediate_size=70),
                         dict(pooling="mean", normalize=True)),
    "tiny-gte": ("gte-base-en-v1.5: angles stretched by two, no token types", gte,
                 dict(GTE, type_vocab_size=0, rope_scaling={"factor": 2.0, "type": "ntk"}),
                 dict(pooling="cls", normalize=True)),
    "tiny-gte-reranker": ("gte-multilingual-reranker: token types, a pooler and one label", gte,
                          dict(GTE, architectures=["NewForSequenceClassification"], type_vocab_size=2, id2label=ONE_LABEL),
                          {}),
    "tiny-gte-splade": ("opensearch-neural-sparse-encoding-doc-v3-gte: a masked-language head", gte,
                        dict(GTE, architectures=["NewForMaskedLM"], type_vocab_size=2), dict(splade="log1p_relu")),
    "tiny-jina": ("jina-embeddings-v2: a linear bias by distance; six heads, no power of two", jina_bert, JINA_BERT,
                  dict(pooling="mean", normalize=True)),
    "tiny-jina-code": ("jina-embeddings-v2-base-code: norms of queries, keys and of attention's sum; no model_type",
                       jina_bert_qk, {k: v for k, v in JINA_BERT.items() if k != "model_type"} | {
                           "auto_map": {"AutoConfig": "jinaai/jina-bert-v2-qk-post-norm--configuration_bert.JinaBertConfig"}},
                       dict(pooling="mean", normalize=True)),
    "tiny-jina-code-cls": ("the same where one row is read", jina_bert_qk, JINA_BERT, dict(pooling="cls", normalize=True)),
    "tiny-jina-reranker": ("jina-reranker-v1: a pooler and one label", jina_bert,
                           dict(JINA_BERT, architectures=["JinaBertForSequenceClassification"], id2label=ONE_LABEL), {}),
    "tiny-jina-v3": ("jina-embeddings-v3: rotary positions, and adapters for three tasks", xlm_roberta_flash, JINA_V3,
                     dict(pooling="mean", normalize=True, custom=True)),
    "tiny-jina-v3-hf": ("jina-embeddings-v3-hf: transformers' class, and adapters in PEFT's folders, the pooler's among them",
                        jina_v3_class,
                        dict(JINA_V3_CLASS, lora_adaptations=["retrieval.query", "text-matching"],
                             task_instructions=JINA_V3["task_instructions"]),
                        dict(pooling="mean", normalize=True, custom=True, adapters={
                            task: dict(r=4, lora_alpha=1, modules=("word_embeddings", "token_type_embeddings", "q_proj", "k_proj",
                                                                   "v_proj", "o_proj", "fc1", "fc2", "dense"))
                            for task in ("retrieval.query", "text-matching")})),
    "tiny-jina-v3-some": ("the weights under Jina's own names; two of five tasks, of which one leaves modules as they are",
                          xlm_roberta_flash,
                          dict(JINA_V3_CLASS, position_embedding_type="rotary"),
                          dict(pooling="mean", normalize=True, adapters={
                              "retrieval.passage": dict(r=3, lora_alpha=4, use_rslora=True, modules=("q_proj", "v_proj", "fc2")),
                              "separation": dict(r=3, lora_alpha=4, use_rslora=True,
                                                 modules=("word_embeddings", "k_proj", "o_proj", "fc1"))})),
    "tiny-flash-reranker": ("jina-reranker-v2-base-multilingual: the same names with a table of positions, one label",
                            xlm_roberta_flash,
                            dict(FLASH, model_type="xlm-roberta", architectures=["XLMRobertaForSequenceClassification"],
                                 position_embedding_type="absolute", id2label=ONE_LABEL), {}),
    "tiny-pylate": ("PyLate's ColBERT: prefixes, queries filled up with masks that nobody sees, punctuation left out", bert,
                    dict(BERT, architectures=["BertModel"]),
                    dict(late=dict(query_length=20, document_length=40), dense=[(32, "linear.Identity", False)])),
    "tiny-pylate-attends": ("masks that all see, another list of words, two Dense modules", bert,
                            dict(ROBERTA, architectures=["RobertaModel"]),
                            dict(late=dict(query_length=24, document_length=30, attend_to_expansion_tokens=True,
                                           skiplist_words=["the", ".", "not-a-token"]),
                                 dense=[(96, "activation.Tanh", True), (24, "linear.Identity", True)])),
    "tiny-pylate-local": ("masks further than a window from what they could see", modernbert,
                          dict(MODERNBERT, architectures=["ModernBertModel"]),
                          dict(late=dict(query_length=70, document_length=90), dense=[(32, "linear.Identity", False)])),
    "tiny-pylate-short": ("queries that are not filled up; a bias by distance", mpnet,
                          dict(MPNET, architectures=["MPNetModel"]),
                          dict(late=dict(query_length=16, document_length=32, do_query_expansion=False),
                               dense=[(32, "linear.Identity", False)])),
    "tiny-pylate-biased": ("masks behind the keys where distances have a bias", mpnet,
                           dict(MPNET, architectures=["MPNetModel"]),
                           dict(late=dict(query_length=40, document_length=32), dense=[(32, "linear.Identity", False)])),
    "tiny-pylate-residual": ("Dense modules whose input is added: as it is, and through a matrix of its own", bert,
                             dict(BERT, architectures=["BertModel"]),
                             dict(late=dict(query_length=20, document_length=40), residual=True,
                                  dense=[(64, "activation.Tanh", True), (96, "linear.Identity", False),
                                         (32, "linear.Identity", True)])),
    "tiny-colbert": ("ColBERT's own layout: its linear layer among BERT's tensors, markers that the vocabulary has", bert,
                     dict(BERT, architectures=["HF_ColBERT"]),
                     dict(artifact=dict(dim=48, query_maxlen=20, doc_maxlen=40, mask_punctuation=True,
                                        attend_to_mask_tokens=False, similarity="cosine"))),
    "tiny-colbert-attends": ("masks that are seen, punctuation that counts, other markers", modernbert,
                             dict(MODERNBERT, architectures=["HF_ColBERT"]),
                             dict(artifact=dict(dim=32, query_maxlen=24, doc_maxlen=30, mask_punctuation=False,
                                                attend_to_mask_tokens=True, query_token_id="[unused1]",
                                                doc_token_id="[unused0]"))),
    "tiny-multi-vector": ("sentence-transformers' own layout: prompts that are one token, queries of a fixed length", bert,
                          dict(BERT, architectures=["BertModel"]),
                          dict(multi_vector=dict(prompts={"query": "[Q] ", "document": "[D] "}, skiplist=list(".,;()!"),
                                                 lengths=dict(query_expansion=dict(strategy="fixed", attend=False, token=None,
                                                                                   length=20))))),
    "tiny-multi-vector-min": ("prompts of words; queries filled up with a token of their own, and longer ones", bert,
                              dict(ROBERTA, architectures=["RobertaModel"]),
                              dict(multi_vector=dict(prompts={"query": "what is: ", "document": "text "},
                                                     skiplist=["the", "not-a-token"],
                                                     lengths=dict(query_length=34, query_expansion=dict(
                                                         strategy="min", attend=True, token="[UNK]", length=12))))),
    "tiny-lookup": ("opensearch's sparse encoder without inference for queries: the encoder in the model's own folder", bert,
                    dict(BERT, architectures=["BertForMaskedLM"]),
                    dict(splade="log1p_relu", router=dict(document="", default="document", length=160))),
    "tiny-lookup-default": ("the encoder in a folder of its own; what is not said to be a document is a query, of 9 tokens",
                            distilbert, dict(DISTILBERT, architectures=["DistilBertForMaskedLM"], tie_word_embeddings=False),
                            dict(splade="relu", router=dict(document="document_0_MLMTransformer", default="query", length=9))),
    # Its markers, as mteb (model_implementations/pylate_models.py) runs jina-colbert-v2, with queries that see their masks;
    # fastembed (late_interaction/jina_colbert.py) has them as the two ids behind XLM-RoBERTa's vocabulary.
    "tiny-colbert-flash": ("jina-colbert-v2: ColBERT's layout around Jina's XLM-RoBERTa, rotary, with markers of its own",
                           xlm_roberta_flash,
                           dict(FLASH, model_type="xlm-roberta", architectures=["HF_ColBERT"], position_embedding_type="rotary",
                                rotary_emb_base=20000.0),
                           dict(artifact=dict(dim=24, query_maxlen=18, doc_maxlen=34, mask_punctuation=True,
                                              attend_to_mask_tokens=True, similarity="cosine",
                                              query_token_id="[QueryMarker]", doc_token_id="[DocumentMarker]"))),
    "tiny-sides": ("sentence-transformers' Router of two transformers, with tokenizers and lengths of their own", bert,
                   dict(BERT, architectures=["BertModel"]),
                   dict(sides=dict(default="document", document=dict(pooling="cls"),
                                   query=dict(graph=distilbert, config=dict(DISTILBERT, architectures=["DistilBertModel"]),
                                              pooling="mean", dense=BERT["hidden_size"], length=24, tokens=700)))),
    "tiny-sides-static": ("a table for queries, which are what is not said to be a document", bert,
                          dict(BERT, architectures=["BertModel"]),
                          dict(sides=dict(default="query", document=dict(pooling="mean"),
                                          query=dict(static=BERT["hidden_size"])))),
    "tiny-sides-cut": ("a table for queries, whose tokenizer keeps the end of what is too long for it", bert,
                       dict(BERT, architectures=["BertModel"]),
                       dict(sides=dict(default="document", document=dict(static=48, keeps="Right"),
                                       query=dict(static=48, keeps="Left")))),
    "tiny-sides-splade": ("a Router of two sparse encoders", bert, dict(BERT, architectures=["BertForMaskedLM"]),
                          dict(sides=dict(default="query", document=dict(splade="log1p_relu", length=40), query=dict(
                              graph=distilbert, splade="relu", length=24,
                              config=dict(DISTILBERT, architectures=["DistilBertForMaskedLM"], tie_word_embeddings=False))))),
    "tiny-sides-tasks": ("encoders of both sides with adapters for tasks", xlm_roberta_flash, JINA_V3,
                         dict(sides=dict(default="document", document=dict(pooling="mean"), query=dict(
                             pooling="mean", config=dict(JINA_V3, lora_rank=2, lora_adaptations=["separation", "retrieval.query"]))))),
    "tiny-asym": ("Asym, the older layout: one transformer, and a Dense for each side behind it", bert,
                  dict(BERT, architectures=["BertModel"]), dict(asym=dict(query=40, doc=40))),
    "tiny-bert-lora": ("an adapter beside the weights that it changes", bert, dict(BERT, architectures=["BertModel"]),
                       dict(pooling="mean", normalize=True, lora=dict(
                           r=4, lora_alpha=10, fan_in_fan_out=True, modules=("query", "value", "dense")))),
    "tiny-qwen3-lora": ("ranks and alphas by module, and the table of words", qwen3, QWEN3,
                        dict(pooling="last", normalize=True, lora=dict(
                            r=4, lora_alpha=3, use_rslora=True, rank_pattern={"layers.0.self_attn.q_proj": 2, "down_proj": 6},
                            alpha_pattern={r"^layers\.\d+\.mlp\..*": 9, "up_proj": 100, "v_proj": 1.5},
                            modules=("embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")))),
    "tiny-bert-splade-lora": ("the table of words is the decoder, and the adapter changes it as a table alone", bert,
                              dict(BERT, architectures=["BertForMaskedLM"]), dict(splade="relu", lora=dict(
                                  r=3, lora_alpha=3, modules=("word_embeddings", "position_embeddings", "key", "dense")))),
    "tiny-modernbert-lora": ("an adapter in a folder of its own, to products of several parts", modernbert,
                             dict(MODERNBERT, architectures=["ModernBertModel"]),
                             dict(pooling="cls", normalize=True, lora=dict(
                                 r=5, lora_alpha=5, apart=True, modules=("Wqkv", "Wi", "Wo")))),
    "tiny-static": ("model2vec: one row for each token", static, STATIC, dict(static=True)),
    "tiny-static-mapped": ("model2vec: tokens share rows, and have weights", static, dict(STATIC, mapped=True),
                           dict(static=True)),
    "tiny-static-int8": ("model2vec in int8: whole numbers, without a scale", static,
                         dict(STATIC, embedding_dtype="int8", normalize=False), dict(static=True)),
    "tiny-static-own": ("sentence-transformers' own layout: no config.json, another name for the table", static,
                        dict(STATIC, table="embedding.weight"), dict(static="0_StaticEmbedding")),
}


# --- files --------------------------------------------------------------------------------------------------

def vocabulary(config):
    """As make_tiny_models' vocabulary, with [PAD] where the config has it and a size that is no multiple of 64."""
    pieces = tiny.vocabulary(tiny.BASE)
    pad = config["pad_token_id"]
    pieces[0], pieces[pad] = pieces[pad], pieces[0]
    return pieces


def byte_alphabet():
    """The characters that stand for the 256 bytes in a byte-level vocabulary, in the order of the bytes."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) if b in plain else chr(256 + others.index(b)) for b in range(256)]


CHAT_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


def chat_tokenizer():
    """A byte-level tokenizer as Qwen's, with few merges: "yes", "no" and some other words."""
    vocab = byte_alphabet()
    merges = []
    for word in ("yes", "no", "system", "user", "assistant", "Query", "Document", "Instruct", "\u0120the", "\u0120river",
                 "\u0120meets", "\u0120passages", "er", "in", "\u010a\u010a"):
        for i in range(1, len(word)):
            if word[:i + 1] not in vocab:
                merges.append([word[:i], word[i]])
                vocab.append(word[:i + 1])
    pattern = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
               "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return vocab + list(CHAT_SPECIALS), {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": len(vocab) + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": i < 3} for i, text in enumerate(CHAT_SPECIALS)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {text: i for i, text in enumerate(vocab)}, "merges": merges}}


def write_late(folder, name, hidden, behind):
    """PyLate's modules: a Dense for each token, and how queries and documents are read."""
    width, residual = hidden, behind.get("residual", False)
    modules = [("", "sentence_transformers.models.Transformer")]
    for i, (out, activation, bias) in enumerate(behind["dense"], 1):
        path = f"{i}_Dense"
        modules.append((path, "pylate.models.Dense.Dense"))
        tiny.write_json(folder / path / "config.json", {
            "in_features": width, "out_features": out, "bias": bias, "use_residual": residual,
            "activation_function": "torch.nn.modules." + activation})
        w = Weights(f"{name}/{path}")
        w.linear("linear", out, width, bias=bias)
        if residual and out != width:
            w.linear("residual", out, width, bias=False)
        tiny.write_safetensors(folder / path / "model.safetensors", pack(w.tensors))
        width = out
    tiny.write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)])
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 39, "do_lower_case": False})
    tiny.write_json(folder / "config_sentence_transformers.json", {
        "model_type": "ColBERT", "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim",
        "query_prefix": "[Q] ", "document_prefix": "[D] ", **behind["late"]})


def write_multi_vector(folder, name, hidden, behind):
    """sentence-transformers' own modules of late interaction; prefixes are prompts."""
    package, own = "sentence_transformers.base.modules.", behind["multi_vector"]
    modules = [("", package + "transformer.Transformer"), ("1_Dense", package + "dense.Dense"),
               ("2_MultiVectorMask", "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"),
               ("3_Normalize", package + "normalize.Normalize")]
    tiny.write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)])
    tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    tiny.write_json(folder / "1_Dense/config.json", dict(
        tokens, in_features=hidden, out_features=40, bias=False, activation_function="torch.nn.modules.linear.Identity"))
    w = Weights(f"{name}/1_Dense")
    w.linear("linear", 40, hidden, bias=False)
    tiny.write_safetensors(folder / "1_Dense/model.safetensors", pack(w.tensors))
    tiny.write_json(folder / "2_MultiVectorMask/config.json", {
        "skiplist_words": own["skiplist"], "skiplist_tasks": ["document"], "keep_only_token_ids": None})
    tiny.write_json(folder / "3_Normalize/config.json", tokens)
    tiny.write_json(folder / "sentence_bert_config.json", {
        "transformer_task": "feature-extraction", "module_output_name": "token_embeddings", "document_length": 30,
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}, **own["lengths"]})
    tiny.write_json(folder / "config_sentence_transformers.json", {
        "model_type": "MultiVectorEncoder", "prompts": own["prompts"], "default_prompt_name": None,
        "similarity_fn_name": "maxsim"})


def add_prefixes(folder, vocab, model_type, special=False):
    """Two tokens behind the vocabulary, and settings that every class of tokenizers reads alike."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for i, text in enumerate(PREFIXES):
        tokenizer["added_tokens"].append({"id": len(vocab) + i, "content": text, "single_word": False, "lstrip": False,
                                          "rstrip": False, "normalized": not special, "special": special})
    tokenizer["truncation"] = None
    tiny.write_json(path, tokenizer)
    (folder / "vocab.txt").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if model_type == "bert" else [])
    tiny.write_json(folder / "tokenizer_config.json",
                    dict(settings, tokenizer_class="PreTrainedTokenizerFast", model_input_names=names))


def write_router(folder, name, behind, vocab):
    """A SparseEncoder's Router as sentence-transformers saves it: a table of weights for queries."""
    router = behind["router"]
    package, query = "sentence_transformers.sparse_encoder.models.", "query_0_SparseStaticEmbedding"
    structure = {"query": [query], "document": [router["document"], "document_1_SpladePooling"]}
    tiny.write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}])
    tiny.write_json(folder / "router_config.json", {
        "types": {query: package + "SparseStaticEmbedding", router["document"]: package + "MLMTransformer",
                  "document_1_SpladePooling": package + "SpladePooling"},
        "structure": structure,
        "parameters": {"default_route": router["default"], "allow_empty_key": True, "route_mappings": {}}})
    tiny.write_json(folder / "config_sentence_transformers.json", {
        "model_type": "SparseEncoder", "prompts": {"query": "", "document": ""}, "default_prompt_name": None,
        "similarity_fn_name": "dot"})
    tiny.write_json(folder / "document_1_SpladePooling/config.json",
                    {"pooling_strategy": "max", "activation_function": behind["splade"]})
    tiny.write_json(folder / query / "config.json", {"frozen": True})
    tiny.write_tokenizer(folder / query, dict(tiny.BASE, max_length=router["length"]), vocab)
    w = Weights(f"{name}/{query}")
    w.add("weight", [len(vocab)], 5.0, 2.0)
    tensors = [(tensor, shape, [max(v, 0.0) for v in values]) for tensor, shape, values in w.tensors]
    tiny.write_safetensors(folder / query / "model.safetensors", pack(tensors))


ST = "sentence_transformers.models."


def write_encoder(folder, seed, graph, config, vocab, length):
    """A Transformer's folder, whose tokenizer knows the first so many tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(config, vocab_size=len(vocab), torch_dtype="float32")
    tiny.write_json(folder / "config.json", config)
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    tiny.write_tokenizer(folder, dict(tiny.BASE, max_length=160), vocab)
    w = Weights(seed)
    graph(w, config)
    tiny.write_safetensors(folder / "model.safetensors", pack(w.tensors))


def write_pooling(folder, config, mode):
    tiny.write_json(folder / "config.json", {"embedding_dimension": config.get("dim", config.get("hidden_size")), "pooling_mode": mode})


def write_dense(folder, seed, n_in, n_out):
    tiny.write_json(folder / "config.json", {"in_features": n_in, "out_features": n_out, "bias": True,
                                             "activation_function": "torch.nn.modules.activation.Tanh"})
    w = Weights(seed)
    w.linear("linear", n_out, n_in)
    tiny.write_safetensors(folder / "model.safetensors", pack(w.tensors))


def write_module_list(folder, modules, prompts):
    tiny.write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": ST + kind} for i, (path, kind) in enumerate(modules)])
    tiny.write_json(folder / "config_sentence_transformers.json", {
        "prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def write_side(folder, name, route, side, graph, config, vocab):
    """One side's modules in the Router's own names, and their classes."""
    kinds = {}

    def path(kind, package=ST):
        kinds[f"{route}_{len(kinds)}_{kind}"] = package + kind
        return folder / list(kinds)[-1]

    if "static" in side:
        own = path("StaticEmbedding")
        own.mkdir(parents=True)
        truncation = {"direction": side["keeps"], "max_length": 7, "strategy": "LongestFirst", "stride": 0} if "keeps" in side else None
        tiny.write_json(own / "tokenizer.json", tiny.tokenizer_json(tiny.BASE, vocab) | {"truncation": truncation})
        w = Weights(f"{name}/{route}")
        w.add("embedding.weight", [len(vocab), side["static"]], 1.5)
        tiny.write_safetensors(own / "model.safetensors", pack(w.tensors))
        return kinds
    config = side.get("config", config)
    sparse = "sentence_transformers.sparse_encoder.models."
    write_encoder(path("MLMTransformer", sparse) if "splade" in side else path("Transformer"), f"{name}/{route}", side.get("graph", graph), config, vocab[:side.get("tokens", len(vocab))],
                  side.get("length", 100))
    if "splade" in side:
        tiny.write_json(path("SpladePooling", sparse) / "config.json", {"pooling_strategy": "max", "activation_function": side["splade"]})
        return kinds
    write_pooling(path("Pooling"), config, side["pooling"])
    if "dense" in side:
        write_dense(path("Dense"), f"{name}/{route}/dense", config.get("dim", config.get("hidden_size")), side["dense"])
    return kinds


def write_sides(folder, name, graph, config, behind, vocab):
    """A dense Router as sentence-transformers saves it, and a Normalize for both sides."""
    sides, types, structure = behind["sides"], {}, {}
    for route in ("query", "document"):
        kinds = write_side(folder, name, route, sides[route], graph, config, vocab)
        types |= kinds
        structure[route] = list(kinds)
    tiny.write_json(folder / "router_config.json", {
        "types": types, "structure": structure,
        "parameters": {"default_route": sides["default"], "allow_empty_key": True, "route_mappings": {}}})
    normalize = [] if "splade" in sides["query"] else [("1_Normalize", "Normalize")]
    prompts = {} if "tasks" in name else {"query": "the query: ", "document": ""}
    write_module_list(folder, [("", "Router"), *normalize], prompts)
    if "splade" in sides["query"]:
        tiny.write_json(folder / "config_sentence_transformers.json", {
            "model_type": "SparseEncoder", "prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "dot"})


def write_asym(folder, name, graph, config, behind, vocab):
    """What sentence-transformers 4 and older saved: Asym's config.json, and its modules in folders below it."""
    write_encoder(folder / "0_Transformer", name, graph, config, vocab, 100)
    write_pooling(folder / "1_Pooling", config, "mean")
    ids = {side: f"{140000000000000 + i}_Dense" for i, side in enumerate(behind["asym"])}
    for side, width in behind["asym"].items():
        write_dense(folder / "2_Asym" / ids[side], f"{name}/{side}", config["hidden_size"], width)
    tiny.write_json(folder / "2_Asym/config.json", {
        "types": {i: ST + "Dense" for i in ids.values()}, "structure": {side: [i] for side, i in ids.items()},
        "parameters": {"allow_empty_key": True}})
    write_module_list(folder, [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_Asym", "Asym")], {})


def write_modules(folder, behind):
    kinds = [("", "Transformer")]
    if "static" in behind:
        kinds = [("." if behind["static"] is True else behind["static"], "StaticEmbedding"), ("1_Normalize", "Normalize")]
    if "splade" in behind:
        kinds = [("", "MLMTransformer"), ("1_SpladePooling", "SpladePooling")]
        tiny.write_json(folder / "1_SpladePooling/config.json",
                        {"pooling_strategy": behind.get("strategy", "max"), "activation_function": behind["splade"]})
    elif "answers" in behind:
        kinds.append(("1_LogitScore", "LogitScore"))
        tiny.write_json(folder / "1_LogitScore/config.json", dict(
            zip(("true_token_id", "false_token_id"), behind["answers"]), module_input_name="causal_logits"))
        tiny.write_json(folder / "sentence_bert_config.json", {
            "transformer_task": "text-generation", "module_output_name": "causal_logits",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}})
    elif "static" not in behind:
        kinds.append(("1_Pooling", "Pooling"))
        mode = {"last": "lasttoken"}.get(behind["pooling"], behind["pooling"])
        tiny.write_json(folder / "1_Pooling/config.json", {"pooling_mode": mode})
        if behind.get("normalize"):
            kinds.append(("2_Normalize", "Normalize"))
    package = {"splade": "sparse_encoder.models.", "answers": "cross_encoder.modules."}.get(next(iter(behind)), "models.")
    tiny.write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers." + package + kind}
        for i, (path, kind) in enumerate(kinds)])
    if behind.get("custom"):
        modules = json.loads((folder / "modules.json").read_text())
        modules[0].update(type="custom_st.Transformer", kwargs=["task"])
        tiny.write_json(folder / "modules.json", modules)


PREFIXES = ("[Q] ", "[D] ")


def write_adapter(folder, seed, tensors, options):
    """A LoRA adapter as PEFT saves it, for those of the model's modules that it names."""
    options = dict(options)
    modules = options.pop("modules")
    w = Weights(seed, "base_model.model.")
    for name, (rows, columns) in tensors:
        module = name.removesuffix(".weight")
        kind = module.rpartition(".")[2]
        if kind not in modules:
            continue
        own = (r for key, r in options.get("rank_pattern", {}).items() if re.fullmatch(rf"(.*\.)?({key})", module))
        rank = next(own, options["r"])
        gain = 6 / (columns * rank) ** 0.5
        if kind.startswith("embed") or kind.endswith("embeddings"):
            w.add(module + ".lora_embedding_A", [rank, rows], 1.0)
            w.add(module + ".lora_embedding_B", [columns, rank], gain)
        else:
            w.add(module + ".lora_A.weight", [rank, columns], 1.0)
            w.add(module + ".lora_B.weight", [rows, rank], gain)
    folder.mkdir(parents=True, exist_ok=True)
    tiny.write_json(folder / "adapter_config.json", {
        "peft_type": "LORA", "task_type": None, "base_model_name_or_path": "", "bias": "none", "lora_dropout": 0.0,
        "fan_in_fan_out": False, "init_lora_weights": True, "inference_mode": True, "modules_to_save": None, "rank_pattern": {},
        "alpha_pattern": {}, "use_dora": False, "use_rslora": False, "layer_replication": None,
        "target_modules": list(modules)} | options)
    tiny.write_safetensors(folder / "adapter_model.safetensors", pack(w.tensors))


def write_whole_adapter(folder, name, tensors, options):
    """An adapter for the whole model; `apart` puts the model that it changes, with its config.json, into a folder of its own."""
    options = dict(options, base_model_name_or_path=str(folder.resolve()))
    if options.pop("apart", False):
        base = folder.with_name(f"{folder.name}-base").resolve()
        base.mkdir()
        for file in ("config.json", "model.safetensors"):
            (folder / file).rename(base / file)
        options["base_model_name_or_path"] = str(base)
    write_adapter(folder, f"{name}/adapter", [(n, shape) for n, shape, _ in tensors if len(shape) == 2], options)


def class_modules(c):
    """Names and shapes of what adapters may change in JinaEmbeddingsV3Model."""
    w = Weights("")
    jina_v3_class(w, c)
    return [(name, shape) for name, shape, _ in w.tensors if len(shape) == 2]


def pack(tensors):
    return [(name, "F32", shape, tiny.encode(values, "F32")) for name, shape, values in tensors]


def write_m3(folder, name, hidden, behind):
    for file, rows in (("sparse_linear", 1), ("colbert_linear", behind.get("colbert", hidden))):
        w = Weights(f"{name}/{file}")
        w.matrix("weight", rows, hidden)
        w.add("bias", [rows], 0.3)
        tiny.write_safetensors(folder / f"{file}.safetensors", pack(w.tensors))


def write_folder(folder, name, graph, config, behind, vocab, tokenizer):
    """A model with as many tokens as vocab has; tokenizer is its tokenizer.json, or None for a WordPiece one of vocab."""
    folder.mkdir(parents=True, exist_ok=True)
    for layout, write in (("sides", write_sides), ("asym", write_asym)):
        if layout in behind:
            return write(folder, name, graph, config, behind, vocab)
    config = dict(config, vocab_size=len(vocab) + bool({"late", "multi_vector"} & set(behind)) * len(PREFIXES), torch_dtype="float32")
    if "static" in behind:
        config["rows"] = 311 if "mapped" in config else len(vocab)
    static_path = behind["static"] if isinstance(behind.get("static"), str) else ""
    own = folder / (static_path or behind.get("router", {}).get("document", ""))
    own.mkdir(exist_ok=True)
    if not static_path:
        tiny.write_json(own / "config.json", config)
    if tokenizer is not None:
        tiny.write_json(folder / "tokenizer.json", tokenizer)
    else:
        tiny.write_tokenizer(own, dict(tiny.BASE, max_length=160), vocab)
    w = Weights(name)
    graph(w, config)
    if "artifact" in behind:
        w.at("").linear("linear", behind["artifact"]["dim"], config["hidden_size"], bias=False)
        tiny.write_json(folder / "artifact.metadata", behind["artifact"])
    tensors = pack(w.tensors)
    if config.get("embedding_dtype") == "int8":
        tensors = [(tensor, "I8", shape, struct.pack(f"{len(values)}b", *(round(v / 1.5 * 127) for v in values)))
                   for tensor, shape, values in w.tensors]
    if "mapped" in config:
        rows = [i * 7 % config["rows"] for i in range(len(vocab))]
        tensors.append(("mapping", "I64", [len(vocab)], struct.pack(f"<{len(vocab)}q", *rows)))
    tiny.write_safetensors(own / "model.safetensors", tensors)
    if "multi_vector" in behind:
        add_prefixes(folder, vocab, config["model_type"], special=True)
        write_multi_vector(folder, name, config["hidden_size"], behind)
    elif "late" in behind:
        add_prefixes(folder, vocab, config["model_type"])
        write_late(folder, name, config["hidden_size"], behind)
    elif "router" in behind:
        write_router(folder, name, behind, vocab)
    elif behind and not behind.get("chat") and "artifact" not in behind:
        write_modules(folder, behind)
    if behind.get("m3"):
        write_m3(folder, name, config["hidden_size"], behind)
    if "lora" in behind:
        write_whole_adapter(folder, name, w.tensors, behind["lora"])
    for task, options in behind.get("adapters", {}).items():
        write_adapter(folder / task.replace(".", "_").replace("-", "_"), f"{name}/{task}", class_modules(config), options)


def write_model(dest, name):
    _, graph, config, behind = MODELS[name]
    folder = Path(dest) / name
    vocab, tokenizer = chat_tokenizer() if behind.get("chat") else (vocabulary(config), None)
    if "artifact" in behind:
        vocab[-2:] = sorted(behind["artifact"].get(f"{side}_token_id", unused)
                            for side, unused in (("query", "[unused0]"), ("doc", "[unused1]")))
    write_folder(folder, name, graph, config, behind, vocab, tokenizer)
    return folder


def main(argv):
    if len(argv) < 2 or argv[1].startswith("-"):
        sys.exit(f"usage: {argv[0]} DEST [NAME ...]\nmodels: {' '.join(MODELS)}")
    names = argv[2:] or list(MODELS)
    unknown = [n for n in names if n not in MODELS]
    if unknown:
        sys.exit(f"make_tiny_architectures: error: no model named {unknown[0]}; there are: {' '.join(MODELS)}")
    for name in names:
        write_model(argv[1], name)


if __name__ == "__main__":
    main(sys.argv)
