"""What the documents say is so: options, settings, functions, snippets, links."""

import re
import subprocess
import unittest

from harness import BUILD, MINILM, ROOT, CommandTest

MAN = ROOT / "docs" / "man"
STORE = MINILM.parent.parent.parent  # the folder that HEDDLE_CACHE names


def man_options(page):
    """The long options that a page describes."""
    text = (MAN / page).read_text()
    items = [line for line in text.splitlines() if line.startswith(".It Fl ")]
    return {name for line in items for name in re.findall(r"Fl -([\w-]+)", line)}


class DocsTest(CommandTest):
    def test_man_pages_and_help_agree(self):
        common = man_options("heddle.1")
        elsewhere = {"eval": man_options("heddle-search.1")}
        for command in ("embed", "rerank", "serve", "health", "tokenize", "models", "pull", "info", "convert", "quantize", "db", "bench", "index", "search", "eval", "tune"):
            help_text = self.heddle(command, "--help")[0].decode().split("\n\n")[2]
            in_help = set(re.findall(r"^ .{4} --([\w-]+)", help_text, re.M))
            in_page = man_options(f"heddle-{command}.1")
            known = common | elsewhere.get(command, set())
            self.assertEqual(in_help - known, in_page - known, command)
            self.assertLessEqual(in_page, in_help, command)

    def test_man_pages_are_well_formed(self):
        for page in sorted(MAN.iterdir()):
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
            self.assertEqual(done.stdout + done.stderr, "", page.name)

    def test_library_pages_name_every_function(self):
        for header, page in (("heddle.h", "heddle.3"), ("index.h", "heddle_index.3")):
            declared = set(re.findall(r"HD_API[^;(]*?\b(hd_\w+)\s*\(", (ROOT / "include/heddle" / header).read_text()))
            named = set(re.findall(r"^\.Fn (hd_\w+)", (MAN / page).read_text(), re.M))
            self.assertEqual(named, declared, page)

    def test_every_setting_is_documented(self):
        source = (ROOT / "src/cli/config.c").read_text()
        table = source[source.index("names[N_SETTINGS]"):source.index("static const char *given")]
        names = re.findall(r'"([A-Z][A-Z0-9_]+)"', table)
        self.assertIn("HEDDLE_MODEL", names)
        readme = (ROOT / "README.md").read_text()
        page = (MAN / "heddle.1").read_text()
        for name in names:
            if not name.startswith("RERANK_"):
                self.assertIn(name, readme)
                self.assertIn(name, page)

    def test_readme_quotes_real_errors(self):
        readme = (ROOT / "README.md").read_text()
        rows = readme[readme.index("## When something is wrong"):readme.index("## More")]
        source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.c")).replace('\\"', '"')
        quotes = re.findall(r"^\| `([^`]+)` \|", rows, re.M)
        self.assertGreater(len(quotes), 1)
        for part in (part for quote in quotes for part in quote.split("...")):
            self.assertIn(part, source)

    def test_container_has_the_libraries(self):
        libraries = re.findall(r"^build\s+module:\S+\s+(\S+)", (ROOT / "tools/setup.sh").read_text(), re.M)
        self.assertGreater(len(libraries), 7)
        for name in ("Dockerfile", "Dockerfile.cuda"):
            container = (ROOT / name).read_text()
            for library in set(libraries) - {"libcmocka-dev"}:
                self.assertIn(f" {library}", container)

    def test_links_lead_somewhere(self):
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
                if "://" not in target:
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}")

    def compile_and_run(self, source):
        program = self.work / "snippet"
        subprocess.run(["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", str(source), f"-I{ROOT / 'include'}", f"-L{BUILD}",
                        "-lheddle", f"-Wl,-rpath,{BUILD}", "-o", str(program)], check=True)
        return subprocess.run([str(program)], capture_output=True, text=True, env=self.env(HEDDLE_CACHE=str(STORE)), check=True)

    def test_readme_snippets(self):
        snippets = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        self.assertTrue(snippets)
        for text in snippets:
            done = self.compile_and_run(self.write("snippet.c", text))
            self.assertEqual(done.stderr, "")
            self.assertRegex(done.stdout, r"\A(-?[\d.e-]+ ){3}\.\.\.\n\Z")

    def man_page_snippet(self, page):
        text = (MAN / page).read_text()
        return text[text.index("#include <heddle/"):text.rindex(".Ed")].replace("\\e", "\\")

    def test_man_page_snippets(self):
        self.assertEqual(self.compile_and_run(self.write("snippet.c", self.man_page_snippet("heddle.3"))).stderr, "")
        example = (ROOT / "examples/search.c").read_text()
        self.assertEqual(self.man_page_snippet("heddle_index.3"), example[example.index("#include <heddle/"):])

    def test_examples(self):
        done = subprocess.run([str(BUILD / "examples" / "embed")], capture_output=True, text=True, env=self.env(HEDDLE_CACHE=str(STORE)))
        self.assertRegex(done.stdout, r"\Acosine 0\.\d{3}\n\Z", done.stderr)
        done = subprocess.run([str(BUILD / "examples" / "nearest"), str(self.minilm()), str(ROOT / "examples/sentences.txt")],
                              capture_output=True, text=True, env=self.env())
        self.assertEqual(done.stderr, "")
        answers = re.split(r"\n\n", done.stdout)[1:]
        for answer, word in zip(answers, ("tide", "function", "pruned")):
            self.assertIn(word, answer.splitlines()[1], answer)
        (self.work / "harbour.md").write_text("# The harbour\n\nThe tide comes in twice a day.\n\n# The garden\n\nPrune the roses.\n")
        done = subprocess.run([str(BUILD / "examples" / "search"), str(self.work), "when does the water rise"], capture_output=True,
                              text=True, cwd=self.folder, env=self.env(HEDDLE_CACHE=str(STORE)))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout.splitlines()[0], r"harbour\.md:\d+ .*tide")
        done = subprocess.run([str(BUILD / "examples" / "nearest"), "no/model"], capture_output=True, text=True, env=self.env())
        self.assertEqual((done.returncode, done.stdout), (1, ""))


if __name__ == "__main__":
    unittest.main()
