"""A worker alone computes and attends some heads at a time, threads that share one text all heads at once: the same bits.

The models are wide enough for several groups: the small ones that have golden vectors are not.
"""

import sys
import unittest

from harness import ROOT, CommandTest

sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_architectures as architectures  # noqa: E402

CLS, MEAN = dict(pooling="cls", normalize=True), dict(pooling="mean", normalize=True)
TEXTS = ("river", "the house in the garden", "music of water and light " * 9)
MODELS = {
    # four groups of queries, keys and values of 64 columns; the last layer's queries are of the first token alone
    "bert": (architectures.bert, dict(architectures.BERT, architectures=["BertModel"], hidden_size=256), CLS),
    # six heads of 32: groups of two, as four do not divide them
    "roberta": (architectures.bert, dict(architectures.ROBERTA, architectures=["RobertaModel"], hidden_size=192,
                                         num_attention_heads=6), MEAN),
    # a bias of each head
    "mpnet": (architectures.mpnet, dict(architectures.MPNET, architectures=["MPNetModel"], hidden_size=256,
                                        num_attention_heads=8), MEAN),
    # positions that turn queries and keys, and windows
    "modernbert": (architectures.modernbert, dict(architectures.MODERNBERT, architectures=["ModernBertModel"], hidden_size=256), MEAN),
    # two heads of queries for each of keys, which are normalised each; the last token
    "qwen3": (architectures.qwen3, dict(architectures.QWEN3, num_attention_heads=8, num_key_value_heads=4, head_dim=64),
              dict(pooling="lasttoken", normalize=True)),
    # whole heads do not fill panels: no groups
    "thirds": (architectures.bert, dict(architectures.BERT, architectures=["BertModel"], hidden_size=240, num_attention_heads=3), MEAN),
}


class HeadGroupsTest(CommandTest):
    def test_the_same_bits(self):
        for name, (graph, config, behind) in MODELS.items():
            architectures.MODELS[name] = ("", graph, config, behind)
            model = architectures.write_model(self.work, name)
            for dtype in ("f32", "bf16", "int8"):
                with self.subTest(f"{name}, {dtype}"):
                    options = ("-m", model, "--dtype", dtype, "--output-format", "f32")
                    shared = b"".join(self.heddle("embed", *options, "--threads", "2", text)[0] for text in TEXTS)
                    alone = self.heddle("embed", *options, "--threads", "1", *TEXTS)[0]
                    self.assertEqual(len(alone), len(TEXTS) * 4 * config["hidden_size"])
                    self.assertEqual(alone, shared)


if __name__ == "__main__":
    unittest.main()
