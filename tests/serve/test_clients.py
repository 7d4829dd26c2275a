"""Real clients that are told another base URL and nothing else: ollama, cohere, LangChain's and LlamaIndex's embedding classes.

    HEDDLE_BUILD=build "$(tools/test_venv.sh)" -m unittest -v test_clients        (in tests/serve)
"""

import asyncio
import logging
import os
import re
import subprocess
import sys
import unittest

from serving import ServedTest
from harness import ROOT

try:
    import cohere
    import langchain_ollama
    import langchain_openai
    import ollama
    from llama_index.embeddings.ollama import OllamaEmbedding
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
except ImportError:
    cohere = None

TEXTS = ["hello world", "Größe 東京", "a longer text that says hello to the world", "x"]


@unittest.skipIf(cohere is None, "the clients are not installed: run tools/test_venv.sh")
class ClientTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["no_proxy"] = "127.0.0.1"
        logging.getLogger("httpx").setLevel(logging.WARNING)


class Readme(ClientTest):
    def test_python(self):
        [snippet] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        done = subprocess.run([sys.executable, "-c", snippet.replace("http://localhost:8080", self.url)], text=True, capture_output=True)
        self.assertEqual((done.stdout, done.stderr), (f"2 {len(self.vectors(TEXTS[0])[0])}\n", ""))


class Ollama(ClientTest):
    def setUp(self):
        self.client = ollama.Client(host=self.url)

    def test_embed(self):
        got = self.client.embed("all-minilm", TEXTS, keep_alive="10m")
        self.close(got.embeddings, self.vectors(TEXTS))
        self.assertEqual(got.model, "all-minilm")
        self.assertGreater(got.total_duration, 0)
        self.assertGreater(got.prompt_eval_count, len(TEXTS))
        self.close(self.client.embed("m", TEXTS[0], dimensions=8).embeddings, self.vectors(TEXTS[0], "--dimensions", "8"))
        self.close(self.client.embed("m", TEXTS[2], options={"num_ctx": 6}).embeddings, self.vectors(TEXTS[2], "--max-length", "6"))
        self.assertEqual(self.client.embed("m", []).embeddings, [])

    def test_older_call(self):
        got = self.client.embeddings("m", TEXTS[0])
        self.close([got.embedding], self.vectors(TEXTS[0], "--no-normalize"), 1e-5)

    def test_models(self):
        [model] = self.client.list().models
        self.assertTrue(model.model.endswith("tiny-mrl:latest"))
        self.assertEqual(model.details.family, "bert")
        self.assertIsNotNone(model.modified_at)
        shown = self.client.show(model.model)
        self.assertEqual(shown.modelinfo["bert.context_length"], 128)
        self.assertEqual(shown.capabilities, ["embedding"])

    def test_running(self):
        self.client.embed("m", TEXTS[0])
        [model] = self.client.ps().models
        self.assertTrue(model.model == model.name and model.model.endswith("tiny-mrl:latest"))
        self.assertEqual(model.digest, self.client.list().models[0].digest)
        self.assertEqual((model.details.family, model.context_length), ("bert", 128))
        self.assertGreater(model.size, model.size_vram)
        self.assertGreater(model.expires_at.year, 2200)  # it stays

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.embed("m", TEXTS[2], truncate=False, options={"num_ctx": 6})
        self.assertEqual(raised.exception.status_code, 400)
        self.assertIn("input length exceeds the context length", raised.exception.error)

    def test_many_at_once(self):
        expected = self.vectors(TEXTS)

        async def main():
            async with ollama.AsyncClient(host=self.url) as client:
                return await asyncio.gather(*(client.embed("m", TEXTS[i % 4]) for i in range(40)))
        for i, got in enumerate(asyncio.run(main())):
            self.close(got.embeddings, [expected[i % 4]])


class Cohere(ClientTest):
    models = ("tiny-prompts",)

    def test_embed_v2(self):
        client = cohere.ClientV2("key", base_url=self.url)
        got = client.embed(model="embed-v4.0", texts=TEXTS, input_type="search_document", embedding_types=["float", "int8", "ubinary", "base64"])
        self.close(got.embeddings.float_, self.vectors(TEXTS, "--prompt-name", "passage"))
        self.assertEqual(len(got.embeddings.int8[0]), len(got.embeddings.float_[0]))
        self.assertEqual({max(map(abs, row)) for row in got.embeddings.int8}, {127})
        self.assertEqual(len(got.embeddings.ubinary[0]), -(-len(got.embeddings.float_[0]) // 8))
        self.assertEqual(len(got.embeddings.base64), len(TEXTS))
        self.assertGreater(got.meta.billed_units.input_tokens, len(TEXTS))
        got = client.embed(model="embed-v4.0", texts=TEXTS, input_type="search_query", embedding_types=["float"])
        self.close(got.embeddings.float_, self.vectors(TEXTS, "--prompt-name", "query"))
        got = client.embed(model="embed-v4.0", inputs=[{"content": [{"type": "text", "text": TEXTS[0]}]}], input_type="search_query")
        self.close(got.embeddings.float_, self.vectors(TEXTS[0], "--prompt-name", "query"))

    def test_embed_v1(self):
        client = cohere.Client("key", base_url=self.url)
        got = client.embed(texts=TEXTS, model="embed-english-v3.0", input_type="search_document", truncate="END")
        self.close(got.embeddings, self.vectors(TEXTS, "--prompt-name", "passage"))
        got = client.embed(texts=TEXTS, model="embed-english-v3.0", input_type="search_document", embedding_types=["float"])
        self.close(got.embeddings.float_, self.vectors(TEXTS, "--prompt-name", "passage"))

    def test_rerank_says_that_there_is_no_such_head(self):
        for client in (cohere.ClientV2("key", base_url=self.url), cohere.Client("key", base_url=self.url)):
            with self.assertRaises(cohere.UnprocessableEntityError) as raised:
                client.rerank(model="rerank-v3.5", query="q", documents=["a", "b"])
            self.assertRegex(raised.exception.body["message"], "^invalid request: .*cannot rerank$")

    def test_errors(self):
        with self.assertRaises(cohere.BadRequestError) as raised:
            cohere.ClientV2("key", base_url=self.url).embed(model="m", texts=TEXTS, input_type="search_query", output_dimension=4096)
        self.assertIn("4096", raised.exception.body["message"])


class LangChain(ClientTest):
    def check(self, embeddings):
        expected = self.vectors(TEXTS)
        self.close(embeddings.embed_documents(TEXTS), expected)
        self.close([embeddings.embed_query(TEXTS[1])], expected[1:2])

    def test_openai(self):
        self.check(langchain_openai.OpenAIEmbeddings(base_url=self.url + "/v1", api_key="key", model="any", check_embedding_ctx_length=False))

    def test_openai_dimensions(self):
        embeddings = langchain_openai.OpenAIEmbeddings(base_url=self.url + "/v1", api_key="key", model="any", dimensions=8,
                                                       check_embedding_ctx_length=False)
        self.close(embeddings.embed_documents(TEXTS), self.vectors(TEXTS, "--dimensions", "8"))

    def test_ollama(self):
        self.check(langchain_ollama.OllamaEmbeddings(base_url=self.url, model="all-minilm"))

    def test_ollama_that_looks_for_its_model(self):
        name = self.json("/v1/models")["data"][0]["id"]
        self.check(langchain_ollama.OllamaEmbeddings(base_url=self.url, model=name, validate_model_on_init=True))


class LlamaIndex(ClientTest):
    def check(self, embeddings):
        expected = self.vectors(TEXTS)
        self.close(embeddings.get_text_embedding_batch(TEXTS), expected)
        self.close([embeddings.get_query_embedding(TEXTS[1])], expected[1:2])

    def test_openai_like(self):
        self.check(OpenAILikeEmbedding(model_name="any", api_base=self.url + "/v1", api_key="key", embed_batch_size=3))

    def test_ollama(self):
        self.check(OllamaEmbedding(model_name="all-minilm", base_url=self.url, embed_batch_size=3))


if __name__ == "__main__":
    unittest.main()
