#!/usr/bin/env python3
"""The service that people write themselves: FastAPI before ONNX Runtime, with dynamic batching as infinity does it.

    python fastapi_peer.py MODEL_DIR DATA_DIR f32|int8 PORT

POST /v1/embeddings in OpenAI's form, base64 or floats. One thread runs the model: it takes all texts that wait, up to
32 batches of 32, whoever asked for them, sorted by length, so that batches hold little padding (infinity's
CustomFIFOQueue.pop_optimal_batches; batches are cut by tokens, which was faster than by 32 texts). The event
loop reads and writes meanwhile. ONNX Runtime uses all cores, tokenizers too; JSON is orjson's, the loop uvloop.
"""

import asyncio
import base64
import os
import sys
import threading
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
import peer

MOST_TEXTS = 32 * 32


class Batcher:
    def __init__(self, encoder):
        self.encoder = encoder
        self.waiting, self.changed = [], threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    async def encode(self, texts):
        future = asyncio.get_running_loop().create_future()
        with self.changed:
            self.waiting.append((texts, future, future.get_loop()))
            self.changed.notify()
        return await future

    def take(self):
        """Whole requests, at least one."""
        with self.changed:
            while not self.waiting:
                self.changed.wait()
            n_texts, n = 0, 0
            while n < len(self.waiting) and (n == 0 or n_texts + len(self.waiting[n][0]) <= MOST_TEXTS):
                n_texts += len(self.waiting[n][0])
                n += 1
            taken, self.waiting = self.waiting[:n], self.waiting[n:]
            return taken

    def run(self):
        while True:
            taken = self.take()
            vectors = self.encoder.encode([text for texts, _, _ in taken for text in texts])
            begin = 0
            for texts, future, loop in taken:
                loop.call_soon_threadsafe(future.set_result, vectors[begin:begin + len(texts)])
                begin += len(texts)


def make_app(batcher):
    app = FastAPI()

    @app.post("/v1/embeddings")
    async def embeddings(request: Request):
        asked = orjson.loads(await request.body())
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        rows = await batcher.encode(texts)
        if asked.get("encoding_format") == "base64":
            rows = [base64.b64encode(row.tobytes()).decode() for row in rows]
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        answer = {"object": "list", "data": data, "model": "all-MiniLM-L6-v2"}
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    return app


def main(argv):
    if len(argv) != 5:
        sys.exit(f"usage: {argv[0]} MODEL_DIR DATA_DIR f32|int8 PORT")
    model, data, dtype, port = argv[1:]
    encoder = peer.OnnxRuntime(model, data, len(os.sched_getaffinity(0)), dtype, 2048)
    encoder.encode(["warm"] * 64)
    uvicorn.run(make_app(Batcher(encoder)), host="127.0.0.1", port=int(port), log_level="error", timeout_keep_alive=300)


if __name__ == "__main__":
    main(sys.argv)
