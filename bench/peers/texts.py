"""The texts that are embedded in the benchmarks: English-like prose, made on the spot.

Nothing is downloaded and nothing depends on the machine. Sentences come from the grammar and the word lists
below, drawn by a Mersenne twister with a fixed seed: articles, clauses, numbers, invented place names, quotations,
now and then a technical term, so that WordPiece has about as much to do as with ordinary text (1.3 tokens
a word, punctuation included). Meaning is no concern of a speed test; the lengths are, and they were chosen:

  short   paragraphs of 17 to 256 tokens, 65 in the mean, most below 80 (log-normal), as in notes and FAQs
  long    chunks of about 250 tokens, as a splitter makes them
  mixed   32 to 512 tokens, every length as likely
  query   one question of exactly 30 tokens, [CLS] and [SEP] included

All texts are different, so no cache can help.

    python3 bench/peers/texts.py short 2000 > short.jsonl
"""

import json
import math
import sys
from random import Random

NOUNS = """mill loom river garden harbour lantern ledger orchard workshop railway bridge engine kettle compass window
archive meadow quarry chimney furnace telescope violin notebook staircase cellar market ferry lighthouse valley
greenhouse waterwheel barometer printing-press courtyard aqueduct granary pendulum tapestry cupboard carriage
reservoir turbine microscope sundial blacksmith bakery library museum station tunnel parliament laboratory dataset
algorithm processor database network compiler protocol spreadsheet antenna satellite glacier estuary plateau monsoon
sediment enzyme membrane neuron antibody isotope lattice crystal polymer electrode transistor oscillator spectrum
theorem matrix manuscript parchment chronicle treaty census tariff warehouse shipment invoice contract warranty
apprentice gardener carpenter engineer surveyor librarian cartographer watchmaker botanist physician conductor""".split()

ADJECTIVES = """old narrow quiet heavy bright crooked patient hollow distant careful rusty wooden frozen copper gentle
enormous invisible reluctant seasonal municipal experimental unfinished well-known half-forgotten provisional
translucent magnetic asymmetric thermal sparse parallel redundant portable historic coastal northern agricultural
peculiar meticulous weathered shallow abandoned temporary delicate stubborn hydraulic ornate""".split()

VERBS = """carried repaired measured painted followed opened borrowed described replaced ignored collected sharpened
catalogued supported inspected abandoned discovered rebuilt compared calibrated translated recorded questioned
surrounded outlived postponed dismantled illuminated underestimated summarised inherited reorganised photographed
exceeded resembled protected interrupted delivered""".split()

PLACES = """Harrowmere Eastwick-on-Linn Tolverne Brackendale Kessingford Ulmenau Port Sarrow Ostrevny Calderbeck Monteluna
Vasterholm Ravensey Greyling Nethercombe Sandvaer Alderport Pinewater Quillon Marrowby Thistleford""".split()

TIMES = """in the spring|after the flood|before sunrise|every second winter|on the last Tuesday of October|during the
strike|at the turn of the century|for nearly forty years|without any warning|as soon as the snow had melted|between two
and four in the afternoon|long after everyone had left|within a fortnight|once the funding ran out|by the end of the
quarter""".replace("\n", " ").split("|")

JOINTS = """because|although|while|so that|even though|until|and yet|unless|whereas|, which is why|; meanwhile,|, but only
after""".replace("\n", " ").split("|")

OPENINGS = """In practice,|According to the ledger,|As far as anyone remembers,|To be fair,|Surprisingly,|For example,|By
contrast,|In the second edition,|Nobody planned it, yet|On closer inspection,|Strictly speaking,|As a rule,""" \
    .replace("\n", " ").split("|")

QUOTES = ["nothing here was built to last", "measure twice, cut once", "we shall see", "it works until it doesn't",
          "the river always wins", "ask again next year", "that is not what the drawing says"]

UNITS = ["metres", "tonnes", "kg", "litres", "km/h", "percent", "degrees", "kilowatts", "pages", "shillings", "GB", "ms"]


class Writer:
    def __init__(self, seed):
        self.random = Random(seed)

    def pick(self, words):
        return words[int(self.random.random() * len(words))]

    def chance(self, p):
        return self.random.random() < p

    def number(self):
        kind = int(self.random.random() * 4)
        n = int(self.random.random() ** 3 * 9000) + 2
        return (str(n), f"{n:,}", f"{n / 10:.1f}", str(1700 + n % 320))[kind]

    def thing(self):
        words = [self.pick(["the", "the", "the", "a", "one", "this", "every", "their", "its"])]
        if self.chance(0.55):
            words.append(self.pick(ADJECTIVES))
        words.append(self.pick(NOUNS))
        if words[0] == "a" and words[1][0] in "aeiou":
            words[0] = "an"
        if self.chance(0.22):
            words += ["of" if self.chance(0.6) else "near", self.pick(PLACES)]
        return " ".join(words)

    def clause(self):
        parts = [self.thing(), self.pick(VERBS), self.thing()]
        if self.chance(0.35):
            parts.append(self.pick(TIMES))
        if self.chance(0.12):
            parts.append(f"({self.number()} {self.pick(UNITS)})")
        return " ".join(parts)

    def sentence(self):
        text = self.clause()
        if self.chance(0.55):
            text += f" {self.pick(JOINTS)} {self.clause()}".replace(" ,", ",").replace(" ;", ";")
        if self.chance(0.2):
            text = f"{self.pick(OPENINGS)} {text}"
        if self.chance(0.07):
            text += f': "{self.pick(QUOTES)}"'
        end = "?" if self.chance(0.05) else "."
        return text[0].upper() + text[1:] + end

    def passage(self, n_words):
        """Whole sentences until there are n_words, the last one cut where it must be."""
        words = []
        while len(words) < n_words:
            words += self.sentence().split(" ")
        words = words[:n_words]
        text = " ".join(words).rstrip(",;:(\"")
        return text if text[-1] in ".?!" else text + "."


TOKENS_PER_WORD = 1.32    # of this grammar with MiniLM's vocabulary, [CLS] and [SEP] apart; measured


def short_lengths(random):
    """Tokens of one paragraph: log-normal, kept inside 17…256."""
    while True:
        # Box and Muller; the rounding of libm cannot matter for a whole number of words
        gauss = math.sqrt(-2 * math.log(1 - random.random())) * math.cos(2 * math.pi * random.random())
        n = math.exp(4.036 + 0.52 * gauss)
        if 20 <= n <= 252:
            return n


def short_texts(n, seed=1):
    writer = Writer(seed)
    seen = set()
    while len(seen) < n:
        text = writer.passage(max(10, round((short_lengths(writer.random) - 2) / TOKENS_PER_WORD)))
        if text not in seen:
            seen.add(text)
            yield text


def long_texts(n, seed=2):
    writer = Writer(seed)
    for _ in range(n):
        yield writer.passage(round((244 + 10 * writer.random.random() - 2) / TOKENS_PER_WORD))


def mixed_texts(n, seed=3):
    writer = Writer(seed)
    for _ in range(n):
        yield writer.passage(round((32 + 480 * writer.random.random() - 2) / TOKENS_PER_WORD))


def texts_of(n_tokens, n, seed=4):
    """About so many tokens each."""
    writer = Writer(seed)
    for _ in range(n):
        yield writer.passage(round((n_tokens - 2) / TOKENS_PER_WORD))


QUERY = "Which reservoir near the northern estuary was rebuilt after the flood, and who measured how many tonnes " \
        "of fine brown sediment it still held by then?"


def main(argv):
    make = {"short": short_texts, "long": long_texts, "mixed": mixed_texts}
    if len(argv) != 3 or argv[1] not in make:
        sys.exit(f"usage: {argv[0]} {'|'.join(make)} N")
    for text in make[argv[1]](int(argv[2])):
        sys.stdout.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv)
