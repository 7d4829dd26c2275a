#!/usr/bin/env python3
"""Writes src/token/grapheme_table.c: what each code point is in the rules for grapheme clusters (UAX #29).

The `tokenizers` library finds the clusters that a Precompiled normaliser works on with the Rust crate
`unicode-segmentation`; ids equal to the library's need the properties of the Unicode version in there. They are
read from the ranges in that crate's src/tables.rs, of the version in the library's Cargo.lock:

    cargo new /tmp/t && cd /tmp/t && cargo add unicode-segmentation@=1.13.3 && cargo vendor
    tools/make_grapheme_table.py /tmp/t/vendor/unicode-segmentation/src/tables.rs > src/token/grapheme_table.c
"""
import re
import sys

CLASSES = ["Any", "CR", "LF", "Control", "Extend", "ZWJ", "Prepend", "SpacingMark", "Regional_Indicator", "Extended_Pictographic",
           "InCB_Consonant", "L", "V", "T", "LV", "LVT"]
LINKER, INCB_EXTEND = 16, 32
BLOCK = 128


def section(source, begin):
    text = source[source.index(begin):]
    return text[:text.index("];")]


def ranges(text):
    for low, high, name in re.findall(r"\('\\u\{([0-9a-f]+)\}',\s*'\\u\{([0-9a-f]+)\}'(?:,\s*GC_(\w+))?\)", text):
        yield range(int(low, 16), int(high, 16) + 1), name


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        source = f.read()
    version = ".".join(re.search(r"UNICODE_VERSION: .* \((\d+), (\d+), (\d+)\)", source).groups())
    values = bytearray(0x110000)
    for code_points, name in ranges(section(source, "const grapheme_cat_table")):
        for c in code_points:
            values[c] |= CLASSES.index(name)
    for code_points, _ in ranges(section(source, "const InCB_Extend_table")):
        for c in code_points:
            values[c] |= INCB_EXTEND
    linkers = source[source.index("fn is_incb_linker"):]
    for c in re.findall(r"\\u\{([0-9A-F]+)\}", linkers[:linkers.index("}\n")]):
        values[int(c, 16)] |= LINKER
    blocks, index = {}, []
    for c in range(0, 0x110000, BLOCK):
        index.append(blocks.setdefault(bytes(values[c:c + BLOCK]), len(blocks)))
    assert len(blocks) <= 256
    print(f"/* grapheme_table.c - made by tools/make_grapheme_table.py from Unicode {version}; not edited by hand. grapheme.h says what\n"
          ' * is in it. */\n#include "token/grapheme.h"\n\n/* clang-format off */\n')
    for name, numbers in (("index", index), ("block", b"".join(blocks))):
        print(f"const uint8_t hd__grapheme_{name}[{len(numbers)}] = {{")
        for at in range(0, len(numbers), 32):
            print("    " + ", ".join(map(str, numbers[at:at + 32])) + ",")
        print("};")


main()
