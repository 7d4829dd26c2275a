#!/usr/bin/env python3
"""Makes the goldens under tests/golden/architectures: what the reference libraries make of token ids.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_architecture_goldens.py

Every model of tools/make_tiny_architectures.py reads a few sequences of ids in `transformers`, in float32 on the CPU, one
at a time, so that no padding takes part. Pooling, and bge-m3's two linear layers as FlagEmbedding applies them
(serving semantics: relu(W h + b) for each token; W h + b of unit length), are a few lines here; SPLADE's pooling is
sentence-transformers' own. tests/golden/architectures/README.md describes the files.
"""

import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from random import Random

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/architectures"
sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_architectures as tiny

LENGTHS = (1, 2, 9, 31, 64, 97, 150)    # of the sequences; their order is that of the files


N_IDS = 1200                            # below every vocabulary's size


def sequences():
    """Any ids but the two that are padding, from which RoBERTa's positions would not count on."""
    random = Random(5)
    return [[random.randrange(2, N_IDS) for _ in range(n)] for n in LENGTHS]


def translated(folder, config):
    """The Hub's config.json of NomicBERT is for code of its own; transformers' class reads the same weights by other keys."""
    if config["model_type"] != "nomic_bert":
        return folder
    keys = {"n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
            "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
            "layer_norm_epsilon": "layer_norm_eps"}
    new = {new: config[old] for old, new in keys.items()}
    new.update({k: config[k] for k in ("model_type", "architectures", "vocab_size", "type_vocab_size", "pad_token_id")},
               hidden_act="silu", rope_parameters={"rope_type": "default", "rope_theta": config["rotary_emb_base"]})
    other = folder.with_name(folder.name + "-translated")
    other.mkdir()
    (other / "config.json").write_text(json.dumps(new))
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return other


def load(folder, config):
    """As the class that config.json names; no tensor may be missing or left over."""
    folder = translated(folder, config)
    name = config["architectures"][0]
    cls = getattr(transformers, name.replace("ForCausalLM", "Model"))
    model, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    left = {k: sorted(v) for k, v in info.items() if v}
    left["missing_keys"] = [k for k in left.get("missing_keys", []) if "pooler" not in k]
    if any(left.values()):
        sys.exit(f"make_architecture_goldens: error: {folder.name}: {left}")
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


def splade(logits, activation):
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    pooling = SpladePooling(activation_function=activation).eval()
    return pooling({"token_embeddings": logits[None], "attention_mask": torch.ones(1, len(logits))})["sentence_embedding"][0]


@torch.no_grad()
def answers(folder, model, config, behind, ids):
    """{head: rows} for one sequence, as tests/golden/architecture_test.c asks for them."""
    types = types_of(ids, config)
    arguments = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    if types is not None:
        arguments["token_type_ids"] = torch.tensor([types])
    out = model(**arguments)
    if "splade" in behind:
        return {"vocabulary": splade(out.logits[0], behind["splade"])}
    if not behind:
        return {"scores": out.logits[0]}
    states = out.last_hidden_state[0]
    rows = {"dense": pooled(states, behind["pooling"])}
    if behind.get("m3"):
        rows["weights"], rows["vectors"] = m3_heads(folder, states)
    return rows


def make(name, folder):
    why, _, _, behind = tiny.MODELS[name]
    config = json.loads((folder / "config.json").read_text())
    model = load(folder, config)
    rows = [answers(folder, model, config, behind, ids) for ids in sequences()]
    heads = {head: np.concatenate([r[head].numpy().astype("<f4").ravel() for r in rows]) for head in rows[0]}
    (OUT / f"{name}.f32").write_bytes(b"".join(values.tobytes() for values in heads.values()))
    return {"model": name, "why": why, "two_types": types_of([0, 0], config) is not None,
            "values": {head: len(values) for head, values in heads.items()}}


def main():
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*.f32"):
        old.unlink()
    with tempfile.TemporaryDirectory() as models:
        entries = [make(name, tiny.write_model(models, name)) for name in tiny.MODELS]
    names = ("transformers", "sentence-transformers", "torch", "numpy")
    made_with = {"python": sys.version.split()[0], **{n: version(n) for n in names}}
    lines = [f' "made_with": {json.dumps(made_with)}', ' "ids": [\n  ' + ",\n  ".join(map(str, sequences())) + "\n ]",
             ' "models": [\n  ' + ",\n  ".join(map(json.dumps, entries)) + "\n ]"]
    (OUT / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
