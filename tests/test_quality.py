"""tests/real/quality.py on the demo model.

    GPT2_LIBRARY=build/libgpt2.so python3 tests/test_quality.py
"""
import math
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "real"))
sys.dont_write_bytecode = True
import quality  # noqa: E402
from library import TYPES, Model, Session  # noqa: E402

LIBRARY = os.environ["GPT2_LIBRARY"]
MODEL = os.path.join(ROOT, "examples", "demo-model")
TEXT = ("It was a long way to the sea, and the old man said nothing. \"You will see him in the "
        "morning,\" she said. He went out of the room, and we heard his steps on the stairs.\n\n") * 9
N_CTX = 256


class Quality(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = {name: Model(LIBRARY, MODEL, weight_type) for name, weight_type in TYPES.items()}
        cls.base = cls.models["f32"]
        cls.ids = cls.base.encode(TEXT)[:N_CTX + 30]
        names = list(TYPES)
        cls.base_found, found = quality.measure(cls.base, [cls.models[name] for name in names], cls.ids)
        cls.found = dict(zip(names, found))

    @classmethod
    def tearDownClass(cls):
        for model in cls.models.values():
            model.close()

    def test_equal_logits(self):
        """f32 beside f32, and the file's own type, whose logits have the same bits."""
        self.assertEqual(self.base.info.weight_type, TYPES["f16"])
        for name in "f32", "f16":
            found = self.found[name]
            self.assertEqual(set(found.divergences), {0.0}, name)
            self.assertTrue(all(found.same_top), name)
            self.assertEqual(found.logprobs, self.base_found.logprobs, name)

    def test_fewer_bits_differ_more(self):
        mean = {name: quality.mean_of(found.divergences)[0] for name, found in self.found.items()}
        self.assertTrue(0 < mean["bf16"] < mean["q8"] < mean["q4"] < 0.2, mean)
        for name in "bf16", "q8", "q4":
            self.assertGreaterEqual(min(self.found[name].divergences), 0)
        self.assertLess(sum(self.found["q4"].same_top), sum(self.found["bf16"].same_top))

    def test_scores(self):
        """gpt2_score() gives the same log-probabilities; the first token of a window has none."""
        windows = [self.ids[:N_CTX], self.ids[N_CTX:]]
        for name, found in self.found.items():
            scores = self.models[name].scores([(ids, len(ids) - 1) for ids in windows])
            wanted = [score.logprob for part in scores for score in part]
            self.assertEqual(len(found.logprobs), len(wanted))
            self.assertEqual(len(found.divergences), len(wanted))
            worst = max(abs(a - b) for a, b in zip(found.logprobs, wanted))
            self.assertLess(worst, 1e-6, name)
            self.assertAlmostEqual(found.perplexity(), math.exp(-sum(wanted) / len(wanted)), 3)

    def test_definitions(self):
        """One position, by softmax and the sum of p log(p / q)."""
        rows = []
        for name in "f32", "q4":
            with Session(self.models[name], N_CTX) as session:
                session.forward(self.ids[:70], 1)
                exps = [math.exp(x) for x in session.logits()]
                rows.append([e / sum(exps) for e in exps])
        p, q = rows
        found = self.found["q4"]
        self.assertAlmostEqual(found.divergences[69],
                               sum(a * math.log(a / b) for a, b in zip(p, q)), 9)
        self.assertAlmostEqual(found.logprobs[69], math.log(q[self.ids[70]]), 9)
        self.assertEqual(found.same_top[69], p.index(max(p)) == q.index(max(q)))

    @unittest.skipUnless(quality.np, "no numpy")
    def test_without_numpy(self):
        ids = self.ids[:100]
        (_, (one,)), (_, (other,)) = (quality.measure(self.base, [self.models["q4"]], ids, rows)
                                      for rows in (quality.Rows, quality.PlainRows))
        self.assertEqual(one.same_top, other.same_top)
        for a, b in zip(one.logprobs + one.divergences, other.logprobs + other.divergences):
            self.assertAlmostEqual(a, b, 11)

    def test_table(self):
        found = [self.found[name] for name in list(TYPES)[1:]]
        lines = quality.table(self.models, self.base_found, found)
        self.assertEqual(len({line.count("|") for line in lines} | {len(line) for line in lines}), 2)
        rows = {row[0]: row for row in ([cell.strip() for cell in line.split("|")[1:-1]]
                                        for line in lines[2:])}
        self.assertEqual(list(rows), list(TYPES))
        for name in "f32", "f16":
            self.assertEqual(rows[name][2:6], ["+0.000 ± 0.000", "0.00e+00 ± 0.0e+00", "0.00e+00",
                                               "100.00"])
        q4 = self.found["q4"]
        n = len(q4.divergences)
        self.assertEqual(rows["q4"][1], f"{q4.perplexity():.4f}")
        self.assertEqual(rows["q4"][2].split()[0], "{:+.3f}".format(
            100 * (q4.perplexity() / self.base_found.perplexity() - 1)))
        limit = float(rows["q4"][4])
        self.assertEqual(sum(x > limit * 1.01 for x in q4.divergences), n // 100)
        self.assertEqual(rows["q4"][6], f"{self.models['q4'].info.memory_bytes:,}")

    def test_program(self):
        def run(*args):
            return subprocess.run(
                [sys.executable, "-B", os.path.join(ROOT, "tests", "real", "quality.py"), "--library",
                 LIBRARY, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                env={**os.environ, "PYTHONIOENCODING": "utf-8"})

        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "text")
            with open(path, "w", encoding="utf-8") as file:
                file.write(TEXT)
            done = run("--tokens", "40", MODEL, path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("demo-model, a file of f16, on text: 39 predictions", done.stdout)
            self.assertEqual(re.findall(r"^\| (\w+) +\|", done.stdout, re.M),
                             ["weights", "f32", "bf16", "q8", "q4"])
            for args, words in (((MODEL, path + "s"), "No such file"), ((scratch, path), "config.json"),
                                (("--tokens", "1", MODEL, path), "1 tokens, wanted 2 or more")):
                done = run(*args)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertRegex(done.stderr, f"^quality: .*{words}")


if __name__ == "__main__":
    unittest.main()
