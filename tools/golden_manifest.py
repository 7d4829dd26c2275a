"""What makers of goldens share: with what they were made; for queries and documents a folder of a file for each model, and its
manifest."""

import json
import sys
import tempfile
from importlib.metadata import version

import make_tiny_architectures as tiny


def made_with(packages):
    """Python's version and those of packages."""
    return {"python": sys.version.split()[0], **{package: version(package) for package in packages}}


def write_all(out, names, make, packages, queries, documents):
    """make(name, folder) gets each model's folder, writes its file into `out` and returns its entry of the manifest. Files of
    models that are no more go."""
    out.mkdir(exist_ok=True)
    for old in out.glob("*.f32"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        entries = [make(name, tiny.write_model(folder, name)) for name in names]
    parts = [f' "made_with": {json.dumps(made_with(packages))}', f' "queries": {json.dumps(queries)}',
             f' "documents": {json.dumps(documents)}', ' "models": [\n  ' + ",\n  ".join(map(json.dumps, entries)) + "\n ]"]
    (out / "manifest.json").write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
