#!/usr/bin/env python3
"""A folder of real documents: HTML, Markdown and plain text out of Debian's documentation packages.

    corpus.py OUT_DIR N_DOCUMENTS

python3.11-doc gives HTML, git-doc text (AsciiDoc), docker-doc Markdown: about 7, 2 and 1 of ten. Packages are fetched by
apt-get and unpacked into OUT_DIR/packages, documents go to OUT_DIR/documents. Which ones is decided by hashes of their
names, so that the same packages give the same folder, and more documents hold all of fewer. Files of more than 200 kB (lists
of changes, the index of everything) are left out, since one of them would weigh as much as thirty others. The documents are
their owners', under their licences: they are fetched, never handed on.
"""

import gzip
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

MOST_BYTES, LEAST_BYTES = 200_000, 500
KINDS = (("python3.11-doc", (".html",), 0.7), ("git-doc", (".txt",), 0.2), ("docker-doc", (".md", ".md.gz"), 0.1))


def unpack(packages):
    for name, _, _ in KINDS:
        if (packages / name).exists():
            continue
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", name], cwd=packages, check=True, stderr=subprocess.DEVNULL)
        archive = next(packages.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, packages / f"{name}.tmp"], check=True)
        (packages / f"{name}.tmp").rename(packages / name)


def chosen(folder, endings):
    """(name, bytes) in the order of the names' hashes; compressed ones are opened."""
    found = sorted((p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name.endswith(endings)),
                   key=lambda p: hashlib.sha256(str(p.relative_to(folder)).encode()).hexdigest())
    for path in found:
        name = str(path.relative_to(folder / "usr/share/doc")).removesuffix(".gz")
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if LEAST_BYTES <= len(data) <= MOST_BYTES and not name.endswith(("genindex.html", "-all.html")):
            yield name, data


def main(argv):
    if len(argv) != 3:
        sys.exit(__doc__)
    out, n_wanted = Path(argv[1]).resolve(), int(argv[2])
    unpack(out / "packages")
    shutil.rmtree(out / "documents", ignore_errors=True)
    total, n_bytes = 0, 0
    for package, endings, share in KINDS:
        for (name, data), _ in zip(chosen(out / "packages" / package, endings), range(round(share * n_wanted))):
            path = out / "documents" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            total, n_bytes = total + 1, n_bytes + len(data)
    print(f"corpus: {total} documents, {n_bytes / 1e6:.1f} MB in {out / 'documents'}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv)
