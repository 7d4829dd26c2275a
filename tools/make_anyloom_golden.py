#!/usr/bin/env python3
"""Writes tests/golden/anyloom/chunks.jsonl: what AnyLoom's rules (as src/ingest/chunk_anyloom.c states them) make of the
Markdown beside it, by Python's own regular expressions and uuid module.

    tools/make_anyloom_golden.py

A line for each chunk: file, section, index, id, text. Only the standard library is used.
"""

import json
import re
import uuid
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden" / "anyloom"
LABEL = "lmstudio"

LONG = "This part is long enough to be kept, which means that it has eighty characters and more, as this one has. "

FILES = {
    "plain.md": f"# The Title\n\nAn introduction.\n{LONG}\n\n## First\n\n{LONG}\n## Second\n{LONG}\n### Deeper\n{LONG}\n",
    "untitled.name.md": f"{LONG}\n## Only\n{LONG}",
    "late-title.md": f"\n# Not at the first byte\n\n{LONG}\n## A\n{LONG}",
    "front-matter.md": f"---\ntitle: x\n---\n# Title\n{LONG}\n## A\n{LONG}",
    "short.md": f"# T\n\nshort\n\n## One\n{LONG}\n## Two\nshort\n## Three\n{LONG}\n",
    "fence.md": f"# T\n```\n## not a heading, and yet a border\n{LONG}\n```\n## Real\n{LONG}",
    "first-line.md": f"## Begins with a section\n{LONG}\n##Not one\n ## Nor this\n### Nor this\n{LONG}",
    "same.md": f"# T\n## Same\n{LONG}\n## Same\n{LONG}",
    "eighty.md": "# T\n## A\n" + "x" * 75 + "\n## B\n" + "x" * 74 + "\n## C\n" + "é" * 75 + "\n",
    "empty-title.md": f"# \n{LONG}\n## \n{LONG}\n##  Spaces  \n{LONG}\n",
    "unicode.md": f"# Überschrift — 標題\n\n{LONG}\n## Größe & Maß\n{LONG}\u3000\n",
    "nothing.md": "",
    ".md": f"{LONG}",
}


def chunks_of(name, text):
    match = re.match(r"# (.+)", text)
    title = match[1].strip() if match and match[1].strip() else Path(name).stem
    for index, part in enumerate(re.split(r"(?=^## )", text, flags=re.MULTILINE)):
        part = part.strip()
        if len(part) < 80:
            continue
        heading = re.match(r"## (.+)", part)
        section = heading[1].strip() if heading and heading[1].strip() else "Introduction"
        yield {
            "file": name,
            "section": section,
            "index": index,
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{LABEL}/{name}::{section}::{index}")),
            "text": part if part.startswith("# ") else f"# {title}\n\n{part}",
        }


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, text in FILES.items():
        lines.append({"file": name, "content": text})
        lines += chunks_of(name, text)
    with open(FOLDER / "chunks.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
