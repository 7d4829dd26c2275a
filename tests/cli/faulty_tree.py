"""A folder with everything in it that a folder should not have, for tests of `heddle index`."""

import os
import random
import socket
import zipfile
from pathlib import Path

WORDS = ("amaranth", "borage", "chicory", "dandelion", "elecampane", "fennel", "gentian", "hyssop", "lovage", "mallow", "nettle",
         "orache", "purslane", "rampion", "samphire", "tansy", "valerian", "woodruff", "yarrow")


class FaultyTree:
    """good: {word: name} of what must be found by that word; bad: names that must be told, each with a reason."""

    def __init__(self, root):
        self.root, self.good, self.bad = Path(root), {}, []
        self.words = iter(WORDS)
        random.seed(6)
        for make in (self.plain, self.broken_containers, self.not_text, self.encodings, self.links, self.names, self.folders, self.special):
            make()

    def put(self, name, data):
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def put_good(self, name, before="The herb ", after=" grows by the wall.\n", encoding="utf-8", errors="strict"):
        word = next(self.words)
        self.put(name, (before + word + after).encode(encoding, errors))
        self.good[word] = name

    def put_bad(self, name, data):
        self.put(name, data)
        self.bad.append(name)

    def plain(self):
        self.put_good("plain.txt")
        self.put_good("heading.md", before="# Herbs\n\nThe herb ")
        self.put_good("page.html", before="<html><body><p>The herb ", after=" grows <b>here</p></body>")

    def broken_containers(self):
        noise = random.randbytes(4000)
        self.put_bad("broken.pdf", b"%PDF-1.7\n" + noise)
        self.put_bad("cut.pdf", b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n")
        word = b"<w:document><w:body><w:p><w:r><w:t>text</w:t></w:r></w:p></w:body></w:document>"
        for name, inside, data in (("cut.docx", "word/document.xml", word * 100), ("other.docx", "nothing/here.xml", word),
                                   ("cut.epub", "mimetype", b"application/epub+zip")):
            with zipfile.ZipFile(self.root / name, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(inside, data)
            whole = (self.root / name).read_bytes()
            self.put_bad(name, whole[:-30] if name.startswith("cut") else whole)
        self.put_bad("noise.docx", b"PK\x03\x04" + noise)
        with zipfile.ZipFile(self.root / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("word/document.xml", "w") as part:
                part.write(b"<w:document><w:body>")
                for _ in range(512):
                    part.write(b" " * 2 ** 20)
        self.bad.append("bomb.docx")

    def not_text(self):
        self.put_bad("binary.txt", random.randbytes(20000))
        self.put_bad("program.md", b"\x7fELF\x02\x01\x01" + bytes(4000) + random.randbytes(4000))
        huge = self.put("huge.txt", b"begins as text\n")
        os.truncate(huge, 2 * 2 ** 30)
        self.bad.append("huge.txt")
        self.put("empty.txt", b"")
        self.put("blank.md", b" \n\n\t\n")

    def encodings(self):
        self.put_good("utf16.txt", encoding="utf-16")
        self.put_good("utf8-bom.txt", encoding="utf-8-sig")
        self.put_good("latin1.txt", after=" wächst an der Straße, größer als üblich.\n", encoding="latin-1")
        self.put_good("a-byte-wrong.txt", after=" grows h\udcffere, and here: Straße.\n", errors="surrogateescape")
        self.put_good("crlf.txt", before="A line.\r\n\r\nThe herb ")

    def links(self):
        os.makedirs(self.root / "loop/inner")
        os.symlink("..", self.root / "loop/inner/up")
        os.symlink("itself", self.root / "itself")
        os.symlink("not-there.txt", self.root / "dangling.txt")
        self.bad += ["itself", "dangling.txt"]

    def names(self):
        for name in (b"not-utf8-\xff\xfe.txt", b"new\nline.txt", b"-dash.txt", b"--db.txt", b"quote'\".txt", b"percent%s%n.txt",
                     b"x" * 251 + b".txt"):
            self.put_good(name)

    def folders(self):
        os.makedirs(self.root / "nothing/in/it")
        here = os.getcwd()
        os.makedirs(self.root / "deep")
        os.chdir(self.root / "deep")
        for _ in range(40):  # beyond PATH_MAX, 4,096 bytes
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("bottom.txt").write_text("Too far down to have a path.\n")
        os.chdir(here)

    def special(self):
        os.mkfifo(self.root / "fifo.txt")
        here = os.getcwd()
        os.chdir(self.root)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.txt")
        os.chdir(here)
        self.put_bad("forbidden.txt", b"Nobody may read this.\n")
        os.chmod(self.root / "forbidden.txt", 0)
        os.makedirs(self.root / "locked")
        self.put("locked/inside.txt", b"Nobody may look in here.\n")
        os.chmod(self.root / "locked", 0)
        self.bad.append("locked")
