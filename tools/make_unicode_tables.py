#!/usr/bin/env python3
"""Writes src/token/unicode_table.c: what the Hugging Face `tokenizers` library does with each code point.

The library mixes several Unicode versions: categories from the `unicode_categories` crate, decompositions
and combining classes from `unicode-normalization-alignments`, lower case and white space from Rust's
standard library, \\w from `regex`, \\p{L} and \\p{N} from Oniguruma. No one version of the Unicode data gives its answers,
so the library itself is asked, once for every code point, and its answers are what is compiled in.

    python3 -m venv V && V/bin/pip install tokenizers==0.23.3
    V/bin/python tools/make_unicode_tables.py > src/token/unicode_table.c

Combining classes cannot be read off directly: a mark's class is found by whether it changes places with
marks of known class.
"""
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

SURROGATES = range(0xD800, 0xE000)
FLAGS = ["SPACE", "CONTROL", "PUNCTUATION", "NONSPACING", "MARK", "WORD", "CHINESE", "HAS_LOWER", "HAS_NFD", "HAS_NFKD",
         "HAS_CLASS", "COMPOSES", "LETTER", "NUMBER", "NUMERIC", "HAS_NFC"]
BIT = {name: 1 << i for i, name in enumerate(FLAGS)}
CLASSES = [1, 6, 7, 8, 9, *range(10, 37), 84, 91, 103, 107, 118, 122, 129, 130, 132, 202, 214, 216, 218, 220,
           222, 224, 226, 228, 230, 232, 233, 234, 240]

nfc, nfd, nfkd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
lower = normalizers.Lowercase().normalize_str
strip_marks = normalizers.StripAccents().normalize_str


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on}).normalize_str


clean, chinese, strip_nonspacing = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
split_space = pre_tokenizers.WhitespaceSplit().pre_tokenize_str
split_punctuation = pre_tokenizers.Punctuation().pre_tokenize_str
split_word = pre_tokenizers.Whitespace().pre_tokenize_str
split_digit = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str


def split_regex(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str


split_letter, split_number, split_s = split_regex(r"\p{L}"), split_regex(r"\p{N}"), split_regex(r"\s")


def code_points():
    return (c for c in range(0x110000) if c not in SURROGATES)


def is_hangul(c):
    return 0xAC00 <= c < 0xAC00 + 11172


def swaps(first, second):
    """Canonical ordering puts `second`, which comes later, before `first`."""
    return first != second and nfd("a" + first + second) == "a" + second + first


def combining_class(c, witness):
    ch = chr(c)
    if nfd(ch) != ch: # never met: classes are asked for after decomposition
        return 0
    if not (swaps(witness[240], ch) or swaps(ch, witness[1])):
        return 0
    fits = [k for k, w in witness.items() if not swaps(w, ch) and not swaps(ch, w)]
    assert len(fits) == 1, (hex(c), fits)
    return fits[0]


def find_witnesses():
    witness = {}
    for c in code_points():
        k = unicodedata.combining(chr(c))
        if k and k not in witness and nfd(chr(c)) == chr(c) and (k == 240 or swaps("\u0345", chr(c))):
            witness[k] = chr(c)
    return {k: witness[k] for k in CLASSES if k in witness}


def flags_of(c):
    ch = chr(c)
    decomposed = nfd(ch)
    flags = 0
    flags |= BIT["SPACE"] * (len(split_space("a" + ch + "b")) == 2)
    flags |= BIT["CONTROL"] * (clean("a" + ch + "b") == "ab")
    flags |= BIT["PUNCTUATION"] * (len(split_punctuation("a" + ch + "b")) == 3)
    flags |= BIT["NONSPACING"] * (decomposed == ch and strip_nonspacing("a" + ch) == "a")
    flags |= BIT["MARK"] * (strip_marks("a" + ch) == "a")
    flags |= BIT["WORD"] * (len(split_word("a" + ch)) == 1 and split_word("a" + ch)[0][0] == "a" + ch)
    flags |= BIT["CHINESE"] * (chinese(ch) == " " + ch + " ")
    flags |= BIT["HAS_LOWER"] * (lower(ch) != ch)
    flags |= BIT["HAS_NFD"] * (decomposed != ch)
    flags |= BIT["HAS_NFKD"] * (nfkd(ch) != ch)
    flags |= BIT["HAS_NFC"] * (nfc(ch) != ch)
    flags |= BIT["LETTER"] * (len(split_letter("," + ch + ",")) == 3)
    flags |= BIT["NUMBER"] * (len(split_number("," + ch + ",")) == 3)
    flags |= BIT["NUMERIC"] * (len(split_digit("," + ch + ",")) == 3)
    assert bool(flags & BIT["SPACE"]) == (len(split_s("," + ch + ",")) == 3), hex(c)
    return flags


def two_stage(values, shift):
    """values: one for each code point -> (index of blocks, blocks laid end to end)."""
    size, index, blocks, seen = 1 << shift, [], [], {}
    for at in range(0, len(values), size):
        block = tuple(values[at:at + size])
        if block not in seen:
            seen[block] = len(seen)
            blocks.extend(block)
        index.append(seen[block])
    return index, blocks


def emit(c_type, name, values, per_line=16):
    print(f"const {c_type} {name}[{len(values)}] = {{")
    for at in range(0, len(values), per_line):
        print("    " + ", ".join(f"{v:#x}" if v > 9 else str(v) for v in values[at:at + per_line]) + ",")
    print("};\n")


def emit_map(name, mapping, pool, top):
    """Code point -> place in the pool of [length, code points...] records; 0 for none."""
    values = [0] * top
    for c, text in mapping.items():
        key = tuple(map(ord, text))
        if key not in pool["at"]:
            pool["at"][key] = len(pool["words"])
            pool["words"].extend((len(key), *key))
        values[c] = pool["at"][key]
    index, blocks = two_stage(values, 6)
    emit("uint16_t" if max(index) > 255 else "uint8_t", f"hd__unicode_{name}_index", index)
    emit("uint16_t", f"hd__unicode_{name}_block", blocks)


def main():
    witness = find_witnesses()
    sys.stderr.write(f"{len(witness)} combining classes\n")
    flags, classes, maps, pairs = [0] * 0x110000, [0] * 0x110000, {"lower": {}, "nfd": {}, "nfkd": {}}, []
    for c in code_points():
        ch = chr(c)
        flags[c] = flags_of(c)
        classes[c] = combining_class(c, witness)
        flags[c] |= BIT["HAS_CLASS"] * (classes[c] != 0)
        if flags[c] & BIT["HAS_LOWER"]:
            maps["lower"][c] = lower(ch)
        if is_hangul(c):
            continue
        if flags[c] & BIT["HAS_NFD"]:
            maps["nfd"][c] = nfd(ch)
            first, second = nfc(nfd(ch)[:-1]), nfd(ch)[-1]
            if len(nfd(ch)) > 1 and len(first) == 1 and nfc(first + second) == ch:
                pairs.append((ord(first), ord(second), c))
        if flags[c] & BIT["HAS_NFKD"] and nfkd(ch) != nfd(ch):
            maps["nfkd"][c] = nfkd(ch)
    for second in {p[1] for p in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3)):
        flags[second] |= BIT["COMPOSES"]

    top = 1 + max(max(m) for m in maps.values()) | 63
    print(f"/* unicode_table.c - made by tools/make_unicode_tables.py from tokenizers {tokenizers.__version__} and\n"
          f" * Python's Unicode {unicodedata.unidata_version}; not edited by hand. unicode.h says what is in it. */\n"
          '#include "token/unicode.h"\n\n/* clang-format off */\n')
    index, blocks = two_stage(flags, 7)
    emit("uint16_t" if max(index) > 255 else "uint8_t", "hd__unicode_flag_index", index)
    emit("uint16_t", "hd__unicode_flag_block", blocks)
    index, blocks = two_stage(classes[:(max(c for c in code_points() if classes[c]) | 63) + 1], 6)
    emit("uint8_t", "hd__unicode_class_index", index)
    emit("uint8_t", "hd__unicode_class_block", blocks)
    pool = {"at": {}, "words": [0]}
    for name, mapping in maps.items():
        emit_map(name, mapping, pool, (top | 63) + 1)
    assert len(pool["words"]) < 65536
    emit("uint32_t", "hd__unicode_pool", pool["words"], 12)
    pairs.sort()
    emit("uint32_t", "hd__unicode_pairs", [v for p in pairs for v in p], 12)
    print(f"const uint32_t hd__unicode_n_pairs = {len(pairs)};")
    print(f"const uint32_t hd__unicode_class_top = {(max(c for c in code_points() if classes[c]) | 63) + 1:#x};")
    print(f"const uint32_t hd__unicode_map_top = {(top | 63) + 1:#x};")


main()
