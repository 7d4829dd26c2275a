"""Vectors shared by several servers through a real Redis, and what happens when it dies, hangs or lies.

    HEDDLE_BUILD=build python3 -m unittest -v test_redis
"""

import base64
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from serving import PATIENCE_S, PROGRAM, ServedTest

TEXTS = [f"river stone {i} and bread" for i in range(40)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis:
    """A redis-server on loopback that keeps nothing on disk."""

    def __init__(self, port, *options):
        self.port, self.options = port, options
        self.start()

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
                                         "--dir", "/tmp", *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.say("PING")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def say(self, *words):
        """One command; the reply's bytes."""
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words) + b"QUIT\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).removesuffix(b"+OK\r\n")  # QUIT's

    def keys(self):
        return re.findall(rb"heddle:1:[0-9a-f]{64}", self.say("KEYS", "*"))

    def kill(self):
        self.process.kill()
        self.process.wait()


@unittest.skipUnless(shutil.which("redis-server"), "needs redis-server")
class RedisTest(ServedTest):
    """The class's server uses the Redis at `port`; others are made by `other`."""

    redis_options = ()
    account = ""
    more_options = ()

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.redis = cls.make_redis()
        cls.options = ("--redis-url", f"redis://{cls.account}127.0.0.1:{cls.port}", "--redis-timeout", "1000", *cls.more_options)
        super().setUpClass()

    @classmethod
    def make_redis(cls):
        redis = Redis(cls.port, *cls.redis_options)
        cls.addClassCleanup(redis.kill)
        return redis

    def setUp(self):
        self.until(lambda: self.metric("heddle_store_connected") == 1)

    def metric(self, name, server=None):
        text = (server or self).ask("/metrics").body.decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def until(self, reached):
        end = time.monotonic() + PATIENCE_S
        while not reached():
            self.assertLess(time.monotonic(), end, "not in time")
            time.sleep(0.01)

    def other(self, *options):
        """One more server, with its own Redis options."""
        class Other(ServedTest):
            pass
        Other.options = options or self.options
        Other.setUpClass()
        self.addCleanup(Other.doClassCleanups)
        return Other()

    def embed(self, texts, server=None):
        got = (server or self).json("/v1/embeddings", {"input": texts, "model": "m", "encoding_format": "base64"})
        return [d["embedding"] for d in got["data"]]


class Shared(RedisTest):
    def test_second_process_computes_nothing(self):
        before = len(self.redis.keys())
        first = self.embed(TEXTS)
        self.until(lambda: len(self.redis.keys()) >= before + len(TEXTS))
        other = self.other()
        self.until(lambda: self.metric("heddle_store_connected", other) == 1)
        self.assertEqual(self.embed(TEXTS, other), first)  # to the bit
        self.assertEqual(self.metric("heddle_engine_tokens_total", other), 0)
        self.assertEqual(self.metric("heddle_store_hits_total", other), len(TEXTS))
        self.assertEqual(self.embed(TEXTS, other), first)  # now out of its own cache
        self.assertEqual(self.metric("heddle_store_hits_total", other), len(TEXTS))
        mixed = TEXTS[:3] + ["never seen before"] + TEXTS[3:5]
        self.close([self.rows(v) for v in self.embed(mixed, other)], self.vectors(mixed))
        self.assertGreater(self.metric("heddle_engine_tokens_total", other), 0)

    @staticmethod
    def rows(text):
        data = base64.b64decode(text)
        return struct.unpack(f"<{len(data) // 4}f", data)

    def test_more_than_one_command_holds(self):
        texts = [f"word {i}" for i in range(1500)]
        first = self.embed(texts)
        self.until(lambda: len(self.redis.keys()) >= len(texts))
        other = self.other()
        self.until(lambda: self.metric("heddle_store_connected", other) == 1)
        self.assertEqual(self.embed(texts, other), first)
        self.assertEqual(self.metric("heddle_engine_tokens_total", other), 0)

    def test_other_models_and_types_are_apart(self):
        self.embed(["the same text"])
        other = self.other(*self.options, "--pooling", "cls")
        self.until(lambda: self.metric("heddle_store_connected", other) == 1)
        self.embed(["the same text"], other)
        self.assertEqual(self.metric("heddle_store_hits_total", other), 0)

    def test_values_that_are_no_vectors(self):
        text = ["a text whose vector is spoiled"]
        self.until(lambda: self.metric("heddle_store_puts_total") == self.metric("heddle_store_misses_total"))  # none is on its way
        before = set(self.redis.keys())
        wanted = self.embed(text)
        self.until(lambda: set(self.redis.keys()) - before)
        (key,) = set(self.redis.keys()) - before
        value = self.redis.say("GET", key).split(b"\r\n", 1)[1][:-2]
        nan = struct.pack("<f", float("nan"))
        for spoiled in (b"", value[:-1], value + b"\0", nan + value[4:], value[:-4] + nan):
            self.redis.say("SET", key, spoiled)
            other = self.other()
            self.until(lambda: self.metric("heddle_store_connected", other) == 1)
            self.assertEqual(self.embed(text, other), wanted)
            self.assertEqual(self.metric("heddle_store_invalid_total", other), 1)
        self.until(lambda: self.redis.say("GET", key).endswith(value + b"\r\n"))  # put right by who computed it
        self.redis.say("DEL", key)
        self.redis.say("LPUSH", key, "of another kind")
        self.assertEqual(self.embed(text, self.other()), wanted)


class Account(RedisTest):
    redis_options = ("--requirepass", "a:b@c/ d")
    account = ":a%3Ab%40c%2F%20d@"
    more_options = ("--redis-ttl", "1000")

    def test_password_and_ttl(self):
        self.embed(["a text"])
        self.until(lambda: self.metric("heddle_store_puts_total") == 1)
        self.assertIn(b"NOAUTH", self.redis.say("KEYS", "*"))
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as s:
            s.sendall(b'AUTH "a:b@c/ d"\r\nKEYS *\r\n')
            said = b""
            while not (key := re.search(rb"heddle:1:[0-9a-f]{64}\r\n", said)):
                said += s.recv(4096)
            s.sendall(b"TTL " + key[0])
            self.assertIn(int(s.recv(100)[1:]), range(900, 1001))

    def test_wrong_password_is_no_secret_and_no_hindrance(self):
        other = self.other("--redis-url", f"redis://:wrong-hush@127.0.0.1:{self.port}")
        self.until(lambda: "redis 127.0.0.1" in type(other).log.read_text())
        self.embed(["a text"], other)
        self.assertEqual(self.metric("heddle_store_connected", other), 0)
        self.assertNotIn("hush", type(other).log.read_text())


class Gone(RedisTest):
    def test_killed_under_load_and_back(self):
        stop, failures, n_done = threading.Event(), [], [0] * 4
        wanted = self.embed(["one text of all"])[0]

        def load(k):
            n = 0
            while not stop.is_set():
                n += 1
                got = self.ask("/v1/embeddings", {"input": [f"text {k} {n}", "one text of all"], "model": "m", "encoding_format": "base64"})
                if got.status != 200 or got.json["data"][1]["embedding"] != wanted:
                    failures.append((got.status, got.body))
                n_done[k] += 1

        threads = [threading.Thread(target=load, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        try:
            for _ in range(2):
                self.until(lambda: self.metric("heddle_store_connected") == 1)
                puts, done = self.metric("heddle_store_puts_total"), sum(n_done)
                self.until(lambda: self.metric("heddle_store_puts_total") > puts + 20)
                self.redis.kill()
                self.until(lambda: self.metric("heddle_store_connected") == 0)
                done = sum(n_done)
                self.until(lambda: sum(n_done) > done + 100)
                self.redis.start()
            self.until(lambda: self.metric("heddle_store_connected") == 1)
            puts = self.metric("heddle_store_puts_total")
            self.until(lambda: self.metric("heddle_store_puts_total") > puts)
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(failures, [])
        said = self.log.read_text()
        self.assertEqual(said.count("going on without it"), 2, said)
        self.assertEqual(said.count("back again"), 2, said)


class Mute(RedisTest):
    """A Redis that is stopped in mid-flight: connections stay, answers do not come."""

    more_options = ("--redis-timeout", "100")

    def test_never_answers(self):
        self.embed(["warm"])
        self.until(lambda: self.metric("heddle_store_puts_total") >= 1)
        self.redis.process.send_signal(signal.SIGSTOP)
        try:
            times = []
            for i in range(50):
                start = time.monotonic()
                self.embed([f"text {i}"])
                times.append(time.monotonic() - start)
        finally:
            self.redis.process.send_signal(signal.SIGCONT)
        times.sort()
        self.assertGreater(times[-1], 0.08)  # the one that asked
        self.assertLess(times[-1], 0.5)
        self.assertLess(times[-3], 0.08)  # the others did not ask
        self.until(lambda: self.metric("heddle_store_connected") == 1)


class Start(ServedTest):
    options = ("--redis-url", "redis://127.0.0.1:1")

    def test_nobody_there(self):
        self.assertEqual(len(self.json("/v1/embeddings", {"input": ["a text"], "model": "m"})["data"]), 1)

    def test_bad_urls(self):
        for url in ("http://x", "rediss://u:hush@x", "redis://u:hush@x/y"):
            done = subprocess.run([str(PROGRAM), "serve", "--port", "0", "--redis-url", url], env=self.env, cwd=self.folder, capture_output=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn(b"hush", done.stderr)
            self.assertIn(b"Redis", done.stderr)


del RedisTest

if __name__ == "__main__":
    unittest.main()
