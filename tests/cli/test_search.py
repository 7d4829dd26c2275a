"""`heddle search`, `eval` and `tune`: hits as JSON lines and on a terminal, filters, legs that cannot take part, measures."""

import json
import os
import pty
import shutil
import unittest

from harness import MINILM, PROGRAM, CommandTest

DOCUMENTS = [
    {"id": "loom", "title": "Looms", "text": "A loom is a machine that weaves cloth. The warp is held under tension while the weft passes through it.",
     "metadata": {"year": 2020, "tags": ["craft", "textile"]}},
    {"id": "ship", "title": "Ships", "text": "A ship carries goods over the sea. Its sails are woven from strong cloth, and the wind fills them.",
     "metadata": {"year": 2021, "tags": ["sea"]}},
    {"id": "bread", "title": "Bread", "text": "Bread is baked in a hot oven. The dough has to rise for an hour before it is baked.",
     "metadata": {"year": 2022, "tags": ["craft", "food"]}},
    {"id": "moon", "title": "Tides", "text": "The moon pulls at the sea. This is how tides work: twice a day the water rises and falls.",
     "metadata": {"year": 2023, "tags": ["sea"]}},
]
QUERIES = [("q1", "how is fabric made", "loom"), ("q2", "vessel with sails", "ship"), ("q3", "making a loaf", "bread"),
           ("q4", "why does the water rise", "moon"), ("q5", "weaving machine", "loom"), ("q6", "gravity and the ocean", "moon"),
           ("q7", "kneading dough", "bread"), ("q8", "transport over the ocean", "ship")]


class SearchTest(CommandTest):
    model = None

    def setUp(self):
        super().setUp()
        self.write("documents.jsonl", "".join(json.dumps(d) + "\n" for d in DOCUMENTS))
        self.heddle("index", "--quiet", "--model", self.model or self.tiny(), "documents.jsonl", timeout=300)

    def hits(self, *args, **options):
        stdout, _ = self.heddle("search", *args, **options)
        return [json.loads(line) for line in stdout.decode().splitlines()]

    def ids(self, *args, **options):
        return [hit["document"] for hit in self.hits(*args, **options)]


class MechanicsTest(SearchTest):
    """With a small model of random weights: what vectors find means nothing, but all is there."""

    def test_a_hit_has_its_fields(self):
        hit = self.hits("--mode", "bm25", "weft", "tension")[0]
        self.assertEqual(hit["document"], "loom")
        self.assertEqual(hit["rank"], 1)
        self.assertEqual(hit["score"], hit["scores"]["bm25"])
        self.assertEqual(hit["ranks"], {"bm25": 1})
        self.assertEqual(hit["metadata"]["tags"], ["craft", "textile"])
        self.assertEqual(hit["title"], "Looms")
        self.assertIn("weft passes", hit["text"])
        snippet = hit["snippet"].encode()
        self.assertEqual([snippet[b:e].decode() for b, e in hit["highlights"]], ["tension", "weft"])
        for name in ("source", "section", "chunk", "ordinal", "path", "url", "author", "mime", "line", "page", "span", "fused", "fused_rank"):
            self.assertIn(name, hit)

    def test_every_leg_says_what_it_found(self):
        hits = self.hits("cloth")
        self.assertEqual({hit["document"] for hit in hits}, {"loom", "ship", "bread", "moon"})
        self.assertTrue(all("dense" in hit["scores"] for hit in hits))
        self.assertEqual({hit["document"] for hit in hits if "bm25" in hit["ranks"]}, {"loom", "ship"})
        self.assertEqual([hit["fused_rank"] for hit in hits], [1, 2, 3, 4])
        explained = self.hits("--explain", "cloth")[-1]["explain"]
        self.assertEqual(explained["bm25"]["n"], 2)
        self.assertEqual(explained["n_matching"], 4)

    def test_words_alone_need_no_model(self):
        self.write("one.jsonl", json.dumps(DOCUMENTS[0]) + "\n")
        model = self.copy_tiny()
        self.heddle("index", "--quiet", "--db", "one.db", "--model", model, "one.jsonl")
        shutil.rmtree(model)
        _, stderr = self.heddle("search", "--db", "one.db", "--mode", "bm25", "cloth")
        self.assertEqual(stderr, "")
        stdout, stderr = self.heddle("search", "--db", "one.db", "cloth")
        self.assertIn("is not here ('heddle pull", stderr)
        self.assertIn("words alone are searched", stderr)
        self.assertEqual(len(stdout.splitlines()), 1)
        self.fails("search", "--db", "one.db", "--mode", "dense", "cloth", says="no such folder or file")
        self.fails("search", "--mode", "sparse", "cloth", says="sparse: the index keeps none of its vectors")
        self.fails("search", "--model", "nobody/nothing", "cloth", says="nobody/nothing")

    def test_another_model_is_refused(self):
        self.fails("search", "--model", self.tiny("tiny-classic"), "cloth", says="tiny-classic")

    def test_filters(self):
        self.assertEqual(set(self.ids("--filter", "tags = craft", "sea")), {"loom", "bread"})
        self.assertEqual(set(self.ids("-f", "year > 2020 AND NOT title = Bread", "sea")), {"ship", "moon"})
        self.assertEqual(self.ids("--filter", "id = none", "sea"), [])
        self.fails("search", "--filter", "tags = ", "sea", code=2, says=["filter: expected a value", "tags = >>>"])
        self.fails("search", "--filter", "(" * 100, "sea", says="deeper than 16")
        self.assertEqual(self.ids("--filter", "id = \"x' OR '1'='1\"", "sea"), [])

    def test_facets(self):
        last = self.hits("--facets", "metadata.tags,title", "--limit", "1", "sea")[-1]
        self.assertEqual(last["facets"]["metadata.tags"],
                         [{"value": "craft", "n": 2}, {"value": "sea", "n": 2}, {"value": "food", "n": 1}, {"value": "textile", "n": 1}])
        self.assertEqual(len(last["facets"]["title"]), 4)
        self.fails("search", "--facets", "a b", "sea", code=2, says="field")

    def test_quotes(self):
        self.assertEqual(self.ids('"strong cloth"'), ["ship"])
        self.assertEqual(set(self.ids('sea -"moon"')), {"loom", "ship", "bread"})

    def test_options_of_order(self):
        plain = self.ids("cloth")
        self.assertEqual(self.ids("--limit", "2", "--offset", "1", "cloth"), plain[1:3])
        self.assertEqual(self.ids("--sandwich", "cloth"), [plain[i] for i in (0, 1, 2, 3)])
        self.assertEqual(sorted(self.ids("--mmr", "0.5", "--group", "cloth")), sorted(plain))
        self.assertEqual(self.ids("--min-score", "dense=2", "cloth"), [])
        for fusion in ("rrf", "minmax", "zscore", "dbsf"):
            self.assertEqual(len(self.ids("--fusion", fusion, "--weights", "bm25=0.3,dense=0.7", "cloth")), 4)
        self.assertEqual(self.hits("--profile", "elastic", "--limit", "1", "cloth")[0]["ranks"]["bm25"], 1)

    def test_options_that_are_wrong(self):
        for args, says in ((["--mode", "magic"], "--mode: 'magic'"), (["--fusion", "sum"], "--fusion: 'sum'"), (["--weights", "bm25"], "--weights: 'bm25'"),
                           (["--weights", "bm25=0"], "one weight at least"), (["--weights", "rerank=1"], "--weights: 'rerank=1'"),
                           (["--min-score", "magic=1"], "--min-score"), (["--min-score", "x"], "not a number"), (["--mmr", "2"], "from 0 to 1"),
                           (["--rrf-k", "0"], "--rrf-k"), (["--profile", "slow"], "--profile: 'slow' is none of fast, default, gpu and elastic"),
                           (["--offset", "9999", "--limit", "2"], "--offset and --limit: 9999 and 2 are together more than 10000"),
                           (["--offset", "9991"], "--offset and --limit: 9991 and 10 are together more than 10000")):
            self.fails("search", *args, "cloth", code=2, says=says)
        self.assertEqual(self.ids("--offset", "9990", "cloth"), [])
        self.assertEqual(self.ids("--offset", "9999", "--limit", "1", "cloth"), [])
        self.fails("search", code=2, says="search: what for?")
        self.fails("search", " ", code=2, says="the query is empty")
        self.fails("search", "--db", "none.db", "cloth", says="none.db")
        self.write("text.db", "no database")
        self.fails("search", "--db", "text.db", "cloth", says="text.db")

    def test_the_index_is_found_above(self):
        (self.work / "a" / "b").mkdir(parents=True)
        work, self.work = self.work, self.work / "a" / "b"
        self.assertEqual(len(self.ids("cloth")), 4)
        self.work = work
        self.fails("search", "--db", "a/.heddle.db", "cloth", says="a/.heddle.db")

    def terminal(self, *args):
        """What the program writes to a terminal."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.work)
            os.execve(PROGRAM, [str(PROGRAM), *args], self.env(TERM="xterm"))
        output = b""
        while True:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            output += part
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, output)
        return output.decode()

    def test_on_a_terminal(self):
        text = self.terminal("search", "--mode", "bm25", "--explain", "weft")
        self.assertIn("\x1b[1m1. Looms", text)
        self.assertIn("\x1b[1;33mweft\x1b[0m", text)
        self.assertIn("#1", text)
        self.assertIn("1 of 4 passages", text)

    def test_documents_cannot_steer_the_terminal(self):
        self.write("evil.jsonl", json.dumps({"id": "evil", "title": "\x1b]0;owned\x07", "text": "zebra \x1b[2J \u202e reversed \u009b31m"}) + "\n")
        self.heddle("index", "--quiet", "--model", self.tiny(), "evil.jsonl")
        text = self.terminal("search", "--mode", "bm25", "zebra")
        self.assertIn("zebra", text)
        for bad in ("\x1b]", "\x1b[2J", "\u202e", "\u009b", "\x07"):
            self.assertNotIn(bad, text)


class JudgedTest(SearchTest):
    def setUp(self):
        self.model = self.minilm()
        super().setUp()
        self.write("queries.jsonl", "".join(json.dumps({"_id": i, "text": q}) + "\n" for i, q, _ in QUERIES))
        self.write("qrels.tsv", "query-id\tcorpus-id\tscore\n" + "".join(f"{i}\t{d}\t1\n" for i, _, d in QUERIES))

    def env(self, **extra):
        return super().env(**{"HEDDLE_CACHE": str(MINILM.parent.parent.parent), **extra})

    def eval(self, *args):
        stdout, _ = self.heddle("eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--json", *args)
        return {row["name"]: row for row in map(json.loads, stdout.decode().splitlines())}

    def test_rankings_stay_as_they_are(self):
        golden = {q: self.ids(q) for _, q, _ in QUERIES}
        self.matches("search-rankings.json", json.dumps(golden, indent=1) + "\n")

    def test_legs_and_fusions_are_measured(self):
        rows = self.eval()
        self.assertEqual(list(rows), ["bm25", "dense", "rrf", "minmax", "zscore", "dbsf", "elastic (0.3, 0.7)"])
        self.assertEqual(rows["dense"]["recall@100"], 1)
        self.assertGreater(rows["dense"]["ndcg@10"], rows["bm25"]["ndcg@10"])
        self.assertTrue(all(row["p50_ms"] > 0 for row in rows.values()))
        stdout, _ = self.heddle("eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
        self.assertIn("8 queries; 4 documents, 4 passages", stdout.decode())

    def test_a_run_has_what_was_asked_for(self):
        rows = self.eval("--mode", "dense", "--run", "run.trec", "--group")
        self.assertAlmostEqual(rows["as asked"]["ndcg@10"], rows["dense"]["ndcg@10"], places=6)
        lines = [line.split() for line in (self.work / "run.trec").read_text().splitlines()]
        self.assertEqual(len(lines), 8 * 4)
        self.assertEqual([line[3] for line in lines[:4]], ["1", "2", "3", "4"])
        self.assertEqual({line[0] for line in lines}, {i for i, _, _ in QUERIES})
        found = [float(line[4]) for line in lines[:4]]
        self.assertEqual(found, sorted(found, reverse=True))

    def test_passages_can_be_judged(self):
        """By the name that hits give them."""
        self.write("qrels.tsv", "".join(f"{i} {d}#0 1\n" for i, _, d in QUERIES))
        rows = self.eval("--mode", "dense", "--run", "run.trec")
        self.assertEqual(rows["dense"]["recall@100"], 1)
        self.assertAlmostEqual(rows["as asked"]["ndcg@10"], rows["dense"]["ndcg@10"], places=6)
        found = {tuple(line.split()[:3:2]) for line in (self.work / "run.trec").read_text().splitlines()}
        self.assertLessEqual({(i, f"{d}#0") for i, _, d in QUERIES}, found)

    def test_what_tune_saves_is_used(self):
        args = ["tune", "--search", "--queries", "queries.jsonl", "--qrels", "qrels.tsv"]
        stdout, _ = self.heddle(*args, "--save")
        text = stdout.decode()
        self.assertRegex(text, r"(?m)^best .*(rrf|minmax|zscore|dbsf)")
        if "saved:" in text:
            options = text[text.index("heddle search") + len("heddle search"):].split("\n")[0].split()
            self.assertEqual([h["score"] for h in self.hits("dough")], [h["score"] for h in self.hits(*options, "dough")])
        else:
            self.assertIn("no better than the default", text)
        self.fails("tune", code=2, says="--search is what can be tuned")
        self.fails("tune", "--search", code=2, says="--queries and --qrels are needed")

    def test_files_that_are_wrong(self):
        self.write("bad.tsv", "1 2\n")
        self.fails("eval", "--queries", "queries.jsonl", "--qrels", "bad.tsv", says="bad.tsv: line 1")
        self.fails("eval", "--queries", "none.jsonl", "--qrels", "bad.tsv", says="none.jsonl")
        self.fails("eval", "extra", code=2, says="takes no arguments")

    def test_measures_say_how_many_hits(self):
        for name in ("--offset", "--limit", "-n"):
            self.fails("eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--group", name, "5", code=2, says=f"'{name}'")


if __name__ == "__main__":
    unittest.main()
