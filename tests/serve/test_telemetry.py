"""What `heddle serve` tells of itself: /metrics as Prometheus reads it, spans as a collector gets them.

    HEDDLE_BUILD=build python3 -m unittest -v test_telemetry

With Python's prometheus_client the text is also read by its parser; without, by the rules written here alone.
"""

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from harness import PROGRAM, ROOT, CommandTest  # noqa: E402

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

PATIENCE_S = 20 * (5 if os.environ.get("HEDDLE_SANITIZED") else 1)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PHASES = ["body", "read", "tokenize", "queue", "compute", "write", "send"]


# ---- reading the text format ----

LINE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Families:
    """The format's rules: HELP and TYPE before a family's samples, which stay together; each sample once; buckets that
    grow and end with the count."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        family = None
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                assert family not in self.types, f"{family} comes twice"
                self.types[family] = None
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == family and self.types[name] is None and kind in ("counter", "gauge", "histogram"), line
                self.types[name] = kind
            else:
                self.add(line, family)
        for family, kind in self.types.items():
            if kind == "histogram":
                self.check_histogram(family)

    def add(self, line, family):
        name, labels, value = LINE.fullmatch(line).groups()
        pairs = LABEL.findall(labels or "")
        assert "".join(f'{k}="{v}",' for k, v in pairs).rstrip(",") == (labels or ""), line
        suffixes = ("_bucket", "_sum", "_count") if self.types[family] == "histogram" else ("",)
        assert name in [family + suffix for suffix in suffixes], line
        key = name, tuple(sorted(pairs))
        assert key not in self.samples, line
        self.samples[key] = float(value)

    def check_histogram(self, family):
        for (name, labels), count in self.samples.items():
            if name != family + "_count":
                continue
            buckets = []
            for (other, more), value in self.samples.items():
                bound = dict(more).get("le")
                if other == family + "_bucket" and tuple(p for p in more if p[0] != "le") == labels:
                    buckets.append((math.inf if bound == "+Inf" else float(bound), value))
            values = [value for _, value in sorted(buckets)]
            assert sorted(buckets)[-1][0] == math.inf and values == sorted(values) and values[-1] == count, (family, labels)
            assert (family + "_sum", labels) in self.samples

    def value(self, name, **labels):
        """The sum of the samples that have these labels, among others."""
        found = [v for (n, l), v in self.samples.items() if n == name and labels.items() <= dict(l).items()]
        assert found, (name, labels)
        return sum(found)


# ---- a collector ----


class Collector:
    """Keeps the spans that are posted to it; `answer` is the status it gives, `held` keeps it silent."""

    def __init__(self, port=0):
        self.spans, self.resources, self.headers, self.paths = [], [], [], []
        self.answer, self.held, self.connections = 200, threading.Event(), []
        self.held.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def setup(self):
                super().setup()
                collector.connections.append(self.connection)

            def handle(self):
                try:
                    super().handle()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the other side did not wait

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.held.wait(PATIENCE_S)
                collector.headers.append(dict(self.headers))
                collector.paths.append(self.path)
                if collector.answer == 200:
                    for resource in body["resourceSpans"]:
                        collector.resources.append(attributes(resource["resource"]))
                        for scope in resource["scopeSpans"]:
                            collector.spans += scope["spans"]
                self.send_response(collector.answer)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        ThreadingHTTPServer.daemon_threads = True
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        """As when its process dies: connections break, nobody listens."""
        self.held.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already


def attributes(holder):
    return {a["key"]: next(iter(a["value"].values())) for a in holder["attributes"]}


# ---- the server ----


class TelemetryTest(CommandTest):
    def serve(self, *args, collector=None, env=None, access_log=False):
        self.log = self.folder / "serve.log"
        env = {k: v for k, v in self.env(**(env or {})).items() if not k.startswith("OTEL_") or k in (env or {})}
        if collector is not None:
            env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "no_proxy": "127.0.0.1"}
            env.setdefault("OTEL_BSP_SCHEDULE_DELAY", "50")
        line = [str(PROGRAM), "serve", *([] if access_log else ["--no-access-log"]), "--port", "0", *map(str, args)]
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(line, cwd=self.work, env=env, stdout=log, stderr=log)
        self.addCleanup(self.stop)
        self.url = self.wait_until(lambda: re.search(r"listening on (http\S+)", self.said()))[1]

    def said(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.fail("the server does not stop")
        return self.server.returncode

    def wait_until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            self.assertLess(time.monotonic(), end, self.said())
            time.sleep(0.02)
        return found

    def ask(self, path, body=None, **headers):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def embed(self, n=1, **headers):
        status, _, body = self.ask("/v1/embeddings", {"input": [f"text number {i}" for i in range(n)]}, **headers)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def metrics(self):
        status, headers, body = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        text = body.decode()
        if text_string_to_metric_families is not None:
            list(text_string_to_metric_families(text))
        return Families(text)

    def metrics_when(self, condition):
        """A request is counted after it was answered: a moment later."""
        found = []

        def look():
            found[:] = [self.metrics()]
            return condition(found[0])

        self.wait_until(look)
        return found[0]


class Metrics(TelemetryTest):
    def setUp(self):
        super().setUp()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", "--model", f"other={self.tiny('tiny-mrl')}")

    def test_requests_are_counted(self):
        tokens = sum(self.ask_tiny(n)["usage"]["total_tokens"] for n in (1, 3, 3))
        m = self.metrics_when(lambda m: m.value("te_request_count") >= 3)
        self.assertEqual(m.value("heddle_request_duration_seconds_count", route="/v1/embeddings", model="tiny", status="200"), 3)
        self.assertEqual(m.value("heddle_inputs_total", model="tiny"), 7)
        self.assertEqual(m.value("heddle_tokens_total", model="tiny"), tokens)
        for phase in PHASES:
            self.assertEqual(m.value("heddle_phase_duration_seconds_count", model="tiny", phase=phase), 3)
        self.assertGreater(m.value("heddle_phase_duration_seconds_sum", model="tiny", phase="compute"), 0)
        self.assertEqual(m.value("te_request_count", method="single"), 1)
        self.assertEqual(m.value("te_request_count", method="batch"), 2)
        self.assertEqual(m.value("te_embed_count"), 7)
        self.assertEqual(m.value("te_embed_success"), 7)
        self.assertEqual(m.value("te_request_duration_count"), 3)
        self.assertEqual(m.value("te_request_input_length_count"), 7)
        self.assertEqual(m.value("te_request_input_length_sum"), tokens)
        self.assertEqual(m.value("te_batch_next_size_sum"), m.value("heddle_batch_texts_total"))
        self.assertEqual(m.value("te_batch_next_tokens_sum"), m.value("heddle_batch_tokens_total"))
        self.assertEqual(m.value("te_queue_size"), 0)

    def ask_tiny(self, n):
        return json.loads(self.ask("/v1/embeddings", {"model": "tiny", "input": [f"text {i}" for i in range(n)]})[2])

    def test_errors_are_counted_by_kind(self):
        self.ask("/v1/embeddings", {"model": "tiny", "input": 7})
        self.ask("/v1/embeddings", {"model": "nobody", "input": "x"})
        self.ask("/no/such/path")
        m = self.metrics_when(lambda m: m.value("te_request_failure") >= 2)
        self.assertEqual(m.value("heddle_request_errors_total", protocol="openai", kind="type"), 1)
        self.assertEqual(m.value("heddle_request_errors_total", protocol="openai", kind="model"), 1)
        self.assertEqual(m.value("heddle_request_errors_total", kind="route"), 1)
        self.assertEqual(m.value("te_request_failure", err="validation"), 1)
        self.assertEqual(m.value("te_request_failure", err="model_type"), 1)
        self.assertEqual(m.value("te_request_success"), 0)

    def test_models_and_process(self):
        self.ask_tiny(1)
        m = self.metrics()
        self.assertEqual(m.value("heddle_model_state", model="tiny", state="loaded"), 1)
        self.assertEqual(m.value("heddle_model_state", model="other", state="unloaded"), 1)
        self.assertEqual(m.value("heddle_model_state", model="other", state="loaded"), 0)
        self.assertGreater(m.value("heddle_model_weights_bytes", model="tiny"), 0)
        self.assertEqual(m.value("heddle_models_loaded"), 1)
        self.assertEqual(m.value("heddle_ready"), 1)
        self.assertEqual(m.value("heddle_requests_in_flight"), 0)
        self.assertGreaterEqual(m.value("heddle_connections_total"), 1)
        resident = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.server.pid}/status").read_text())[1]) * 1024
        self.assertLess(abs(m.value("process_resident_memory_bytes") - resident), 0.2 * resident)
        self.assertLess(abs(m.value("process_start_time_seconds") - time.time()), 120)
        self.assertGreater(m.value("process_cpu_seconds_total"), 0)
        time.sleep(1.1)
        self.assertTrue(0 <= self.metrics().value("heddle_cpu_share") <= 1)

    def test_routes_do_not_make_series_without_end(self):
        for i in range(50):
            self.ask(f"/nowhere/{i}")
        m = self.metrics_when(lambda m: m.value("heddle_request_duration_seconds_count", status="404") >= 50)
        self.assertEqual(len([1 for name, labels in m.samples if name == "heddle_request_duration_seconds_count" and
                              ("status", "404") in labels]), 1)

    def test_the_dashboard_asks_for_what_is_there(self):
        self.ask_tiny(1)
        m = self.metrics_when(lambda m: m.value("te_request_count") >= 1)
        dashboard = json.loads((ROOT / "examples/grafana/heddle.json").read_text())
        names = {name for panel in dashboard["panels"] for target in panel.get("targets", [])
                 for name in re.findall(r"\b(?:heddle|process|te)_\w+", target["expr"])}
        self.assertGreater(len(names), 25)
        for name in names:
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertIn(family if m.types.get(family) == "histogram" else name, m.types)
        boxes = [panel["gridPos"] for panel in dashboard["panels"]]
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                self.assertFalse(a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and
                                 a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"], (a, b))

    def test_scrapes_at_once_while_requests_come(self):
        stop = threading.Event()
        failures = []

        def scrape():
            try:
                while not stop.is_set():
                    self.metrics()
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=scrape) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(40):
            self.ask_tiny(1 + i % 5)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        m = self.metrics_when(lambda m: m.value("te_request_success") >= 40)
        self.assertEqual(m.value("heddle_inputs_total", model="tiny"), sum(1 + i % 5 for i in range(40)))


class Traces(TelemetryTest):
    def collector(self, **options):
        collector = Collector(**options)
        self.addCleanup(collector.close)
        return collector

    def spans(self, collector, n_requests):
        """Waits for the spans of so many requests; returns [(the request's span, its phases)]."""
        self.wait_until(lambda: len([s for s in collector.spans if s["kind"] == 2]) >= n_requests)
        roots = [s for s in collector.spans if s["kind"] == 2]
        return [(root, [s for s in collector.spans if s.get("parentSpanId") == root["spanId"]]) for root in roots]

    def test_spans_and_parents(self):
        collector = self.collector()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector,
                   env={"OTEL_SERVICE_NAME": "retrieval", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test%20bed",
                        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret%3D"})
        before = time.time_ns()
        self.embed(2, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1", **{"X-Request-Id": "my-id"})
        self.embed(1)
        self.ask("/v1/embeddings", {"input": 7})
        (with_parent, phases), (alone, _), (failed, _) = self.spans(collector, 3)
        self.assertEqual(collector.paths[0], "/v1/traces")
        self.assertEqual(collector.headers[0]["api-key"], "secret=")
        self.assertEqual(collector.headers[0]["Content-Type"], "application/json")
        resource = collector.resources[0]
        self.assertEqual(resource["service.name"], "retrieval")
        self.assertEqual(resource["deployment.environment"], "test bed")
        self.assertEqual((with_parent["traceId"], with_parent["parentSpanId"]), (TRACE, PARENT))
        self.assertEqual(with_parent["traceState"], "vendor=1")
        self.assertEqual(with_parent["name"], "POST /v1/embeddings")
        about = attributes(with_parent)
        self.assertEqual(about["http.response.status_code"], "200")
        self.assertEqual(about["heddle.request_id"], "my-id")
        self.assertEqual(about["heddle.inputs"], "2")
        self.assertEqual(about["gen_ai.response.model"], "tiny")
        self.assertTrue(before - 10**9 < int(with_parent["startTimeUnixNano"]) < time.time_ns() + 10**9)
        self.assertLessEqual({"tokenize", "compute"}, {s["name"] for s in phases})
        at = int(with_parent["startTimeUnixNano"])
        for span in phases:
            self.assertEqual(span["traceId"], TRACE)
            self.assertIn(span["name"], PHASES)
            self.assertLess(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            self.assertGreaterEqual(int(span["startTimeUnixNano"]), at)
            self.assertLessEqual(int(span["endTimeUnixNano"]), int(with_parent["endTimeUnixNano"]))
        self.assertNotIn("parentSpanId", alone)
        self.assertNotEqual(alone["traceId"], TRACE)
        self.assertEqual(attributes(failed)["error.type"], "type")
        self.assertEqual(attributes(failed)["http.response.status_code"], "400")
        ids = [s["spanId"] for s in collector.spans]
        self.assertEqual(len(ids), len(set(ids)))

    def test_log_traces_and_client_tell_of_the_same_span(self):
        collector = self.collector()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", "--log-format", "json", collector=collector, access_log=True)
        body = {"input": "text"}
        _, named, _ = self.ask("/v1/embeddings", body, traceparent=f"00-{TRACE}-{PARENT}-01")
        _, without, _ = self.ask("/v1/embeddings", body)
        self.ask("/v1/embeddings", body, traceparent="00-nonsense")
        (first, _), (second, _), (third, _) = self.spans(collector, 3)
        self.assertEqual(named["traceresponse"], f"00-{TRACE}-{first['spanId']}-01")
        self.assertNotIn("traceresponse", without)
        lines = self.wait_until(lambda: (found := [json.loads(line) for line in self.said().splitlines() if '"path"' in line])[2:] and found)
        self.assertEqual([(line["trace_id"], line["span_id"]) for line in lines],
                         [(root["traceId"], root["spanId"]) for root in (first, second, third)])
        self.assertEqual(len({line["trace_id"] for line in lines}), 3)

    def test_the_text_log_names_the_clients_trace(self):
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", access_log=True)
        self.embed(1, traceparent=f"00-{TRACE}-{PARENT}-00")
        self.embed(1)
        lines = self.wait_until(lambda: (found := re.findall(r".* POST .*", self.said()))[1:] and found)
        self.assertIn(f" trace={TRACE}", lines[0])
        self.assertNotIn("trace=", lines[1])

    def test_the_clients_decision_counts(self):
        collector = self.collector()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector)
        self.embed(1, traceparent=f"00-{TRACE}-{PARENT}-00")
        self.embed(1, traceparent=f"00-{TRACE[::-1]}-{PARENT}-01")
        self.assertEqual([root["traceId"] for root, _ in self.spans(collector, 1)], [TRACE[::-1]])

    def test_the_rest_is_sent_at_the_end(self):
        collector = self.collector()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector, env={"OTEL_BSP_SCHEDULE_DELAY": "600000"})
        for _ in range(3):
            self.embed()
        self.assertEqual(collector.spans, [])
        self.assertEqual(self.stop(), 0)
        self.assertEqual(len([s for s in collector.spans if s["kind"] == 2]), 3)

    def test_a_collector_that_dies_and_comes_back(self):
        collector = Collector()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector)
        self.embed()
        self.spans(collector, 1)
        collector.close()
        slowest = 0
        for _ in range(30):
            start = time.monotonic()
            self.embed()
            slowest = max(slowest, time.monotonic() - start)
        self.assertLess(slowest, 1 if not os.environ.get("HEDDLE_SANITIZED") else 5)
        self.wait_until(lambda: "traces wait" in self.said())
        m = self.metrics()
        self.assertEqual(m.value("heddle_traces_dropped_total"), 0)
        again = self.collector(port=collector.port)
        self.assertGreaterEqual(len(self.spans(again, 30)), 30)
        self.wait_until(lambda: "traces go out again" in self.said())
        self.assertEqual(self.stop(), 0)

    def test_a_collector_that_was_never_there(self):
        collector = Collector()
        collector.close()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector,
                   env={"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"})
        for _ in range(40):
            self.embed()
        m = self.metrics_when(lambda m: m.value("heddle_traces_dropped_total", reason="queue") >= 25)
        self.assertEqual(m.value("te_request_success"), 40)
        self.assertEqual(m.value("heddle_traces_exported_total"), 0)
        start = time.monotonic()
        self.assertEqual(self.stop(), 0)
        self.assertLess(time.monotonic() - start, 6)

    def test_a_collector_that_hangs(self):
        collector = self.collector()
        collector.held.clear()
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector)
        for _ in range(20):
            self.embed()
        start = time.monotonic()
        self.assertEqual(self.stop(), 0)
        self.assertLess(time.monotonic() - start, 8)

    def test_a_collector_that_refuses(self):
        collector = self.collector()
        collector.answer = 400
        self.serve("--model", f"tiny={self.tiny('tiny-cls')}", collector=collector)
        self.embed()
        self.metrics_when(lambda m: m.value("heddle_traces_dropped_total", reason="export") >= 1)
        self.assertIn("answers 400", self.said())
        collector.answer = 200
        self.embed(2)
        self.spans(collector, 1)

    def test_settings_that_make_no_sense(self):
        for name, value in (("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                            ("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_BSP_SCHEDULE_DELAY", "soon")):
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
            self.fails("serve", "--model", self.tiny("tiny-cls"), "--port", "0", says=[name, value], code=2, env=env)


if __name__ == "__main__":
    unittest.main()
