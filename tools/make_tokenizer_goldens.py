#!/usr/bin/env python3
"""Makes the goldens under tests/golden/tokenizers: what `tokenizers` answers for small tokenizers of the real ones' structure.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install tokenizers==0.23.3
    /tmp/goldens/bin/python tools/make_tokenizer_goldens.py

tests/golden/tokenizers/README.md describes the files. Training breaks some ties by chance, so that a KIND.json may come out
another one, and its KIND.jsonl with it.
"""
import json
import os
import random
import sys
import unicodedata
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/tokenizers"
sys.path.insert(0, str(ROOT / "tools"))
import nasty_texts  # noqa: E402

N_TEXTS = 1000     # for the kinds that models have; the others are there for one or two settings each
N_TEXTS_OTHERS = 300


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


# --- words ---------------------------------------------------------------------------------------------------

REGEXES = [r"\s+", r"\d", r"[^a-z\s]+", r"a*", r"\w+|[^\w\s]+", r"(?i:AB)+", r"\p{L}+|\p{N}{1,3}", r"(?<!\S)x|y\b", r"\p{Lu}\p{Ll}*+", r"\u0301|\u4e00", r"^\S", r"\s(?!\S)|\t",
           r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
WORD_TEXTS = ["", "a", " a  b\n\nc ", "xx ababAB12 é\u0301 Hello World", "one, two!? 3.14 x", "  \t y\r\n", "Ab'S 'll ١٢ 漢字 \u4e00 ǅx ½", "aab-baa"]


def word_cases():
    for behavior in BEHAVIORS:
        for pattern in [{"Regex": r} for r in REGEXES + [GPT2, QWEN2, CL100K]] + [{"String": "a"}, {"String": " "}, {"String": "aa"}]:
            yield {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}
            yield {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": True}
    for each in (False, True):
        yield {"type": "Digits", "individual_digits": each}
        for regex in (False, True):
            yield {"type": "ByteLevel", "add_prefix_space": each, "trim_offsets": True, "use_regex": regex}


def make_words():
    rng, rows = random.Random(5), []
    for settings in word_cases():
        base = word_settings(None)
        base["pre_tokenizer"] = settings
        words_of = Tokenizer.from_str(json.dumps(base)).pre_tokenizer.pre_tokenize_str
        random_texts = [nasty_texts.random_text(rng, nasty_texts.BPE_PIECES)[:30] for _ in range(2)]
        # \\p{Lu} and the like are PCRE2's own: they may lack what came after its Unicode
        for text in WORD_TEXTS + ["".join(c for c in t if unicodedata.category(c) != "Cn") for t in random_texts]:
            rows.append([settings, text, [w for w, _ in words_of(text)]])
    write_lines(GOLDEN / "words.jsonl", rows)
    print(f"words: {len(rows)} cases")


# --- byte pairs ----------------------------------------------------------------------------------------------

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = pre_tokenizers.ByteLevel.alphabet()


def byte_level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": True, "trim_offsets": True, **options})


def split_then_bytes(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), byte_level(use_regex=False)])


def wrapped(before, after, pair):
    """One text and two in a template, whose special tokens come first in the vocabulary."""
    def make(tokenizer):
        names = [n for n in (before, after) if n]
        return processors.TemplateProcessing(single=" ".join(filter(None, [before, "$A", after])), pair=pair,
                                             special_tokens=[(n, tokenizer.token_to_id(n)) for n in dict.fromkeys(names)])
    return make


def raw(*contents, **flags):
    return [AddedToken(c, normalized=False, special=True, **flags) for c in contents]


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder, t.post_processor = byte_level(), decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
    return t, raw("<|endoftext|>"), BYTES, None


def roberta():
    t = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    t.pre_tokenizer, t.decoder = byte_level(), decoders.ByteLevel()
    specials = [AddedToken(c, normalized=True, special=True) for c in ("<s>", "<pad>", "</s>", "<unk>")]
    return t, specials + raw("<mask>", lstrip=True), BYTES, lambda t: processors.RobertaProcessing(
        ("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim_offsets=True, add_prefix_space=False)


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFC(), split_then_bytes(QWEN2), decoders.ByteLevel()
    specials = raw("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return t, specials, BYTES, lambda t: processors.Sequence([
        processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False), wrapped("", "<|endoftext|>", "$A $B <|endoftext|>")(t)])


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer, t.decoder = split_then_bytes(CL100K), decoders.ByteLevel()
    return t, raw("<|begin_of_text|>"), BYTES, lambda t: processors.Sequence([
        processors.ByteLevel(trim_offsets=False), wrapped("<|begin_of_text|>", "", "<|begin_of_text|> $A $B:1")(t)])


def modernbert():
    t = Tokenizer(models.BPE())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFC(), byte_level(), decoders.ByteLevel()
    spaces = [AddedToken(" " * n, normalized=True, special=False) for n in range(24, 1, -1)]
    words = [AddedToken(c, normalized=True, special=False) for c in ("|||IP_ADDRESS|||", "|||EMAIL_ADDRESS|||")]
    return (t, words + spaces + raw("<|endoftext|>", "[UNK]", "[CLS]", "[SEP]", "[PAD]") + raw("[MASK]", lstrip=True), BYTES,
            wrapped("[CLS]", "[SEP]", "[CLS] $A [SEP] $B [SEP]"))


def prefix_space():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=True)])
    t.decoder, t.post_processor = decoders.ByteLevel(), processors.ByteLevel(add_prefix_space=True, trim_offsets=True)
    return t, raw("<|endoftext|>"), BYTES, None


def sentencepiece():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t, raw("<unk>", "<s>", "</s>") + [f"<0x{b:02X}>" for b in range(256)], [], wrapped("<s>", "", "<s> $A <s>:1 $B:1")


def gemma():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")    # finds none: all of them were replaced
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    lines = [AddedToken(text, special=False, normalized=False) for text in ("\n", "\n\n", "▁▁", "▁▁▁", "<table>")]
    return t, raw("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>") + lines + [f"<0x{b:02X}>" for b in range(256)], [], \
        wrapped("<bos>", "<eos>", "<bos> $A <eos> <bos>:1 $B:1 <eos>:1")


def clip():
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), byte_level()])
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    return t, raw("<|startoftext|>", "<|endoftext|>"), BYTES, lambda t: processors.RobertaProcessing(
        ("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)


def continuing():
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKD(), normalizers.StripAccents()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_next")])
    t.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return t, raw("[UNK]"), [], None


KINDS = dict(gpt2=gpt2, roberta=roberta, qwen2=qwen2, llama3=llama3, modernbert=modernbert, prefix_space=prefix_space,
             sentencepiece=sentencepiece, gemma=gemma, clip=clip, continuing=continuing)
PUBLISHED = ("gpt2", "roberta", "qwen2", "modernbert", "gemma")
OLD_SPELLING = ("gpt2", "roberta", "clip")     # merges as "a b", no "type" in the model


def corpus():
    with open(ROOT / "tests/golden/texts.jsonl", encoding="utf-8") as f:
        lines = [json.loads(line)["text"] for line in f]
    rng = random.Random(3)
    words = " ".join(lines).split()
    return lines * 2 + [" ".join(rng.choice(words) for _ in range(12)) for _ in range(400)]


def train(name):
    tokenizer, added, alphabet, processor = KINDS[name]()
    flags = {a.content: (a.special, a.normalized) for a in added if isinstance(a, AddedToken)}  # before the trainer changes them
    trainer = trainers.BpeTrainer(vocab_size=1100, special_tokens=added, initial_alphabet=sorted(alphabet), limit_alphabet=400,
                                  show_progress=False, **({"continuing_subword_prefix": "##"} if name == "continuing" else {}),
                                  **({"end_of_word_suffix": "</w>"} if name == "clip" else {}))
    tokenizer.train_from_iterator(corpus(), trainer)
    if processor is not None:
        tokenizer.post_processor = processor(tokenizer)
    settings = json.loads(tokenizer.to_str())
    if name in ("sentencepiece", "gemma"):     # pieces of bytes are none
        settings["added_tokens"] = [a for a in settings["added_tokens"] if not a["content"].startswith("<0x")]
    if name in ("roberta", "modernbert", "gemma"):     # added as the published files have them, not as the trainer leaves them
        for token in settings["added_tokens"]:
            token["special"], token["normalized"] = flags[token["content"]]
    if name in OLD_SPELLING:
        settings["model"]["merges"] = [" ".join(m) for m in settings["model"]["merges"]]
        del settings["model"]["type"], settings["model"]["ignore_merges"], settings["model"]["byte_fallback"]
    return settings


def write_kind(path, settings, texts):
    """The tokenizer, and of each text ids, places and what the ids are decoded to."""
    write(path.with_suffix(".json"), settings)
    reference = Tokenizer.from_str(json.dumps(settings))
    rows = []
    for text in texts:
        got = reference.encode(text)
        rows.append([got.ids, [i for offset in got.offsets for i in offset], reference.decode(got.ids, skip_special_tokens=False)])
    write_lines(path.with_suffix(".jsonl"), rows)
    print(f"{path.name}: {reference.get_vocab_size()} tokens, {sum(len(r[0]) for r in rows)} ids")


def make_byte_pairs():
    rng = random.Random(2)
    texts = [nasty_texts.random_text(rng, nasty_texts.BPE_PIECES)[:40] for _ in range(N_TEXTS)]
    write_lines(GOLDEN / "bpe/texts.jsonl", texts)
    for name in KINDS:
        write_kind(GOLDEN / "bpe" / name, train(name), texts if name in PUBLISHED else texts[:N_TEXTS_OTHERS])


# --- WordPiece -----------------------------------------------------------------------------------------------

def train_wordpiece(lowercase):
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=1100, special_tokens=raw(*names), limit_alphabet=400, show_progress=False))
    t.post_processor = wrapped("[CLS]", "[SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")(t)
    return json.loads(t.to_str())


def make_wordpieces():
    rng = random.Random(4)
    texts = [nasty_texts.random_text(rng, nasty_texts.PIECES)[:120] for _ in range(N_TEXTS)]
    write_lines(GOLDEN / "wordpiece/texts.jsonl", texts)
    for name, lowercase in (("uncased", True), ("cased", False)):
        write_kind(GOLDEN / "wordpiece" / name, train_wordpiece(lowercase), texts)


# --- Unigram with bytes --------------------------------------------------------------------------------------

def make_unigram_bytes():
    """The pieces of ../unigram and one for each byte, which unknown characters become; nothing else is done to a text."""
    settings = json.loads((ROOT / "tests/golden/unigram/tokenizer.json").read_text())
    pieces = settings["model"]["vocab"]
    least = min(score for _, score in pieces)
    settings["added_tokens"] = [a for a in settings["added_tokens"] if a["id"] < len(pieces)]
    pieces += [[f"<0x{b:02X}>", least - 1] for b in range(256)]
    settings["model"]["byte_fallback"] = True
    settings["normalizer"] = None
    settings["decoder"] = json.loads(decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]).__getstate__())
    rng = random.Random(6)
    texts = [nasty_texts.random_text(rng, nasty_texts.UNIGRAM_PIECES)[:40] for _ in range(N_TEXTS)]
    write_lines(GOLDEN / "unigram/texts.jsonl", texts)
    write_kind(GOLDEN / "unigram/bytes", settings, texts)


# --- decoders ------------------------------------------------------------------------------------------------

LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
DECODERS = [decoders.ByteLevel(), decoders.ByteFallback(), decoders.Fuse(), decoders.BPEDecoder(suffix="</w>"), decoders.Strip(" ", 1, 1),
            decoders.Strip("a", 0, 3), decoders.Replace("a", "bb"), decoders.Replace(Regex(r"[ab]+"), "x"), decoders.Metaspace(),
            decoders.Metaspace(prepend_scheme="never"), decoders.WordPiece(), decoders.WordPiece(prefix="a", cleanup=False),
            decoders.Sequence(LLAMA), decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 2, 1)]),
            decoders.Sequence([decoders.WordPiece(), decoders.Fuse(), decoders.Replace(" ", "_")]),
            decoders.Sequence([decoders.ByteFallback(), decoders.WordPiece()])]
TOKEN_LISTS = [["a"], ["▁Hello", "▁wor", "ld", "▁", "!"], ["<0xE5>", "<0x8f>", "<0xab>", "a", "<0xE5>", "<0x8F>", "b", "<0x+A>", "<0xGG>", "<0x41>"],
               ["a</w>", "b", "</w></w>", "c</w>"], [" a ", "  b", "   ", " "], ["Ġthe", "Ã", "©", "Ċ", "x y", "Â", "é"],
               ["aab", "ba", "caaa", "aaaa"], ["un", "##aff", "##able", ".", " '", "s", "do not"], ["▁", "▁▁", "▁a▁"], ["漢", "字", "Ġ", "â", "Ļ"]]


def make_decoded():
    rows = []
    for decoder in DECODERS:
        for tokens in TOKEN_LISTS:
            try:
                rows.append([json.loads(decoder.__getstate__()), tokens, decoder.decode(tokens)])
            except BaseException as error:      # Strip ends in a panic where nothing is left of a token
                assert "index" in str(error), error
    write_lines(GOLDEN / "decoded.jsonl", rows)
    print(f"decoded: {len(rows)} cases")


def main():
    make_pairs()
    make_decoded()
    make_words()
    make_byte_pairs()
    make_wordpieces()
    make_unigram_bytes()


if __name__ == "__main__":
    main()
