#!/usr/bin/env python3
"""Makes the goldens under tests/golden/tokenizers: what `tokenizers` answers for small tokenizers of the real ones' structure.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install tokenizers==0.23.3
    /tmp/goldens/bin/python tools/make_tokenizer_goldens.py

tests/golden/tokenizers/README.md describes the files. The same bytes come out every time.
"""
import json
import os
import random
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden/tokenizers"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n" for row in rows))


# --- pairs ---------------------------------------------------------------------------------------------------

def special(name, type_id):
    return {"SpecialToken": {"id": name, "type_id": type_id}}


def text(name, type_id):
    return {"Sequence": {"id": name, "type_id": type_id}}


def template(single, pair):
    tokens = {"[CLS]": [0], "[SEP]": [1], "two": [0, 1]}
    return {"type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {k: {"id": k, "ids": v, "tokens": [k] * len(v)} for k, v in tokens.items()}}


PROCESSORS = {
    "none": None,
    "bert": {"type": "BertProcessing", "cls": ["[CLS]", 0], "sep": ["[SEP]", 1]},
    "roberta": {"type": "RobertaProcessing", "cls": ["[CLS]", 0], "sep": ["[SEP]", 1], "trim_offsets": True, "add_prefix_space": False},
    "byte level": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "template": template([special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
                         [special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)]),
    "second first": template([text("A", 0)], [text("B", 7), special("two", 3), text("A", 2)]),
    "sequence": {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        template([text("A", 0), special("[SEP]", 0)], [text("A", 0), text("B", 0), special("[SEP]", 0)])]},
}


def word_settings(processor):
    vocab = {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, **{chr(97 + i): 3 + i for i in range(26)}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": processor, "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": vocab}}


def pair_cases(rng):
    sizes = [(0, 0), (0, 6), (6, 0), (1, 1), (2, 9), (9, 2), (3, 3), (7, 7), (8, 7), (7, 8), (20, 21), (21, 20), (30, 4)]
    for name, processor in PROCESSORS.items():
        reference = Tokenizer.from_str(json.dumps(word_settings(processor)))
        n_added = reference.num_special_tokens_to_add(True)
        for n_a, n_b in sizes:
            a, b = (" ".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n)) for n in (n_a, n_b))
            for max_length in [0, n_added, n_added + 1, 8, 9, 12, 13, 19]:
                strategy = rng.choice(["longest_first", "longest_first", "only_first", "only_second"])
                left, bare = rng.random() < 0.25, rng.random() < 0.15
                if 0 < max_length < n_added or (max_length == 0 and strategy != "longest_first"):
                    continue
                reference.no_truncation()
                if max_length > 0:
                    reference.enable_truncation(max_length, strategy=strategy, direction="left" if left else "right")
                case = dict(processor=name, a=a, b=b, max_length=max_length, truncation=strategy, cut_front=left, no_specials=bare)
                try:
                    got = reference.encode(a, b, add_special_tokens=not bare)
                    whole = len(got.ids) == len(a.split()) + len(b.split()) + (0 if bare else n_added)
                    yield {**case, "ids": got.ids, "types": got.type_ids, "truncated": not whole}
                except Exception as error:
                    assert "too short" in str(error), error
                    yield {**case, "refused": True}


def make_pairs():
    write(GOLDEN / "pairs/processors.json", {name: word_settings(p) for name, p in PROCESSORS.items()})
    rows = list(pair_cases(random.Random(1)))
    write_lines(GOLDEN / "pairs/cases.jsonl", rows)
    print(f"pairs: {len(rows)} cases, {sum('refused' in r for r in rows)} refused")


def main():
    make_pairs()


if __name__ == "__main__":
    main()
