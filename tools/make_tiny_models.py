#!/usr/bin/env python3
"""Writes small seeded BERT models in the Hub's folder layout, for the tests.

    python3 tools/make_tiny_models.py DEST [NAME ...]

Only the standard library is used, and it takes well under a second. The same bytes come out on every
machine and Python: the numbers are 16-bit integers of a Mersenne twister, scaled with IEEE products, so no
math library is involved. The vectors that the reference libraries give for these models are committed under
tests/golden/tiny (made by tools/make_goldens.py); the weights themselves are never committed.

Each model is there for one or two ways in which real models differ from one another; MODELS says which.
"""

import json
import struct
import sys
import zlib
from array import array
from pathlib import Path
from random import Random

# --- the models ---------------------------------------------------------------------------------------------

BASE = dict(
    hidden=64, heads=4, layers=2, intermediate=256, act="gelu", eps=1e-12, types=2,
    positions=130,              # rows of the position table
    max_length=128,             # tokens, [CLS] and [SEP] included
    pooling=("cls",), normalize=True, dense=None,
    dtype="F32", prefix="", shards=1, pooler=True, position_ids=False, aligned=True,
    lower=True,                 # what the tokenizer's normaliser does
    strip_accents=None,         # None: as `lower` says
    split_chinese=True,
    sbert_lower=False,          # sentence_bert_config.json: text is lower-cased before tokenising
    prompts=None, default_prompt=None, similarity="cosine", include_prompt=None,
    specials_first=True,        # False: [PAD] and friends at the end of the vocabulary, as some models have
    vocab_only=False,           # True: vocab.txt and tokenizer_config.json but no tokenizer.json
    modern=False,               # True: the file names and keys that sentence-transformers 6 writes
    outlier=None,               # a channel that LayerNorm scales up, as trained models have
)

MODELS = {
    # name: (why it is here, settings that differ from BASE)
    "tiny-cls": ("bge: CLS pooling, normalised, one outlier channel; the pooler is in the file but unused",
                 dict(outlier=7)),
    "tiny-mean-f16": ("F16 tensors, mean pooling, not normalised, 3 heads, 1e-5 in LayerNorm",
                      dict(hidden=48, heads=3, intermediate=192, pooling=("mean_tokens",), normalize=False,
                           dtype="F16", eps=1e-5, max_length=64, positions=64, similarity="dot")),
    "tiny-bf16-max": ("BF16 tensors, max pooling, no pooler in the file",
                      dict(dtype="BF16", pooling=("max_tokens",), pooler=False)),
    "tiny-last": ("last-token pooling, special tokens at the end of the vocabulary, so [PAD] is not 0",
                  dict(pooling=("lasttoken",), specials_first=False, layers=3)),
    "tiny-dense": ("a Dense module with tanh after mean pooling, 64 to 24 dimensions, then normalised",
                   dict(pooling=("mean_tokens",), dense=(24, "Tanh", True), max_length=96)),
    "tiny-dense-identity": ("a Dense module without bias and activation that widens, 32 to 80 dimensions",
                            dict(hidden=32, heads=2, intermediate=128, pooling=("mean_tokens",),
                                 dense=(80, "Identity", False), normalize=False)),
    "tiny-sharded": ("two shards with an index, tensors named bert.*, the masked-language head among them",
                     dict(prefix="bert.", shards=2, pooling=("mean_tokens",), position_ids=True)),
    "tiny-prompts": ("prompts with a default one, dot product as similarity",
                     dict(pooling=("mean_tokens",), default_prompt="query", similarity="dot",
                          prompts={"query": "query: ", "passage": "passage: ", "empty": ""})),
    "tiny-prompt-excluded": ("the prompt is read but its tokens are left out of the mean",
                             dict(pooling=("mean_tokens",), include_prompt=False,
                                  prompts={"query": "Represent the question for retrieval: ", "passage": ""})),
    "tiny-mrl": ("odd sizes: hidden 40, intermediate 72, 5 heads of 8; cut to fewer dimensions in the goldens",
                 dict(hidden=40, heads=5, intermediate=72, pooling=("mean_tokens",), types=1)),
    "tiny-relu": ("ReLU, a cased tokenizer, weights that start at an odd address of the file",
                  dict(act="relu", lower=False, aligned=False, pooling=("mean_tokens",))),
    "tiny-gelu-new": ("GELU by tanh, one layer, text lower-cased before a cased tokenizer, no split between Chinese characters",
                      dict(act="gelu_new", layers=1, lower=False, sbert_lower=True, split_chinese=False,
                           pooling=("mean_tokens",))),
    "tiny-head32": ("two heads of 32, accents kept while lower-casing, only vocab.txt beside the weights",
                    dict(heads=2, strip_accents=False, vocab_only=True, pooling=("mean_tokens",))),
    "tiny-head64": ("two heads of 64 and intermediate 512, as the base and large models have",
                    dict(hidden=128, heads=2, intermediate=512, max_length=128)),
    "tiny-pool-concat": ("CLS, max and mean pooling side by side, 3 x 32 dimensions",
                         dict(hidden=32, heads=1, intermediate=96,
                              pooling=("cls", "max_tokens", "mean_tokens"))),
    "tiny-pool-sqrt": ("the sum over tokens divided by the square root of their number",
                       dict(hidden=32, heads=4, intermediate=64, normalize=False,
                            pooling=("mean_sqrt_len_tokens",))),
    "tiny-pool-weighted": ("a mean in which the i-th token weighs i",
                           dict(hidden=32, heads=4, intermediate=64, normalize=False,
                                pooling=("weightedmean_tokens",))),
    "tiny-pool-all": ("all kinds of pooling side by side, 6 x 16 dimensions, with and without a prompt that is left out",
                      dict(hidden=16, heads=2, intermediate=64, normalize=False, include_prompt=False,
                           pooling=("cls", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens",
                                    "lasttoken"),
                           prompts={"query": "Represent the question for retrieval: "})),
    "tiny-cls-excluded": ("CLS pooling where the prompt is left out: the first token after it stands for [CLS]",
                          dict(hidden=16, heads=2, intermediate=64, normalize=False, include_prompt=False,
                               prompts={"query": "Represent the question for retrieval: "})),
    "tiny-modern": ("the layout that sentence-transformers 6 writes: other module names, pooling by name, the "
                    "maximal length in tokenizer_config.json, neither vocab.txt nor special_tokens_map.json",
                    dict(modern=True, pooling=("mean_tokens", "lasttoken"), max_length=72,
                         dense=(48, "Tanh", True))),
}

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# --- vocabulary ---------------------------------------------------------------------------------------------

WORDS = """the of and to in a is that for it as with on be by this are from or at an not have was can which
one all will there more when water light river stone house garden morning winter summer music paper window
question answer search query passage document vector number model text word sentence language small large
quick brown fox dog cat bird tree sea ship road bread cafe naive straße été año señor mañana über grün
represent retrieval first second third time day year people world who what where why how good new old
Москва слово дом я и не на ที่ และ 日本 中国 東京 서울 한국 안녕""".split()

SUFFIXES = """ing ed er est ly s es ion tion ment ness able ful less al ic ive ous ity ize ise th st nd rd
ever thing where one two ology graph phone pre un re in on an en ar or at it le te ti st ra ro li el""".split()

LETTERS = ("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœßđłşğıžščćřůő"
           "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ"
           "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґ"
           "אבגדהוזחטיכלמנסעפצקרשתםןףךץ"
           "ءاأإآبتثجحخدذرزسشصضطظعغفقكلمنهوىيةپچگک"
           "अआइईउऊएकखगघचछजटडणतथदधनपफबभमयरलवशषसहािीुूेोंः"
           "กขคงจชซดตถทนบปผพฟมยรลวสหอะาิีุูเแโใไ"
           "அஆஇஉஎஒகஙசஞடணதநபமயரலவழளறனாிுெொ"
           "あいうえおかきくけこさしすせそたちつてとなにのはひふへほまみむめもやゆよらりるれろわをん"
           "アイウエオカキクケコサシスセソタチツテトナニノハヒフヘホマミムメモラリルレロワンー"
           "一二三人大小山川日月水火木金土中国東京学生本語文字心手見行来今年時分上下"
           "ᄀᄂᄃᄅᄆᄇᄉᄋᄌᄎᄏᄐᄑ하ᅥᅩᅮᅳᅵᆨᆫᆯᆷᆸᆼ"
           "აბგდევზთიკლმნოპრსტუფქღყშჩცძწჭხჯჰ"
           "€£¥°±×÷§©®™…–—‘’“”«»¿¡•→←↑↓∑√∞≈≠≤≥♥★☀☕😀🚀👍🏽")


def vocabulary(settings):
    """[PAD] … [MASK], every printable ASCII character, then letters and words; ## forms after their plain ones."""
    ascii_chars = [chr(c) for c in range(33, 127)]
    letters = sorted(set(LETTERS))
    plain = ascii_chars + letters + sorted(set(WORDS) | {w.upper() for w in WORDS[:12]})
    alnum = [c for c in ascii_chars if c.isalnum()]
    inner = ["##" + s for s in alnum + letters + sorted(set(SUFFIXES))]
    pieces = list(dict.fromkeys(plain + inner))
    return SPECIALS + pieces if settings["specials_first"] else pieces + SPECIALS


def tokenizer_json(settings, vocab):
    ids = {piece: i for i, piece in enumerate(vocab)}
    special = lambda name, type_id: {"SpecialToken": {"id": name, "type_id": type_id}}
    sequence = lambda name, type_id: {"Sequence": {"id": name, "type_id": type_id}}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 32, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [
            {"id": ids[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for t in sorted(SPECIALS, key=ids.get)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": settings["split_chinese"],
                       "strip_accents": settings["strip_accents"], "lowercase": settings["lower"]},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)],
            "pair": [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0),
                     sequence("B", 1), special("[SEP]", 1)],
            "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    }


# --- numbers ------------------------------------------------------------------------------------------------

def numbers(seed, n, scale, offset=0.0):
    """n values of offset + scale * u * v, where u and v are uniform in [-1, 1): peaked, with heavier tails than one."""
    raw = array("h", Random(zlib.crc32(seed.encode())).randbytes(4 * n))
    if sys.byteorder == "big":
        raw.byteswap()
    scale /= 1 << 30
    return [offset + scale * (u * v) for u, v in zip(raw[:n], raw[n:])]


def encode(values, dtype):
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    floats = struct.pack(f"<{len(values)}f", *values)
    if dtype == "F32":
        return floats
    assert dtype == "BF16"
    out = bytearray(len(floats) // 2)       # the upper half of each f32
    out[0::2] = floats[2::4]
    out[1::2] = floats[3::4]
    return bytes(out)


def bert_tensors(name, s, n_vocab):
    """(tensor name, shape, values), in the order of the layers, as BertModel names them."""
    h, ffn = s["hidden"], s["intermediate"]

    def matrix(tensor, rows, cols, gain):
        return tensor, [rows, cols], numbers(f"{name}/{tensor}", rows * cols, gain * 3 / cols ** 0.5)

    def linear(tensor, rows, cols, gain=1.0):
        yield matrix(tensor + ".weight", rows, cols, gain)
        yield tensor + ".bias", [rows], numbers(f"{name}/{tensor}.bias", rows, 0.3)

    def layer_norm(tensor):
        weight = numbers(f"{name}/{tensor}.weight", h, 0.6, 1.0)
        if s["outlier"] is not None:
            weight[s["outlier"]] *= 6
        yield tensor + ".weight", [h], weight
        yield tensor + ".bias", [h], numbers(f"{name}/{tensor}.bias", h, 0.4)

    def table(tensor, rows, scale):
        return tensor, [rows, h], numbers(f"{name}/{tensor}", rows * h, scale)

    yield table("embeddings.word_embeddings.weight", n_vocab, 1.5)
    yield table("embeddings.position_embeddings.weight", s["positions"], 0.6)
    yield table("embeddings.token_type_embeddings.weight", s["types"], 0.6)
    yield from layer_norm("embeddings.LayerNorm")
    for i in range(s["layers"]):
        layer = f"encoder.layer.{i}."
        yield from linear(layer + "attention.self.query", h, h, 1.6)    # sharp enough for softmax to matter
        yield from linear(layer + "attention.self.key", h, h, 1.6)
        yield from linear(layer + "attention.self.value", h, h)
        yield from linear(layer + "attention.output.dense", h, h)
        yield from layer_norm(layer + "attention.output.LayerNorm")
        yield from linear(layer + "intermediate.dense", ffn, h, 1.2)
        yield from linear(layer + "output.dense", h, ffn, 1.2)
        yield from layer_norm(layer + "output.LayerNorm")
    if s["pooler"]:
        yield from linear("pooler.dense", h, h)


# --- files --------------------------------------------------------------------------------------------------

def write_safetensors(path, tensors, aligned=True):
    """tensors: (name, dtype, shape, bytes). Format: u64 length, JSON header, then the bytes back to back."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor, dtype, shape, data in tensors:
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if not aligned:
        text += b" "
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for _, _, _, data in tensors:
            f.write(data)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_weights(folder, name, s, n_vocab):
    tensors = []
    for tensor, shape, values in bert_tensors(name, s, n_vocab):
        prefix = s["prefix"]
        tensors.append((prefix + tensor, s["dtype"], shape, encode(values, s["dtype"])))
    if s["position_ids"]:       # older checkpoints carry this buffer; it is no weight
        ids = struct.pack(f"<{s['positions']}q", *range(s["positions"]))
        tensors.append((s["prefix"] + "embeddings.position_ids", "I64", [1, s["positions"]], ids))
    if s["prefix"]:             # a head that an encoder has to ignore
        bias = encode(numbers(f"{name}/cls.predictions.bias", n_vocab, 1.0), s["dtype"])
        tensors.append(("cls.predictions.bias", s["dtype"], [n_vocab], bias))
    if s["shards"] == 1:
        write_safetensors(folder / "model.safetensors", tensors, s["aligned"])
        return
    cut, where = len(tensors) * 2 // 5, {}
    for i, part in enumerate((tensors[:cut], tensors[cut:]), start=1):
        file = f"model-{i:05}-of-00002.safetensors"
        write_safetensors(folder / file, part)
        where.update({tensor: file for tensor, _, _, _ in part})
    total = sum(len(data) for _, _, _, data in tensors)
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})


def write_config(folder, s, vocab):
    dtype_key = "dtype" if s["modern"] else "torch_dtype"
    write_json(folder / "config.json", {
        "architectures": ["BertForMaskedLM" if s["prefix"] else "BertModel"],
        "attention_probs_dropout_prob": 0.1, "classifier_dropout": None, "hidden_act": s["act"],
        "hidden_dropout_prob": 0.1, "hidden_size": s["hidden"], "initializer_range": 0.02,
        "intermediate_size": s["intermediate"], "layer_norm_eps": s["eps"],
        "max_position_embeddings": s["positions"], "model_type": "bert",
        "num_attention_heads": s["heads"], "num_hidden_layers": s["layers"],
        "pad_token_id": vocab.index("[PAD]"), "position_embedding_type": "absolute",
        dtype_key: {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[s["dtype"]],
        "type_vocab_size": s["types"], "use_cache": True, "vocab_size": len(vocab)})


def write_tokenizer(folder, s, vocab):
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS))
    if not s["modern"]:
        (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
        write_json(folder / "special_tokens_map.json", roles)
    if not s["vocab_only"]:
        write_json(folder / "tokenizer.json", tokenizer_json(s, vocab))
    write_json(folder / "tokenizer_config.json", dict(
        roles, do_basic_tokenize=True, do_lower_case=s["lower"], model_max_length=s["max_length"],
        never_split=None, strip_accents=s["strip_accents"], tokenize_chinese_chars=s["split_chinese"],
        tokenizer_class="BertTokenizer"))


def write_pooling(folder, s):
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    if s["modern"]:
        names = [p.replace("mean_tokens", "mean").replace("max_tokens", "max") for p in s["pooling"]]
        pooling = {"embedding_dimension": s["hidden"],
                   "pooling_mode": names[0] if len(names) == 1 else names, "include_prompt": True}
    else:
        chosen = {"cls_token" if p == "cls" else p for p in s["pooling"]}
        pooling = {"word_embedding_dimension": s["hidden"]}
        pooling.update({f"pooling_mode_{m}": m in chosen for m in modes})
    if s["include_prompt"] is not None:
        pooling["include_prompt"] = s["include_prompt"]
    write_json(folder / "1_Pooling/config.json", pooling)


def write_dense(path, s):
    width, (out, activation, bias) = s["hidden"] * len(s["pooling"]), s["dense"]
    module = {"Tanh": "torch.nn.modules.activation.Tanh", "Identity": "torch.nn.modules.linear.Identity"}
    config = {"in_features": width, "out_features": out, "bias": bias, "activation_function": module[activation]}
    if s["modern"]:
        config.update(module_input_name="sentence_embedding", module_output_name="sentence_embedding")
    write_json(path / "config.json", config)
    seed = path.parent.name
    tensors = [("linear.weight", [out, width], numbers(f"{seed}/linear.weight", out * width, 3 / width ** 0.5))]
    if bias:
        tensors.insert(0, ("linear.bias", [out], numbers(f"{seed}/linear.bias", out, 0.3)))
    write_safetensors(path / "model.safetensors",
                      [(tensor, "F32", shape, encode(values, "F32")) for tensor, shape, values in tensors])


def write_modules(folder, s):
    write_pooling(folder, s)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if s["dense"]:
        modules.append(("2_Dense", "Dense"))
        write_dense(folder / "2_Dense", s)
    if s["normalize"]:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))  # has no files, so the Hub has no such folder
    where = {kind: "sentence_transformers.models." for _, kind in modules}
    if s["modern"]:
        where = {kind: f"sentence_transformers.base.modules.{kind.lower()}." for _, kind in modules}
        where["Pooling"] = "sentence_transformers.sentence_transformer.modules.pooling."
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": where[kind] + kind}
        for i, (path, kind) in enumerate(modules)])


def write_sentence_settings(folder, s):
    """How long, in which case, with which prompts: what sentence-transformers keeps beside the modules."""
    if s["modern"]:
        transformer = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
                       "modality_config": {"text": {"method": "forward",
                                                    "method_output_name": "last_hidden_state"}}}
        versions = {"sentence_transformers": "6.2.0", "transformers": "5.23.0", "pytorch": "2.15.0"}
    else:
        transformer = {"max_seq_length": s["max_length"], "do_lower_case": s["sbert_lower"]}
        versions = {"sentence_transformers": "3.4.1", "transformers": "4.48.0", "pytorch": "2.5.1"}
    write_json(folder / "sentence_bert_config.json", transformer)
    write_json(folder / "config_sentence_transformers.json", {
        "__version__": versions, "prompts": s["prompts"] or {}, "default_prompt_name": s["default_prompt"],
        "similarity_fn_name": s["similarity"]})


def settings_of(name):
    return {**BASE, **MODELS[name][1]}


def write_model(dest, name):
    s = settings_of(name)
    folder = Path(dest) / name
    folder.mkdir(parents=True, exist_ok=True)
    vocab = vocabulary(s)
    write_config(folder, s, vocab)
    write_tokenizer(folder, s, vocab)
    write_modules(folder, s)
    write_sentence_settings(folder, s)
    write_weights(folder, name, s, len(vocab))
    return folder


def main(argv):
    if len(argv) < 2 or argv[1].startswith("-"):
        sys.exit(f"usage: {argv[0]} DEST [NAME ...]\nmodels: {' '.join(MODELS)}")
    names = argv[2:] or list(MODELS)
    unknown = [n for n in names if n not in MODELS]
    if unknown:
        sys.exit(f"make_tiny_models: error: no model named {unknown[0]}; there are: {' '.join(MODELS)}")
    for name in names:
        write_model(argv[1], name)


if __name__ == "__main__":
    main(sys.argv)
