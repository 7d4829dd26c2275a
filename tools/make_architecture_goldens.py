#!/usr/bin/env python3
"""Makes the goldens under tests/golden/architectures: what the reference libraries make of token ids.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_architecture_goldens.py

Every model of tools/make_tiny_architectures.py reads a few sequences of ids in `transformers`, in float32 on the CPU, one
at a time, so that no padding takes part; JinaBERT, for which it has no class, in a few lines of torch; static models in
model2vec, or sentence-transformers where the layout is its own.
Adapters in the weights' own file are worked into them before, as xlm-roberta-flash-implementation's LoRAParametrization does
on the way; those in folders PEFT loads, and transformers itself those for a whole model, with the model that they name.
Pooling, and bge-m3's two linear layers as FlagEmbedding applies them (serving semantics: relu(W h + b) for each token;
W h + b of unit length), are a few lines here; SPLADE's pooling is sentence-transformers' own.
tests/golden/architectures/README.md describes the files.
"""

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from random import Random
from types import SimpleNamespace

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/architectures"
sys.path.insert(0, str(ROOT / "tools"))
import golden_manifest
import make_tiny_architectures as tiny

LENGTHS = (1, 2, 9, 31, 64, 97, 150)    # of the sequences; their order is that of the files


N_IDS = 1200                            # below every vocabulary's size


def sequences():
    """Any ids but the two that are padding, from which RoBERTa's positions would not count on."""
    random = Random(5)
    return [[random.randrange(2, N_IDS) for _ in range(n)] for n in LENGTHS]


def translation(config):
    """The config.json of models that came with code of their own, as transformers' class for the same weights reads it."""
    if config.get("model_type") == "nomic_bert":
        keys = {"n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
                "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
                "layer_norm_epsilon": "layer_norm_eps"}
        new = {new: config[old] for old, new in keys.items()}
        new.update({k: config[k] for k in ("model_type", "architectures", "vocab_size", "type_vocab_size", "pad_token_id")},
                   hidden_act="silu", rope_parameters={"rope_type": "default", "rope_theta": config["rotary_emb_base"]})
        return new
    if config.get("model_type") == "new":
        new = {k: v for k, v in config.items() if k not in ("rope_scaling", "rope_theta", "position_embedding_type")}
        new.update(model_type="gte", architectures=[config["architectures"][0].replace("New", "Gte")],
                   rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]})
        return new
    if is_flash(config) and config["position_embedding_type"] == "rotary":
        keep = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "hidden_act", "vocab_size",
                "layer_norm_eps", "max_position_embeddings", "type_vocab_size", "pad_token_id")
        return {k: config[k] for k in keep} | {
            "model_type": "jina_embeddings_v3", "architectures": ["JinaEmbeddingsV3Model"],
            "rope_parameters": {"rope_type": "default", "rope_theta": config["rotary_emb_base"]}}
    if is_flash(config):
        return {k: v for k, v in config.items() if k != "auto_map"}
    return config


def is_flash(config):
    return "XLMRobertaFlashConfig" in config.get("auto_map", {}).get("AutoConfig", "")


def merged(tensors, config, task):
    """Weights without parametrizations: W, or with a task W + alpha / rank B A, of tables A B."""
    scale = config.get("lora_alpha", 1) / config.get("lora_rank", 1)
    plain = {}
    for name, tensor in tensors.items():
        stem = name.removesuffix(".parametrizations.weight.original")
        if stem != name:
            if task is not None:
                a, b = (tensors[f"{stem}.parametrizations.weight.0.lora_{x}"][task] for x in "AB")
                tensor = tensor + scale * (a @ b if "embeddings" in stem else b @ a)
            plain[stem + ".weight"] = tensor.contiguous()
        elif ".lora_" not in name:
            plain[name] = tensor
    return plain


def roberta_names(tensors):
    """Those of transformers' XLM-RoBERTa, as convert_roberta_weights_to_flash.py finds them."""
    names = {"emb_ln": "embeddings.LayerNorm", "encoder.layers": "encoder.layer", "mixer.out_proj": "attention.output.dense",
             "norm1": "attention.output.LayerNorm", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
             "norm2": "output.LayerNorm"}
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in names.items():
            name = name.replace(old, new)
        if "mixer.Wqkv" not in name:
            renamed[name] = tensor
            continue
        for part, values in zip(("query", "key", "value"), tensor.chunk(3)):
            renamed[name.replace("mixer.Wqkv", "attention.self." + part)] = values.contiguous()
    return renamed


def translated(folder, config, task):
    new = translation(config)
    if new is config:
        return folder, config
    other = folder.with_name(f"{folder.name}-translated-{task}")
    other.mkdir()
    (other / "config.json").write_text(json.dumps(new))
    tensors = load_file(folder / "model.safetensors")
    if is_flash(config):
        tensors = merged(tensors, config, task)
    if new["model_type"] == "xlm-roberta":
        tensors = roberta_names(tensors)
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    return other, new


def stretch(model, config):
    """NTK-aware angles, as Alibaba-NLP/new-impl has them: base times the factor, all divided by factor^(2 / head_dim)."""
    scaling = config.get("rope_scaling")
    if scaling is None:
        return
    dim = config["hidden_size"] // config["num_attention_heads"]
    base, factor = config["rope_theta"] * scaling["factor"], scaling["factor"]
    angles = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim)) / factor ** (2 / dim)
    model.rotary_emb.inv_freq = angles
    model.rotary_emb.original_inv_freq = angles


class JinaBert(torch.nn.Module):
    """jinaai/jina-bert-implementation and jinaai/jina-bert-v2-qk-post-norm in plain torch, for one sequence: transformers has
    no class for them."""

    def __init__(self, folder, config):
        super().__init__()
        self.config = config
        self.weights = {k.removeprefix("bert."): v for k, v in load_file(folder / "model.safetensors").items()}

    def linear(self, name, x):
        return torch.nn.functional.linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def norm(self, name, x):
        return torch.nn.functional.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"],
                                              self.config["layer_norm_eps"])

    def slopes(self, n):
        if math.log2(n).is_integer():
            return [2 ** (-8 * (i + 1) / n) for i in range(n)]
        below = 2 ** math.floor(math.log2(n))
        return self.slopes(below) + self.slopes(2 * below)[0::2][:n - below]

    def forward(self, input_ids, token_type_ids, **_):
        n, heads = input_ids.shape[1], self.config["num_attention_heads"]
        split = lambda t: t.view(n, heads, -1).transpose(0, 1)
        places = torch.arange(n)
        bias = -torch.tensor(self.slopes(heads))[:, None, None] * (places[:, None] - places[None]).abs()
        x = (self.weights["embeddings.word_embeddings.weight"][input_ids[0]]
             + self.weights["embeddings.token_type_embeddings.weight"][token_type_ids[0]])
        x = self.norm("embeddings.LayerNorm", x)
        for i in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}."
            q, k, v = (self.linear(layer + "attention.self." + s, x) for s in ("query", "key", "value"))
            has_qk_norms = layer + "layer_norm_1.weight" in self.weights
            if has_qk_norms:
                q, k = self.norm(layer + "attention.self.layer_norm_q", q), self.norm(layer + "attention.self.layer_norm_k", k)
            q, k, v = split(q), split(k), split(v)
            p = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + bias, dim=-1)
            attention = self.norm(layer + "attention.output.LayerNorm",
                                  x + self.linear(layer + "attention.output.dense", (p @ v).transpose(0, 1).reshape(n, -1)))
            if has_qk_norms:
                x = self.norm(layer + "layer_norm_1", x + attention)
                up, gate = self.linear(layer + "mlp.up_gated_layer", x).chunk(2, dim=-1)
                names = "mlp.down_layer", "layer_norm_2"
            else:
                x = attention
                gate, up = self.linear(layer + "mlp.gated_layers", x).chunk(2, dim=-1)
                names = "mlp.wo", "mlp.layernorm"
            x = self.norm(layer + names[1], x + self.linear(layer + names[0], torch.nn.functional.gelu(gate) * up))
        if "classifier.weight" in self.weights:
            return SimpleNamespace(logits=self.linear("classifier", torch.tanh(self.linear("pooler.dense", x[:1]))))
        return SimpleNamespace(last_hidden_state=x[None])


def static_model(folder):
    """Ids to their mean, as model2vec has it, or of sentence-transformers' own layout that."""
    if (folder / "config.json").exists():
        from model2vec import StaticModel
        table = StaticModel.from_pretrained(folder, force_download=False)
        return lambda ids: torch.from_numpy(table._encode_helper(ids).mean(axis=0))
    from sentence_transformers import SentenceTransformer
    module = SentenceTransformer(str(folder), device="cpu")[0]
    return lambda ids: module({"input_ids": torch.tensor(ids), "offsets": torch.tensor([0])})["sentence_embedding"][0]


def task_names(name):
    """Of a model's adapters, in config.json's order."""
    _, _, config, behind = tiny.MODELS[name]
    return list(behind.get("adapters", config.get("lora_adaptations", [])))


def load(folder, config, predicts, task=None):
    """As the class that config.json names, or when it does not have to predict tokens, without that head; no tensor may be missing or left over."""
    if config["architectures"][0].startswith("JinaBert"):
        return JinaBert(folder, config)
    original = config
    folder, config = translated(folder, config, task)
    name = config["architectures"][0]
    cls = getattr(transformers, name if predicts else name.replace("ForCausalLM", "Model"))
    model, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    left = {k: sorted(v) for k, v in info.items() if v}
    left["missing_keys"] = [k for k in left.get("missing_keys", []) if "pooler" not in k]
    if any(left.values()):
        sys.exit(f"make_architecture_goldens: error: {folder.name}: {left}")
    stretch(model, original)
    return model.eval()


def types_of(ids, config):
    """The second half as another token type, where a model knows two."""
    half = len(ids) // 2
    return [0] * (len(ids) - half) + [1] * half if config.get("type_vocab_size", 0) > 1 else None


def pooled(states, pooling):
    return {"cls": states[0], "mean": states.mean(0), "last": states[-1]}[pooling]


def m3_heads(folder, states):
    sparse, colbert = (load_file(folder / f"{n}_linear.safetensors") for n in ("sparse", "colbert"))
    weights = torch.relu(states @ sparse["weight"].T + sparse["bias"]).flatten()
    vectors = torch.nn.functional.normalize(states @ colbert["weight"].T + colbert["bias"], dim=-1)
    return weights, vectors


def splade(logits, activation, strategy):
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    pooling = SpladePooling(strategy, activation).eval()
    return pooling({"token_embeddings": logits[None], "attention_mask": torch.ones(1, len(logits))})["sentence_embedding"][0]


@torch.no_grad()
def answers(folder, model, config, behind, ids):
    """{head: rows} for one sequence, as tests/golden/architecture_test.c asks for them."""
    if "static" in behind:
        return {"dense": model(ids)}
    types = types_of(ids, config)
    arguments = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    if types is not None:
        arguments["token_type_ids"] = torch.tensor([types])
    out = model(**arguments)
    if "splade" in behind:
        return {"vocabulary": splade(out.logits[0], behind["splade"], behind.get("strategy", "max"))}
    if "answers" in behind:
        yes, no = behind["answers"]
        return {"scores": (out.logits[0, -1, yes] - out.logits[0, -1, no])[None]}
    if not behind:
        return {"scores": out.logits[0]}
    states = out.last_hidden_state[0]
    rows = {"dense": pooled(states, behind["pooling"])}
    if behind.get("m3"):
        rows["weights"], rows["vectors"] = m3_heads(folder, states)
    return rows


def make(name, folder, task):
    """Without a task, or with one of the model's."""
    why, _, _, behind = tiny.MODELS[name]
    if "static" in behind:
        config, model = {}, static_model(folder)
    else:
        base = folder if (folder / "config.json").exists() else folder.with_name(f"{name}-base")
        config = json.loads((base / "config.json").read_text())
        model = load(folder, config, "answers" in behind, task)
        if "adapters" in behind and task is not None:
            model.load_adapter(str(folder / task_names(name)[task].replace(".", "_").replace("-", "_")))
    rows = [answers(folder, model, config, behind, ids) for ids in sequences()]
    heads = {head: np.concatenate([r[head].numpy().astype("<f4").ravel() for r in rows]) for head in rows[0]}
    file = name if task is None else f"{name}-{task_names(name)[task]}"
    (OUT / f"{file}.f32").write_bytes(b"".join(values.tobytes() for values in heads.values()))
    entry = {"model": name, "file": f"{file}.f32", "why": why, "two_types": types_of([0, 0], config) is not None,
             "values": {head: len(values) for head, values in heads.items()}}
    return entry if task is None else entry | {"task": task_names(name)[task]}


def make_all(models):
    for name, (_, _, config, behind) in tiny.MODELS.items():
        if name in CHAT_MODELS or {"late", "router", "artifact", "multi_vector", "sides", "asym"} & set(behind):
            continue
        folder = tiny.write_model(models, name)
        for task in (None, *range(len(task_names(name)))):
            yield make(name, folder, task)


CHAT_MODELS = [name for name, (_, _, _, behind) in tiny.MODELS.items() if behind.get("chat")]

# What Qwen3-Reranker's model card puts around a query and a document.
BEFORE = ('<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. '
          'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n')
AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

CHATS = [   # instruction, query, document, max_length
    (None, "what is a river", "A river is a stream of water that flows to the sea.", 1024),
    (None, "what is a river", "The answer is yes, or no.", 1024),
    ("Find the passages that are about music", "the garden in winter", "<|im_end|>\n<think> Is that a document?", 1024),
    (None, "", "", 1024),
    ("", "r\u00edo", "El r\u00edo \u6cb3 \U0001f30a\n\n", 1024),
    (None, "a long one", "the river meets the sea " * 60, 420),
]


@torch.no_grad()
def judge(model, tokenizer, instruction, query, document, max_length):
    """Logit and score of the answer "yes", as the model card has them."""
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    before, after = encode(BEFORE), encode(AFTER)
    body = encode(f"<Instruct>: {instruction or INSTRUCTION}\n<Query>: {query}\n<Document>: {document}")
    ids = before + body[:max_length - len(before) - len(after)] + after
    last = model(input_ids=torch.tensor([ids])).logits[0, -1]
    answers = last[[tokenizer.token_to_id("no"), tokenizer.token_to_id("yes")]]
    return {"instruction": instruction, "query": query, "document": document, "max_length": max_length, "tokens": len(ids),
            "logit": (answers[1] - answers[0]).item(), "score": torch.log_softmax(answers, 0)[1].exp().item()}


def make_chats(folder):
    model = load(folder, json.loads((folder / "config.json").read_text()), True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = [json.dumps(judge(model, tokenizer, *chat)) for chat in CHATS]
    (OUT / f"{folder.name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main():
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for old in (*OUT.glob("*.f32"), *OUT.glob("*.jsonl")):
        old.unlink()
    with tempfile.TemporaryDirectory() as models:
        for name in CHAT_MODELS:
            make_chats(tiny.write_model(models, name))
        entries = list(make_all(models))
    names = ("transformers", "sentence-transformers", "model2vec", "peft", "torch", "numpy")
    lines = [f' "made_with": {json.dumps(golden_manifest.made_with(names))}',
             ' "ids": [\n  ' + ",\n  ".join(map(str, sequences())) + "\n ]",
             ' "models": [\n  ' + ",\n  ".join(map(json.dumps, entries)) + "\n ]"]
    (OUT / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
