"""The page at `/` in a real Chromium, against a running `heddle serve`.

Run through ctest, or by hand:  HEDDLE_BUILD=build python3 -m unittest discover -s tests/page
With HEDDLE_PICTURES=FOLDER it leaves pictures of the page there.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))

from browser import CONTROL, Browser
from harness import PROGRAM, SETTINGS, tiny_models

MODEL = "tiny-mean-f16"
KEY = "a key of the test"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, *options, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.folder = tempfile.mkdtemp(prefix="heddle-page-server-")
        env = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        self.log = open(Path(self.folder) / "log", "w+b")
        self.process = subprocess.Popen(
            [str(PROGRAM), "serve", "--port", str(self.port), "--model", str(tiny_models() / MODEL), *options],
            env={**env, "HEDDLE_CACHE": str(Path(self.folder) / "cache"), "HOME": self.folder}, cwd=self.folder,
            stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.log.seek(0)
                    raise AssertionError(f"the server does not start: {self.log.read().decode()}")
                time.sleep(0.02)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if code != 0:
            raise AssertionError(f"the server ended with {code}")

    def embed(self, texts, key=None):
        request = urllib.request.Request(f"{self.url}v1/embeddings", json.dumps({"model": MODEL, "input": texts}).encode(),
                                         {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


class PageTest(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)
        cls.addClassCleanup(cls.server.close)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        b = self.browser
        b.size(1280, 900)
        b.scheme("light")
        b.open(self.server.url + "health")  # of the page's origin, and sooner there
        b.eval("localStorage.clear(); sessionStorage.clear()")
        b.open(self.server.url)
        b.errors.clear()

    def ready(self):
        self.browser.until("document.getElementById('state').dataset.state === 'ready'")

    def text(self, selector):
        return self.browser.eval(f"document.querySelector({json.dumps(selector)}).innerText")

    def compare(self):
        self.browser.eval("document.getElementById('compare').click()")
        self.browser.until("document.querySelector('#heat td[tabindex]')")

    def picture(self, name, width=1280, mobile=False):
        """For people to look at; the whole page, however long."""
        folder = os.environ.get("HEDDLE_PICTURES")
        if folder:
            b = self.browser
            b.size(width, b.eval("document.documentElement.scrollHeight"), mobile)
            time.sleep(0.3)
            Path(folder).mkdir(parents=True, exist_ok=True)
            b.picture(Path(folder) / f"{name}.png")

    def contrast(self, scheme):
        """The weakest contrast of any text with what is behind it (WCAG 2.2, 1.4.3)."""
        self.browser.scheme(scheme)
        time.sleep(0.2)
        return self.browser.eval("""(() => {
          const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
          const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data]; };
          const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => { const v = c[i] / 255;
            return sum + w * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
          const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
            if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
          let worst = [99, ''];
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const e = walker.currentNode.parentElement;
            if (walker.currentNode.textContent.trim() === '' || !e.checkVisibility() || e.closest('svg, option, .skip, noscript')) continue;
            const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < worst[0]) worst = [ratio, walker.currentNode.textContent];
          }
          return worst;
        })()""")


class Open(PageTest):
    def test_loads_without_an_error(self):
        self.ready()
        self.assertEqual(self.browser.eval("document.title"), "Heddle")
        self.assertIn(MODEL, self.text("#model-cards"))
        self.assertIn("bert", self.text("#model-cards"))
        self.assertIn("queue", self.text("#setting-list"))
        self.assertRegex(self.text("#device"), r"of [\d.]+ [GM]iB")
        time.sleep(2.2)  # some more rounds of the status
        self.assertEqual(self.browser.errors, [])

    def test_asks_nobody_else(self):
        self.ready()
        self.compare()
        names = self.browser.eval("performance.getEntriesByType('resource').map((entry) => entry.name)")
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertTrue(name.startswith(self.server.url), name)

    def test_plots_move(self):
        self.ready()
        area = "document.querySelector('#plot-throughput .line-0').getAttribute('d')"
        before = self.browser.eval(area)
        stop = threading.Event()

        def load():
            n = 0
            while not stop.is_set():
                n += 1
                self.server.embed([f"text {n} of {i}" for i in range(8)])

        thread = threading.Thread(target=load)
        thread.start()
        try:
            self.browser.until("/^[1-9]/.test(document.querySelector('#plot-throughput .reading-0').textContent)")
            self.browser.until("/[µm]s$/.test(document.querySelector('#plot-latency .reading-1').textContent)")
            self.browser.until("document.querySelector('#tiles dd').textContent !== '0'")
            time.sleep(3)
            self.picture("load")
        finally:
            stop.set()
            thread.join()
        self.assertNotEqual(self.browser.eval(area), before)
        self.assertIn("loaded", self.text("#model-cards"))
        self.assertRegex(self.text("#phase-legend"), r"computing\s+\d")
        # A page opened now is told what happened before.
        self.browser.open(self.server.url)
        self.ready()
        self.browser.until("/ms|µs/.test(document.querySelector('#tiles').textContent)")
        self.assertEqual(self.browser.errors, [])

    def test_plots_by_keyboard(self):
        self.ready()
        self.browser.eval("document.querySelector('#plot-throughput svg').focus()")
        for _ in range(3):
            self.browser.key("ArrowLeft")
        self.assertIn("3 s ago", self.text("#plot-throughput h3"))
        self.assertIn("3 s ago", self.browser.eval("document.querySelector('#plot-throughput svg').getAttribute('aria-label')"))
        self.browser.key("Escape")
        self.assertIn("now", self.text("#plot-throughput h3"))

    def test_heat_map(self):
        self.ready()
        self.compare()
        cells = self.browser.eval("[...document.querySelectorAll('#heat tbody tr')]"
                                  ".map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent.replace('−', '-')))")
        n = len(cells)
        self.assertEqual(n, 6)
        for i in range(n):
            self.assertEqual(cells[i][i], "1.00")
            for j in range(n):
                self.assertEqual(cells[i][j], cells[j][i])
                self.assertLessEqual(abs(float(cells[i][j])), 1)
        self.assertLess(min(float(v) for row in cells for v in row), 1)
        self.assertIn("Closest", self.text("#pair"))
        self.picture("heat")
        self.assertEqual(self.browser.errors, [])

    def test_heat_map_of_too_few(self):
        self.ready()
        self.browser.eval("document.getElementById('texts').value = 'one\\n\\n  \\n'")
        self.browser.eval("document.getElementById('compare').click()")
        self.assertIn("these are 1", self.text("#heat"))

    def test_markup_stays_text(self):
        self.ready()
        self.browser.eval("document.getElementById('texts').value = '<img src=x onerror=alert(1)>\\n<b>bold</b>'")
        self.compare()
        self.assertIn("<img", self.text("#heat"))
        self.assertFalse(self.browser.eval("!!document.querySelector('#heat img')"))
        self.assertEqual(self.browser.errors, [])

    def test_refusal_is_shown(self):
        self.ready()
        self.browser.eval("window.fetch = async () => new Response('{\"error\":{\"message\":\"too much of it\"}}', {status: 400})")
        self.browser.eval("document.getElementById('compare').click()")
        self.browser.until("document.getElementById('heat').innerText.includes('too much of it')")

    def test_tokens(self):
        self.ready()
        self.browser.eval("document.getElementById('tab-tokens').click()")
        self.browser.until("document.querySelectorAll('#tokens li').length > 4")
        tokens = self.browser.eval("[...document.querySelectorAll('#tokens li')].map((li) => [li.className, li.innerText, li.title])")
        self.assertEqual(tokens[0][0], "special")
        self.assertEqual(tokens[-1][0], "special")
        self.assertIn("[CLS]", tokens[0][1])
        self.assertIn("added by the model", tokens[0][2])
        self.assertEqual({kind for kind, _, _ in tokens}, {"special", "word", "piece"})
        for kind, _, title in tokens:
            if kind != "special":
                self.assertRegex(title, r"id \d+: characters \d+–\d+, bytes \d+–\d+")
        self.browser.eval("document.querySelector('#tokens li').focus()")
        self.browser.key("ArrowRight")
        self.assertIn("characters 0–", self.text("#token"))
        self.picture("tokens")
        self.browser.eval("document.getElementById('specials').click()")
        self.browser.until("!document.querySelector('#tokens .special')")
        self.browser.eval("document.getElementById('token-text').value = ''")
        self.browser.eval("document.getElementById('token-text').dispatchEvent(new Event('input'))")
        self.browser.until("document.getElementById('token-count').innerText.startsWith('Nothing')")
        self.assertEqual(self.browser.errors, [])

    def test_offsets_count_code_points(self):
        """Offsets come in bytes of UTF-8; people count characters, and JavaScript neither."""
        kinds = self.browser.eval("""import('./page/playground.js').then(({kinds}) => kinds('é😀 ab', [
            {id: 1, text: '[CLS]', special: true, start: null, stop: null},
            {id: 2, text: 'é', special: false, start: 0, stop: 2}, {id: 3, text: '😀', special: false, start: 2, stop: 6},
            {id: 4, text: 'a', special: false, start: 7, stop: 8}, {id: 5, text: 'b', special: false, start: 8, stop: 9}])
            .map(({kind, begin, end}) => [kind, begin ?? -1, end ?? -1]))""")
        self.assertEqual(kinds, [["special", -1, -1], ["word", 0, 1], ["word", 1, 2], ["word", 3, 4], ["piece", 4, 5]])


class Looks(PageTest):
    GROUND = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"

    def test_dark_and_light(self):
        b = self.browser
        self.ready()
        self.assertGreater(b.eval(self.GROUND), 600)
        b.scheme("dark")
        self.assertLess(b.eval(self.GROUND), 120)
        self.compare()
        self.picture("dark")
        b.eval("document.getElementById('theme-button').click()")
        self.assertIn("Light", self.text("#theme-button"))
        self.assertGreater(b.eval(self.GROUND), 600)
        b.open(self.server.url)  # and it is remembered
        self.assertGreater(b.eval(self.GROUND), 600)
        b.scheme("light")
        b.eval("document.getElementById('theme-button').click()")
        self.assertIn("Dark", self.text("#theme-button"))
        self.assertLess(b.eval(self.GROUND), 120)
        self.assertEqual(b.errors, [])

    def test_contrast(self):
        self.ready()
        self.compare()
        for tab in ("tab-compare", "tab-tokens"):
            self.browser.eval(f"document.getElementById('{tab}').click()")
            if tab == "tab-tokens":
                self.browser.until("document.querySelector('#tokens li')")
            for scheme in ("light", "dark"):
                ratio, text = self.contrast(scheme)
                self.assertGreaterEqual(ratio, 4.5, f"{scheme}: {text}")

    def test_phone(self):
        b = self.browser
        b.size(360, 740, mobile=True)
        b.open(self.server.url)
        self.ready()
        width = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        self.assertEqual(b.eval(width), 360)
        b.eval("document.getElementById('texts').value = Array.from({length: 24}, (_, i) => `text ${i} `.repeat(i + 1)).join('\\n')")
        self.compare()  # as wide a table as there is
        self.assertEqual(b.eval(width), 360)
        b.eval("document.getElementById('key-button').click()")
        self.assertEqual(b.eval(width), 360)
        b.eval("document.getElementById('tab-tokens').click()")
        b.until("document.querySelector('#tokens li')")
        b.eval("document.getElementById('token-text').value = 'x'.repeat(400)")
        b.eval("document.getElementById('token-text').dispatchEvent(new Event('input'))")
        time.sleep(0.6)
        self.assertEqual(b.eval(width), 360)
        b.eval("document.getElementById('tab-js').click()")
        self.assertEqual(b.eval(width), 360)
        self.assertEqual(b.errors, [])
        b.open(self.server.url)
        self.ready()
        self.compare()
        self.picture("phone", 360, True)

    def test_every_control_has_a_name(self):
        self.ready()
        self.compare()
        nameless = self.browser.eval("""[...document.querySelectorAll('button, input, select, textarea, [role=tab], svg[tabindex]')]
            .filter((e) => !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim()))
            .map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])
        ids = self.browser.eval("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        self.assertEqual(len(ids), len(set(ids)))
        broken = self.browser.eval("""[...document.querySelectorAll('[aria-controls], [aria-labelledby]')]
            .filter((e) => ['aria-controls', 'aria-labelledby'].some((a) => e.hasAttribute(a) && !document.getElementById(e.getAttribute(a))))
            .map((e) => e.outerHTML)""")
        self.assertEqual(broken, [])


class Keyboard(PageTest):
    def focused(self):
        return self.browser.eval("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40)")

    def tab_to(self, wanted, most=60):
        for _ in range(most):
            self.browser.key("Tab")
            seen = self.browser.eval("(() => { const s = getComputedStyle(document.activeElement); "
                                     "return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1; })()")
            self.assertTrue(seen, f"the focus cannot be seen on {self.focused()}")
            if self.focused() == wanted:
                return
        self.fail(f"{wanted} is not reached")

    def test_path(self):
        b = self.browser
        self.ready()
        b.key("Tab")
        self.assertEqual(self.focused(), "Skip to the content")
        self.tab_to("theme-button")
        b.key("Enter")
        self.assertIn("Light", self.text("#theme-button"))
        self.tab_to("texts")
        b.key("Enter", CONTROL)
        b.until("document.querySelector('#heat td[tabindex]')")
        self.tab_to("compare")
        b.key("Tab")
        b.key("ArrowRight")
        b.key("ArrowDown")
        self.assertEqual(b.eval("[document.activeElement.cellIndex, document.activeElement.parentElement.rowIndex]"), [2, 2])
        b.eval("document.getElementById('tab-compare').focus()")
        b.key("ArrowRight")
        self.assertEqual(self.focused(), "tab-tokens")
        b.until("document.querySelector('#tokens li')")
        self.tab_to("tab-curl")
        b.key("End")
        self.assertEqual(self.focused(), "tab-js")
        self.assertIn("fetch", self.text("#snippet"))
        self.assertEqual(b.errors, [])


class Snippets(PageTest):
    def snippet(self, name):
        self.browser.eval(f"document.getElementById('tab-{name}').click()")
        return self.browser.eval("document.getElementById('snippet').textContent")

    def test_curl_runs(self):
        self.ready()
        self.browser.until(f"document.getElementById('snippet').textContent.includes('{MODEL}')")
        done = subprocess.run(["bash", "-c", self.snippet("curl")], capture_output=True, check=True, timeout=60)
        self.assertEqual(len(json.loads(done.stdout)["data"]), 2)

    def test_javascript_runs(self):
        self.ready()
        code = self.snippet("js").replace("console.log(", "window.said = (")
        self.assertIn(self.server.url, code)
        self.browser.eval(f"(async () => {{ {code} }})()")
        lengths = self.browser.eval("window.said")
        self.assertGreater(lengths, 0)

    def test_python_is_python(self):
        self.ready()
        code = self.snippet("python")
        compile(code, "snippet", "exec")
        self.assertIn(f'base_url="{self.server.url}v1"', code)

    def test_copy(self):
        self.ready()
        self.browser.eval("document.getElementById('copy').click()")
        self.browser.until("/Copied|Selected/.test(document.getElementById('copy').textContent)")
        self.browser.until("document.getElementById('copy').textContent === 'Copy'")


class Keys(PageTest):
    options = ("--api-key", KEY)

    def test_key_is_asked_for(self):
        b = self.browser
        b.until("document.getElementById('state').dataset.state === 'refused'")
        self.assertTrue(b.eval("document.getElementById('key-form').checkVisibility()"))
        self.assertEqual(b.eval("document.activeElement.id"), "key")
        self.assertNotIn(MODEL, b.eval("document.body.innerText"))
        b.type("not it")
        b.key("Enter")
        b.until("document.getElementById('alert').innerText.includes('does not take')")
        b.eval("document.getElementById('key').value = ''; document.getElementById('key').focus()")
        b.type(KEY)
        b.key("Enter")
        self.ready()
        self.assertFalse(b.eval("document.getElementById('alert').checkVisibility()"))
        self.compare()
        self.assertIn("$HEDDLE_API_KEY", self.text("#snippet"))
        self.assertNotIn(KEY, b.eval("document.documentElement.outerHTML"))
        self.assertNotIn(KEY, b.eval("JSON.stringify({...localStorage}) + document.cookie"))
        b.open(self.server.url)  # the tab remembers it
        self.ready()
        b.eval("document.getElementById('key-button').click(); document.getElementById('key-forget').click()")
        b.until("document.getElementById('state').dataset.state === 'refused'")

    def test_status_needs_it(self):
        for path, code in (("", 200), ("page/app.js", 200), ("page/status", 401)):
            request = urllib.request.Request(self.server.url + path, headers={"Accept": "text/html"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    got = answer.status
            except urllib.error.HTTPError as error:
                got = error.code
                error.close()
            self.assertEqual(got, code, path)


class Reranker(PageTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="heddle-page-models-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run([sys.executable, str(ROOT / "tools/make_tiny_architectures.py"), folder, "tiny-bert-reranker"], check=True,
                       capture_output=True)
        cls.options = ("--model", f"reranker={folder}/tiny-bert-reranker")
        super().setUpClass()

    def test_cards_say_what_a_model_gives(self):
        self.ready()
        cards = dict(self.browser.eval("[...document.querySelectorAll('#models li.panel')].map(e => [e.querySelector('.name').innerText,"
                                       " [...e.querySelectorAll('dt')].map(d => [d.innerText, d.nextSibling.innerText])])"))
        facts = {name: dict(rows) for name, rows in cards.items()}
        self.assertEqual(facts["reranker"]["gives"], "scores")
        self.assertLessEqual({"dimensions", "pooling", "similarity"}, set(facts[MODEL]))
        self.assertFalse({"dimensions", "pooling", "similarity"} & set(facts["reranker"]))  # it has no vectors
        self.assertEqual(facts[MODEL]["gives"], "dense")


LOOMS = """# Looms

A heddle guides each warp thread through the loom. <b>Not markup</b> &amp; not an entity.

## Shuttles

The shuttle carries the weft from side to side, a gap wide, a gap thin.

## Reeds

The reed beats the weft against the cloth. Blåbär is what dyers say.
"""


class Search(PageTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="heddle-page-index-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.options = ("--index", f"{folder}/notes.db")
        super().setUpClass()
        cls.post("v1/documents", {"documents": [
            {"id": "notes/looms.md", "text": LOOMS, "mime": "text/markdown", "source": "notes", "title": "Looms", "author": "Ada",
             "created_at": "2024-05-01", "url": "https://example.org/looms"},
            *({"id": f"mail/{i}", "text": f"Letter {i}: the weft of order {i} was late. " + "More of it. " * i, "mime": "text/plain", "source": "email"}
              for i in range(30)),
            {"id": "evil", "text": "weft <img src=x onerror=alert(1)> weft", "title": "<i>evil</i>", "source": '"quoted" \\ source', "mime": "text/plain"}]})

    @classmethod
    def post(cls, path, body, method="POST"):
        request = urllib.request.Request(cls.server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def setUp(self):
        super().setUp()
        self.browser.until("document.documentElement.dataset.view === 'search' && document.querySelector('#search .big')")

    def search(self, query, ready="document.querySelector('.hit')"):
        b = self.browser
        b.eval("document.getElementById('query').focus(); document.getElementById('query').select()")
        b.type(query)
        b.until(f"document.querySelector('#search').ariaBusy !== 'true' && {ready}")

    def titles(self):
        return self.browser.eval("[...document.querySelectorAll('.hit b')].map((e) => e.textContent)")

    def test_as_one_types(self):
        b = self.browser
        b.eval("""(() => { window.asked = []; const real = fetch; window.fetch = (url, options) => {
            if (String(url).endsWith('/v1/search')) asked.push([JSON.parse(options.body).query, options.signal]); return real(url, options); }; })()""")
        b.eval("document.getElementById('query').focus()")
        for letter in "shuttle weft":
            b.type(letter)
        b.until("document.querySelector('.hit')")
        b.until("asked.at(-1)?.[0] === 'shuttle weft' && [...document.querySelectorAll('mark')].some((m) => m.textContent === 'shuttle')")
        self.assertLess(b.eval("asked.length"), 12)  # not one for each letter
        self.assertEqual(self.titles()[0], "Looms")
        self.assertIn("Shuttles", self.text(".hit-head small"))
        self.assertIn("https://example.org/looms", self.text(".hit-foot"))
        self.assertRegex(self.text("#search-status"), r"\d+ of \d+ passages, [\d.]+ (ms|µs|s)")
        self.assertEqual(b.eval("location.hash"), "#search?q=shuttle%20weft")
        self.picture("search")
        self.assertEqual(b.errors, [])

    def test_the_last_question_counts(self):
        """An answer that comes late to a question asked before is not shown."""
        b = self.browser
        b.eval("""(() => { const real = fetch; window.fetch = async (url, options) => {
            const answer = await real(url, {...options, signal: undefined});
            if (options?.body && JSON.parse(options.body).query === 'reed') await new Promise((done) => setTimeout(done, 600));
            return answer; }; })()""")
        b.eval("document.getElementById('query').focus()")
        b.type("reed")
        time.sleep(0.2)
        b.eval("document.getElementById('query').select()")
        b.type("Letter 7")
        b.until("document.querySelector('.hit') && document.querySelector('.hit b').textContent !== 'Looms'")
        first = self.titles()
        time.sleep(0.8)
        self.assertEqual(self.titles(), first)
        self.assertEqual(b.errors, [])

    def test_facets_narrow(self):
        b = self.browser
        self.search("weft")
        labels = b.eval("[...document.querySelectorAll('#facets span')].map((e) => e.textContent)")
        for label in ("notes", "email", '"quoted" \\ source', "Markdown", "Text"):
            self.assertIn(label, labels)
        for label, only in (("notes", {"Looms"}), ('"quoted" \\ source', {"<i>evil</i>"})):
            pick = f"[...document.querySelectorAll('#facets label')].find((e) => e.textContent.startsWith({json.dumps(label)})).firstChild"
            b.eval(f"{pick}.click()")
            b.until(f"[...document.querySelectorAll('.hit b')].length > 0 && [...document.querySelectorAll('.hit b')].every((e) => "
                    f"{json.dumps(sorted(only))}.includes(e.textContent))")
            self.assertIn("email", b.eval("[...document.querySelectorAll('#facets span')].map((e) => e.textContent)"))  # can still be chosen
            b.eval(f"{pick}.click()")
            b.until("document.querySelectorAll('.hit').length === 20")
        self.assertEqual(b.errors, [])

    def test_more(self):
        b = self.browser
        self.search("weft", "document.querySelectorAll('.hit').length === 20")
        b.eval("document.getElementById('more').click()")
        b.until("document.querySelectorAll('.hit').length > 30")

    def test_scores_of_each_leg(self):
        b = self.browser
        self.search("shuttle weft")
        self.assertFalse(b.eval("!!document.querySelector('.legs')"))
        b.eval("document.getElementById('scores').click()")
        rows = b.eval("[...document.querySelectorAll('.hits > li:first-child .leg')].map((e) => [e.querySelector('dt').textContent, "
                      "e.querySelector('b').textContent, e.querySelector('i').getBoundingClientRect().width])")
        self.assertEqual([name for name, _, _ in rows], ["words", "meaning"])
        for _, rank, width in rows:
            self.assertRegex(rank, r"^#\d+$|^–$")
            self.assertTrue(width > 5 or rank == "–")
        b.eval("document.querySelector('input[value=bm25]').click()")
        b.until("document.querySelectorAll('.hits > li:first-child .leg').length === 1")
        self.picture("search-scores")
        b.open(self.server.url + "#search?q=weft")  # and it is remembered
        b.until("document.querySelector('.legs')")
        self.assertEqual(b.errors, [])

    def test_by_keyboard(self):
        b = self.browser
        focused = "document.activeElement.closest('.hit')?.dataset.at ?? document.activeElement.id"
        b.eval("document.activeElement.blur()")
        b.key("Slash")
        self.assertEqual(b.eval(focused), "query")
        self.search("weft")
        for key, at in (("ArrowDown", "0"), ("ArrowDown", "1"), ("ArrowUp", "0"), ("ArrowUp", "query"), ("ArrowDown", "0"), ("ArrowDown", "1")):
            b.key(key)
            self.assertEqual(b.eval(focused), at)
        b.key("Enter")
        b.until("document.getElementById('source').open && document.querySelector('.chunks .here')")
        title = self.text("#source-title")
        b.key("ArrowRight")
        b.until("document.querySelector('.hit.opened').dataset.at === '2'")
        b.key("ArrowLeft")
        b.until("document.querySelector('.hit.opened').dataset.at === '1'")
        self.assertEqual(self.text("#source-title"), title)
        b.key("Escape")
        b.until("!document.getElementById('source').open")
        time.sleep(0.2)  # its close event comes after
        self.assertEqual(b.eval(focused), "1")
        b.key("Escape")
        self.assertEqual(b.eval(focused), "query")
        self.assertEqual(b.errors, [])

    def test_source_at_the_passage(self):
        b = self.browser
        self.search("shuttle carries")
        b.eval("document.querySelector('.hit').click()")
        b.until("document.querySelector('.chunks .here') && !document.querySelector('.chunks[aria-busy]')")
        self.assertEqual(self.text("#source-title"), "Looms")
        self.assertIn("Ada", self.text("#source-facts"))
        here = b.eval("(() => { const e = document.querySelector('.chunks .here'), r = e.getBoundingClientRect(); "
                      "return [e.textContent, r.top >= 0 && r.bottom <= innerHeight, [...e.querySelectorAll('mark')].map((m) => m.textContent)]; })()")
        self.assertIn("from side to side", here[0])
        self.assertTrue(here[1])
        self.assertIn("shuttle", here[2])
        self.assertEqual(b.eval("document.querySelectorAll('.chunks .here').length"), 1)
        self.assertIn("https://example.org/looms", self.text("#source-place"))
        b.eval("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        b.eval("document.getElementById('source-copy').click()")
        b.until("window.copied")
        self.assertEqual(b.eval("window.copied"), self.text("#source-place"))
        self.assertEqual(b.eval("document.getElementById('source-link').href"), "https://example.org/looms")
        self.picture("search-source")
        b.eval("document.querySelector('#source').dispatchEvent(new MouseEvent('click'))")  # beside the panel
        b.until("!document.getElementById('source').open")
        self.assertEqual(b.errors, [])

    def test_states(self):
        b = self.browser
        self.assertIn("32 documents", self.text("#search-state"))
        self.search("zzz zzz", "document.querySelector('#search-state').innerText.includes('No passage') || document.querySelector('.hit')")
        b.eval("window.fetch = async () => new Response('{\"error\":{\"message\":\"the disk is gone\"}}', {status: 500})")
        self.search("warp", "document.querySelector('#search .wrong')")
        self.assertIn("the disk is gone", self.text("#search-state"))
        b.open(self.server.url)
        b.until("document.querySelector('#search .big')")
        self.search("warp")
        b.eval("document.getElementById('query').value = ''; document.getElementById('query').dispatchEvent(new Event('input'))")
        b.until("document.querySelector('#search .big') && !document.querySelector('.hit')")

    def test_nothing_matches(self):
        b = self.browser
        self.search("weft")
        b.eval("document.querySelector('input[value=bm25]').click()")
        b.eval("[...document.querySelectorAll('#facets label')].find((e) => e.textContent.startsWith('notes')).firstChild.click()")
        self.search("late order", "document.querySelector('#search-state').innerText.includes('within these filters')")
        b.eval("document.querySelector('#search-state button').click()")
        b.until("document.querySelectorAll('.hit').length > 10")
        self.assertEqual(b.errors, [])

    def test_markup_stays_text(self):
        b = self.browser
        b.eval("document.querySelector('input[value=bm25]').click()")
        self.search("weft onerror")
        b.until("document.querySelector('.hit b').textContent === '<i>evil</i>'")
        self.assertFalse(b.eval("!!document.querySelector('#hits img, #hits i:not(.leg i)')"))
        b.eval("document.querySelector('.hit').click()")
        b.until("document.querySelector('.chunks .here').innerText.includes('<img')")
        self.assertFalse(b.eval("!!document.querySelector('.chunks img')"))
        self.assertEqual(b.errors, [])

    def test_offsets_count_bytes(self):
        pieces = self.browser.eval("import('./page/passages.js').then(({pieces}) => pieces('é😀 blåbär är', "
                                   "[{start: 7, end: 15}, {start: 13, end: 15}, {start: 16, end: 19}, {start: 0, end: 2}]))")
        self.assertEqual(pieces, [["é", True], ["😀 ", False], ["blåbär", True], [" ", False], ["är", True]])

    def test_addresses(self):
        b = self.browser
        b.open(self.server.url + "#load")
        self.ready()
        b.until("document.documentElement.dataset.view === 'server' && document.getElementById('load').checkVisibility()")
        self.assertFalse(b.eval("document.getElementById('search').checkVisibility()"))
        b.eval("document.getElementById('search-link').click()")
        b.until("document.getElementById('query').checkVisibility() && !document.getElementById('load').checkVisibility()")
        b.open(self.server.url + "#search?q=shuttle%20weft")
        b.until("document.querySelector('.hit b')?.textContent === 'Looms'")
        self.assertEqual(b.eval("document.getElementById('query').value"), "shuttle weft")

    def test_asks_nobody_else(self):
        self.search("weft")
        for name in self.browser.eval("performance.getEntriesByType('resource').map((entry) => entry.name)"):
            self.assertTrue(name.startswith(self.server.url), name)

    def test_looks(self):
        b = self.browser
        width = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        self.search("shuttle weft")
        b.eval("document.getElementById('scores').checked || document.getElementById('scores').click()")
        for opened in (False, True):
            if opened:
                b.eval("document.querySelector('.hit').click()")
                b.until("document.querySelector('.chunks .here') && !document.querySelector('.chunks[aria-busy]')")
            for scheme in ("light", "dark"):
                ratio, text = self.contrast(scheme)
                self.assertGreaterEqual(ratio, 4.5, f"{scheme}: {text}")
                self.picture(f"search-{'source-' if opened else ''}{scheme}")
        b.key("Escape")
        b.size(360, 740, mobile=True)
        self.assertEqual(b.eval(width), 360)
        b.eval("document.querySelector('.hit').click()")
        b.until("document.querySelector('.chunks .here') && !document.querySelector('.chunks[aria-busy]')")
        self.assertEqual(b.eval(width), 360)
        b.key("Escape")
        self.picture("search-phone", 360, True)
        self.assertEqual(b.errors, [])


class EmptyIndex(PageTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="heddle-page-index-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.options = ("--index", f"{folder}/notes.db")
        super().setUpClass()

    def test_says_how_to_begin(self):
        self.browser.until("document.querySelector('#search .empty pre')")
        self.assertIn("heddle index --db", self.text("#search-state"))
        self.assertEqual(self.browser.errors, [])


class Gone(unittest.TestCase):
    def test_server_goes_and_comes_back(self):
        server = Server()
        browser = Browser()
        self.addCleanup(browser.close)
        browser.open(server.url)
        browser.until("document.getElementById('state').dataset.state === 'ready'")
        server.close()
        browser.until("document.getElementById('state').dataset.state === 'lost'")
        self.assertIn("keeps trying", browser.eval("document.getElementById('alert').innerText"))
        browser.eval("document.getElementById('compare').click()")
        browser.until("document.getElementById('heat').innerText.includes('does not answer')")
        self.assertEqual([e for e in browser.errors if "ERR_CONNECTION_REFUSED" not in e], [])
        again = Server(port=server.port)
        self.addCleanup(again.close)
        browser.until("document.getElementById('state').dataset.state === 'ready'", 40)
        self.assertFalse(browser.eval("document.getElementById('alert').checkVisibility()"))


class Endpoint(unittest.TestCase):
    def test_status(self):
        server = Server("--model", str(tiny_models() / "tiny-cls"))
        self.addCleanup(server.close)
        server.embed(["one", "two"])
        time.sleep(1.1)
        with urllib.request.urlopen(f"{server.url}page/status", timeout=20) as answer:
            status = json.load(answer)
        self.assertEqual(len(status["models"]), 2)
        self.assertEqual(status["history"]["totals"]["n_inputs"], 2)
        row = dict(zip(status["history"]["columns"], status["history"]["seconds"][-1]))
        self.assertEqual((row["n_requests"], row["n_inputs"]), (1, 2))
        self.assertGreater(row["compute_us"], 0)
        with urllib.request.urlopen(f"{server.url}page/status?since={status['history']['second']}", timeout=20) as answer:
            self.assertEqual(json.load(answer)["history"]["seconds"], [])
        for odd in ("?since=", "?since=-1", "?since=1e9", "?since=99999999999999999999999", "?other=%zz"):
            with urllib.request.urlopen(f"{server.url}page/status{odd}", timeout=20) as answer:
                json.load(answer)

    def test_root_is_for_everybody(self):
        server = Server()
        self.addCleanup(server.close)
        with urllib.request.urlopen(server.url, timeout=20) as answer:
            self.assertEqual(answer.read(), b"Heddle is running\n")
        request = urllib.request.Request(server.url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            page = answer.read().decode()
            self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])
            tag = answer.headers["ETag"]
        for path in re.findall(r'(?:src|href)="(page/[^"]+)"', page):
            with urllib.request.urlopen(server.url + path, timeout=20) as answer:
                self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        request.add_header("If-None-Match", tag)
        with self.assertRaises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=20)
        self.assertEqual(raised.exception.code, 304)
        raised.exception.close()


if __name__ == "__main__":
    unittest.main()
