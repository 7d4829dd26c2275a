"""Rerank classes of LangChain and LlamaIndex that are told another address and nothing else, against `heddle rerank`.

    HEDDLE_BUILD=build build/venv-rerank/bin/python -m unittest -v test_rerankers        (in tests/serve)
"""

import asyncio
import logging
import os
import unittest
from unittest import mock

from test_heads import HeadsTest, QUERY, TEXTS

try:
    from langchain_cohere import CohereRerank as LangChainCohereRerank
    from langchain_community.document_compressors import jina_rerank
    from langchain_core.documents import Document
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.postprocessor.cohere_rerank import CohereRerank
    from llama_index.postprocessor.jinaai_rerank import JinaRerank
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
except ImportError:
    Document = None

DOCUMENTS = [text for text in TEXTS if text]  # nodes of LlamaIndex hold no empty texts


@unittest.skipIf(Document is None, "the classes are not installed: run tools/test_venv.sh")
class RerankersTest(HeadsTest):
    model = "tiny-bert-reranker"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["no_proxy"] = "127.0.0.1"
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def expected(self, n=None):
        """[(text, score)], the best first."""
        return [(DOCUMENTS[line["index"]], line["score"]) for line in self.program("rerank", "--", QUERY, *DOCUMENTS)][:n]

    def check(self, got, n=None):
        expected = self.expected(n)
        self.assertEqual([text for text, _ in got], [text for text, _ in expected])
        self.close([[score for _, score in got]], [[score for _, score in expected]], 1e-5)


class LangChain(RerankersTest):
    documents = [] if Document is None else [Document(text, metadata={"n": i}) for i, text in enumerate(DOCUMENTS)]

    def check_class(self, rerank):
        got = rerank.compress_documents(self.documents, QUERY)
        self.check([(d.page_content, d.metadata["relevance_score"]) for d in got], 3)
        self.assertEqual([self.documents[d.metadata["n"]].page_content for d in got], [d.page_content for d in got])
        got = asyncio.run(rerank.acompress_documents(self.documents, QUERY))
        self.check([(d.page_content, d.metadata["relevance_score"]) for d in got], 3)
        got = rerank.rerank(DOCUMENTS, QUERY, top_n=None)
        self.check([(DOCUMENTS[entry["index"]], entry["relevance_score"]) for entry in got])

    def test_cohere(self):
        rerank = LangChainCohereRerank(base_url=self.url, cohere_api_key="key", model="rerank-v3.5", top_n=3)
        self.check_class(rerank)
        got = rerank.rerank([{"title": "river", "text": "stone"}, {"title": "x", "text": "stone"}], QUERY, rank_fields=["title"],
                            max_tokens_per_doc=7)
        self.assertEqual(sorted(entry["index"] for entry in got), [0, 1])

    def test_jina(self):
        with mock.patch.object(jina_rerank, "JINA_API_URL", self.url + "/v1/rerank"):
            self.check_class(jina_rerank.JinaRerank(jina_api_key="key", model="jina-reranker-v2-base-multilingual", top_n=3))


class LlamaIndex(RerankersTest):
    def check_class(self, rerank, n):
        nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in DOCUMENTS]
        got = rerank.postprocess_nodes(nodes, query_str=QUERY)
        self.check([(node.node.text, node.score) for node in got], n)

    def test_cohere(self):
        self.check_class(CohereRerank(api_key="key", base_url=self.url, model="rerank-v3.5", top_n=2), 2)

    def test_jina(self):
        self.check_class(JinaRerank(api_key="key", base_url=self.url + "/v1", model="jina-reranker-v1-base-en", top_n=3), 3)

    def test_tei(self):
        self.check_class(TextEmbeddingInference(base_url=self.url, top_n=4), 4)
        self.check_class(TextEmbeddingInference(base_url=self.url, top_n=2, auth_token="Bearer key"), 2)


class NoReranker(RerankersTest):
    """What the classes say of a model that cannot rerank: the server's own words."""

    model = "tiny-distilbert"

    def test_cohere(self):
        with self.assertRaisesRegex(Exception, "cannot rerank"):
            LangChainCohereRerank(base_url=self.url, cohere_api_key="key", model="m").rerank(DOCUMENTS, QUERY)

    def test_jina(self):
        with mock.patch.object(jina_rerank, "JINA_API_URL", self.url + "/v1/rerank"):
            with self.assertRaisesRegex(RuntimeError, "cannot rerank"):
                jina_rerank.JinaRerank(jina_api_key="key").rerank(DOCUMENTS, QUERY)
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
        with self.assertRaisesRegex(RuntimeError, "cannot rerank"):
            JinaRerank(api_key="key", base_url=self.url + "/v1").postprocess_nodes(nodes, query_str=QUERY)


if __name__ == "__main__":
    unittest.main()
