"""Texts that tokenizers get wrong, from a seeded generator: many scripts, marks in every order, controls, emoji, special tokens,
long words, runs of white space."""
SURROGATES = range(0xD800, 0xE000)
RANGES = [(0x20, 0x7F), (0, 0x20), (0x7F, 0x250), (0x250, 0x600), (0x600, 0x900), (0x900, 0xE00), (0xE00, 0x1200),
          (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2C00), (0x3000, 0x3200), (0x4E00, 0x4F00),
          (0xA980, 0xABFF), (0xAC00, 0xAD00), (0xF900, 0xFB00), (0xFB00, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x11000),
          (0x11000, 0x12000), (0x16000, 0x17000), (0x1D100, 0x1D200), (0x1D400, 0x1D500), (0x1F300, 0x1FA00),
          (0x20000, 0x20100), (0x2F800, 0x2FA20), (0xE0000, 0xE0200), (0x10FF00, 0x110000), (0, 0x110000)]
PIECES = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "[cls]", "[ MASK ]", "[", "]", "##ing", "##", "unaffable", "Hello", "naïve",
          "İstanbul", "ΣΑΣ", "ὈΔΥΣΣΕΎΣ", "straße", "ǅ", "ﬁ", "e\u0301", "\u1e9b\u0323", "\u0344", "\u0f73", "\u302e\u302f\u302a",
          "\U0001d15e\U0001d165\u302e", "\u1109\u1161\u11bc", "각", "漢字", "豈", "क्षि", "நி", "สวัสดี", "👩‍👩‍👧‍👦", "🇩🇪", "\u200b", "\u200d",
          "\ufeff", "\ufffd", "\x00", "\t", "\n", "\r", "\x0b", "\x85", "\u2028", "\u3000", "\u00a0", "...", "$5.00", "a" * 99, "b" * 100,
          "c" * 101, "é" * 100, "日本語", "<mask>", "<MASK>", "covid", "Covid", "[DAY]", " ", "  ", "don't", "l’été", "½", "①", "ﷺ",
          "=\u0338", ";\u037e", "\u1fef", "\u212b", "\u2126", "Å", "A\u030a\u0323", "\u0323\u030a"]


UNIGRAM_PIECES = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", " <mask> ", "<MASK>", "▁", "▁▁", "▁the", "<0x41>", "\u0001", "\u0001\u0002",
                  "\u200b", "\ufeff", "\r\n", "\n\n", "\t", "   ", "     ", "\u3000", "\u00a0", "\u2028", "½", "㎏", "①", "ﬁ", "ﷺ", "㍿",
                  "e\u0301", "e\u0301\u0323", "か\u3099", "각", "\u1109\u1161\u11bc", "\u0e33", "\u0eb3", "क्षि", "க்ஷ", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷🇬",
                  "👍🏽", "☎\ufe0f", "\u0600a", "\u2126", "\u00ad", "x" * 500, "漢" * 60, "ä" * 300, "Hello", "naïve", "Straße", "ｆｕｌｌ", "ﾊﾟ",
                  "日本語", "สวัสดี", " ", "  ", "...", "…", "!!", "don't", "l’été", "\u0000", "\x85", "\u0340", "\u0958"]


BPE_PIECES = ["<|endoftext|>", "<|im_start|>", "<|begin_of_text|>", "<s>", "</s>", " <mask> ", "[MASK]", "  [MASK] x", "[CLS]",
              "|||IP_ADDRESS|||", "<unk>", "<0x41>", "'s", "'S", "'\u017f", "'re", "'RE", "'lL", "'ve", "'m", "'d", "''s", " 's", "x's", "I'LL",
              "don't", "l’été", "'", "''", " '", "1", "12", "1234", "12345678", " 1", " 12", "x1", "1x", "½", "①", "٣", "Ⅷ", "\n", "\r\n", "\n\n",
              "\r\r", " \n", "\n ", " \n \n x", "\t", "\t\t", " ", "  ", "   ", "     ", " " * 25, " " * 30, "\x0b", "\x85", "\u2028",
              "\u3000", "\u00a0", "\u180e", "\u200b", "\ufeff", "...", "....\n", " ...", "!?", " !", "((", "_", "a_b", "$5.00", "e\u0301",
              "\u0301", " \u0301", "A\u030a\u0323", "\u212b", "\u0958", "\u0340", "\u1109\u1161\u11bc", "각", "か\u3099", "漢字", "日本語", "豈",
              "क्षि", "สวัสดี", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "a" * 60, "ab" * 40, "é" * 50, "漢" * 40, "Hello", " Hello", "naïve", "Straße", "ΣΑΣ", "ǅ",
              "İ", "ﬁ", "\u0000", "\ufffd", "\u0120", "\u010a", "Ġthe", "▁", "▁▁", "▁the", "</w>", "##ing", "K", "\u212a"]


def random_text(rng, pieces=PIECES):
    out = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 20, 60])):
        kind = rng.random()
        if kind < 0.25:
            out.append(rng.choice(pieces))
        elif kind < 0.5:
            out.append("".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ") for _ in range(rng.randint(1, 12))))
        elif kind < 0.6:
            out.append(rng.choice([" ", " ", "\n", ", ", ". ", "-", "'", "  "]))
        elif kind < 0.7:
            marks = [chr(rng.choice([0x300, 0x301, 0x323, 0x327, 0x345, 0x302E, 0x302F, 0x3099, 0x1D165, 0x1D16D, 0x1B44, 0x5B0,
                                     0x5BC, 0x334, 0x338, 0x20DD, 0x93C, 0x94D, 0x1ABE])) for _ in range(rng.randint(1, 6))]
            out.append(rng.choice(["a", "E", "=", "か", ""]) + "".join(marks))
        else:
            low, high = rng.choice(RANGES)
            for _ in range(rng.randint(1, 6)):
                c = rng.randrange(low, high)
                if c not in SURROGATES:
                    out.append(chr(c))
    return "".join(out)
