"""gpt2.score, gpt2_minicons.py and gpt2_lm_eval.py of examples/python against sums over rows of logits in
float64.  Without numpy all tests are skipped.

    GPT2_LIBRARY=build/libgpt2.so python3 tests/test_python_scores.py
"""
import importlib
import math
import os
import re
import subprocess
import sys
import types
import unittest
from unittest import mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "examples", "python"))
sys.dont_write_bytecode = True
import gpt2  # noqa: E402

try:
    import numpy as np
    import gpt2_lm_eval
    import gpt2_minicons
    from gpt2 import score as gpt2_score
except ImportError as missing:
    if "numpy" not in str(missing):
        raise
    np = None

MODEL = os.path.join(ROOT, "examples", "demo-model")
TEXT = "It was a long way, to the sea.\n\nHe said na\u00efve  things "
TEXTS = [TEXT, "I", "Mr. Wickfield's room.", "", "\U0001f642 It", "It was a long"]
LOGPROB = dict(atol=1e-6, rtol=1e-6)


class NoNumpy(unittest.TestCase):
    def test_the_error_names_numpy(self):
        with mock.patch.dict(sys.modules, {"numpy": None}):
            sys.modules.pop("gpt2.score", None)
            vars(gpt2).pop("score", None)
            model = gpt2.Model(MODEL)
            for call in (model.score, model.surprisal):
                with self.assertRaisesRegex(ImportError, "pip install numpy"):
                    call("It")
        if np is not None:
            importlib.import_module("gpt2.score")


@unittest.skipIf(np is None, "no numpy here")
class Scored(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = gpt2.Model(MODEL)
        cls.eot = cls.model.info.eot_token
        n = cls.model.info.n_positions
        cls.session = cls.model.session(logit_rows=n)

    def rows(self, ids):
        """Log-probabilities [len(ids), n_vocab] in float64 from the session's logits."""
        self.session.reset()
        self.session.forward(ids)
        rows = np.array([np.asarray(self.session.logits(row)) for row in range(len(ids))], np.float64)
        rows -= rows.max(1, keepdims=True)
        return rows - np.log(np.exp(rows).sum(1, keepdims=True))

    def same(self, got, wanted, **tolerance):
        np.testing.assert_allclose(got, wanted, **(tolerance or LOGPROB))

    def logprobs(self, ids, n_prefix):
        """Of ids[n_prefix:]."""
        if len(ids) <= n_prefix:
            return np.empty(0)
        rows = self.rows(ids[:-1])
        return rows[np.arange(len(ids) - 1), ids[1:]][n_prefix - 1:]


class Scores(Scored):
    def check(self, scores, ids, n_prefix, mask, n_likeliest):
        ids = list(ids)
        self.assertEqual(scores.ids.tolist(), ids[n_prefix:])
        rows = self.rows(ids)[n_prefix - 1:]
        self.same(scores.class_probs, np.exp(rows[:, mask]).sum(1))
        rows = rows[:-1]
        values = rows[np.arange(len(rows)), ids[n_prefix:]]
        self.same(scores.logprobs, values)
        self.same(scores.entropies, -(np.exp(rows) * rows).sum(1))
        self.assertEqual(scores.ranks.tolist(), (1 + (rows > values[:, None]).sum(1)).tolist())
        order = np.argsort(-rows, axis=1, kind="stable")[:, :n_likeliest]
        self.assertEqual(scores.likeliest_ids.tolist(), order.tolist())
        self.same(scores.likeliest_logprobs, np.take_along_axis(rows, order, 1), atol=1e-5, rtol=1e-6)

    def test_texts(self):
        mask = [3, 11, 258, self.eot]
        for prefix in ("", "He said:", ["a", "", "It was", "x", "I am", ""]):
            for eot in (True, False):
                found = self.model.score(TEXTS, prefix, eot=eot, n_likeliest=3, class_ids=mask)
                self.assertEqual(len(found), len(TEXTS))
                for i, (text, scores) in enumerate(zip(TEXTS, found)):
                    before = [self.eot] * eot + self.model.encode(
                        prefix if isinstance(prefix, str) else prefix[i])
                    ids = before + self.model.encode(text)
                    if ids:
                        self.check(scores, ids, max(1, len(before)), mask, 3)
                    offsets = self.model.token_offsets(self.model.encode(text))
                    offsets = offsets[len(offsets) - len(scores.ids):]
                    self.assertEqual(scores.byte_offsets.tolist(), [[*at[:2]] for at in offsets])
                    self.assertEqual(scores.char_offsets.tolist(), [[*at[2:]] for at in offsets])

    def test_one_text_is_as_among_others(self):
        alone = [self.model.score(text) for text in TEXTS]
        for one, among in zip(alone, self.model.score(TEXTS, threads=2)):
            for field in ("ids", "logprobs", "ranks", "entropies"):
                self.assertEqual(getattr(one, field).tobytes(), getattr(among, field).tobytes())
        self.assertIsNone(alone[0].class_probs)
        self.assertEqual(alone[0].likeliest_ids.shape, (len(alone[0].ids), 0))
        special = self.model.score("a<|endoftext|>b", special=True)
        self.assertIn(self.eot, special.ids)

    def test_a_common_prefix_runs_once(self):
        scorer = gpt2_score.Scorer(self.model)
        prefix = "It was a long way to the sea, and the old man said nothing. " * 10
        texts = [f" The {i}" for i in range(70)]
        n_prefix, run = 1 + len(self.model.encode(prefix)), []
        with mock.patch.object(scorer.session, "forward_batch",
                               side_effect=scorer.session.forward_batch) as forward:
            found = scorer.score(texts, prefix)
            run = [len(ids) for call in forward.call_args_list for _, ids, _ in call.args[0]]
        self.assertEqual(run, [n_prefix - 1])
        for text, scores in zip(texts[::13], found[::13]):
            ids = [self.eot] + self.model.encode(prefix) + self.model.encode(text)
            self.same(scores.logprobs, self.logprobs(ids, n_prefix))
        self.assertEqual(scorer.session.n_free_pages, scorer.n_pages)

    def test_more_than_fit_together(self):
        scorer = gpt2_score.Scorer(self.model, n_ctx=200)
        text = self.model.encode("It was a way. " * 50)
        ids = [text[:7 + 3 * i % 180] for i in range(70)]
        found = scorer.score_ids((part, 1) for part in ids)
        self.assertEqual([len(scores.ids) for scores in found], [len(part) - 1 for part in ids])
        for part, scores in list(zip(ids, found))[::9]:
            self.same(scores.logprobs, self.logprobs(part, 1))

    def test_windows(self):
        with open(os.path.join(ROOT, "tests", "data", "alice.txt"), encoding="utf-8") as file:
            text = file.read()
        path = os.path.join(os.path.dirname(os.environ["GPT2_LIBRARY"]), "gpt2")
        for stride, n_ctx in ((0, 256), (0, 100), (100, 256), (1, 20)):
            part = text[:200] if stride == 1 else text
            scores = gpt2_score.Scorer(self.model, n_ctx=n_ctx).score(part, stride=stride)
            self.assertEqual(scores.ids.tolist(), self.model.encode(part))
            said = subprocess.run(
                [path, "score", "-m", MODEL, "-c", str(n_ctx), "-f", "/dev/stdin",
                 *(["--stride", str(stride)] if stride else [])], input=part.encode(), check=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout.decode()
            nats = float(re.search(r"^nats +(\S+)$", said, re.M).group(1))
            self.same(-scores.logprobs.sum(), nats, rtol=1e-8)
        # a prefix longer than a window
        ids = self.model.encode(text)[:300]
        scores, = gpt2_score.Scorer(self.model, n_ctx=100).score_ids([(ids, 250)])
        self.same(scores.logprobs[:51], self.logprobs(ids[200:], 50)[:51])
        self.assertEqual(len(scores.ids), 50)

    def test_wrong_arguments(self):
        scorer = gpt2_score.Scorer(self.model)
        for words, options in (("2 prefixes, wanted 1 or 3", dict(texts=["a"] * 3, prefix=["b"] * 2)),
                               ("stride is 256", dict(texts="a", stride=256)),
                               ("class_ids", dict(texts="a", class_ids=[self.model.info.n_vocab])),
                               ("class_ids", dict(texts="a", class_ids=[-1]))):
            with self.assertRaisesRegex(ValueError, words):
                scorer.score(**options)
        with self.assertRaises(gpt2.Error):
            scorer.score_ids([([1, 1 << 20], 1)])
        with self.assertRaises(gpt2.Error):
            scorer.score("a", n_likeliest=1 << 20)
        self.same(scorer.score(TEXT).logprobs, self.model.score(TEXT).logprobs)


class Surprisals(Scored):
    def test_tokens_and_words(self):
        words = [*TEXT.split(), ""]         # a space ends the text
        for base in (2, math.e):
            found = self.model.surprisal(TEXT, base=base)
            scores = self.model.score(TEXT)
            self.same(found.tokens.surprisals, -scores.logprobs / math.log(base))
            self.assertEqual(found.words.texts, words)
            self.same(found.words.surprisals.sum(), -scores.logprobs.sum() / math.log(base))
            self.assertEqual([TEXT[a:b] for a, b in found.words.char_offsets], words)
        self.assertEqual(found.tokens.texts[:6], ["It", " was", " a", " long", " way", ","])
        begin, end = found.words.char_offsets[words.index("way,")]
        inside = (scores.char_offsets[:, 1] > begin) & (scores.char_offsets[:, 1] <= end)
        self.assertEqual(inside.sum(), 2)
        self.same(dict(found.words)["way,"], -scores.logprobs[inside].sum())
        behind = self.model.surprisal(" sea", "It was a long way to the", base=math.e)
        self.same(behind.words.surprisals, [-self.model.score(
            "It was a long way to the sea").logprobs[-len(behind.tokens):].sum()])
        found = self.model.surprisal("It<|endoftext|>was so<|endoftext|> I", special=True)
        self.assertEqual(found.words.texts, ["It", "<|endoftext|>", "was", "so", "<|endoftext|>", "I"])

    def test_bytes(self):
        same, of_bytes = self.model.surprisal(TEXT), self.model.surprisal(TEXT.encode(), b"")
        self.assertEqual((of_bytes.text, of_bytes.words.texts), (TEXT, same.words.texts))
        self.assertEqual(of_bytes.tokens.surprisals.tolist(), same.tokens.surprisals.tolist())
        broken = b"It \xff\xfewas \xe2\x82 na\xc3\xafve \xed\xa0\x80\xf0\x9f\x99\x82"
        shown = "It \ufffd\ufffdwas \ufffd\ufffd na\u00efve \ufffd\ufffd\ufffd\U0001f642"
        for correction in (False, True):
            found = self.model.surprisal(broken, b"\xff", bow_correction=correction)
            self.assertEqual((found.text, found.words.texts), (shown, shown.split()))
            self.assertEqual(found.tokens.char_offsets.tolist(),
                             self.model.score(broken).char_offsets.tolist())
            if not correction:
                self.same(found.tokens.surprisals,
                          -self.model.score(broken, b"\xff").logprobs / math.log(2))

    def test_the_correction(self):
        """Against the formula of the papers, on probabilities."""
        data = [self.model.decode_bytes([id_]) for id_ in range(self.model.info.n_vocab)]
        begins = [id_ for id_, token in enumerate(data) if token[:1].isspace() or id_ == self.eot]
        self.assertEqual(gpt2_score.word_beginnings(self.model), begins)
        others = [id_ for id_, token in enumerate(data) if token and not token[:1].isspace()]
        for text in ("It was a Wickfield's room, so.", " It was", "Wickfield's",
                     "I was<|endoftext|>It is", "<|endoftext|> It was<|endoftext|>"):
            ids = [self.eot] + self.model.encode(text, special=True)
            rows = np.exp(self.rows(ids))
            groups = []         # where the tokens of each word are in ids
            for i in range(1, len(ids)):
                if i == 1 or data[ids[i]][:1] == b" " or self.eot in (ids[i], ids[i - 1]):
                    groups.append([])
                groups[-1].append(i)
            wanted = []
            for group in groups:
                first, last, p = group[0], group[-1], 1.0
                for i in group:
                    p *= rows[i - 1, ids[i]]
                if ids[last] != self.eot:
                    p *= rows[last, begins].sum()
                if ids[first - 1] == self.eot and ids[first] in others and ids[first] != self.eot:
                    p /= rows[first - 1, others].sum()
                else:
                    p /= rows[first - 1, begins].sum()
                wanted.append(-np.log2(p))
            found = self.model.surprisal(text, bow_correction=True, special=True)
            self.same(found.words.surprisals, wanted)
            self.same(found.tokens.surprisals.sum(), found.words.surprisals.sum())
            plain = self.model.surprisal(text, special=True)
            self.assertEqual(found.words.texts, plain.words.texts)
            self.assertGreater(abs(found.words.surprisals - plain.words.surprisals).max(), 0.005)
        # a word that begins in the prefix is only corrected at its end
        found = self.model.surprisal("sea was", "It was the ", bow_correction=True)
        self.assertEqual(found.words.texts, ["sea", "was"])
        scores = self.model.score("sea was", "It was the ", class_ids=begins)
        self.same(found.words.surprisals[0],
                  (-scores.logprobs[:-1].sum() - np.log(scores.class_probs[-2])) / math.log(2))

    def test_a_first_token_that_nothing_predicts(self):
        for correction in (False, True):
            found = self.model.surprisal("It was", eot=False, bow_correction=correction)
            self.assertTrue(np.isnan(found.tokens.surprisals[0]))
            self.assertTrue(np.isnan(found.words.surprisals[0]))
            self.assertEqual(found.words.texts, ["It", "was"])
            self.assertFalse(np.isnan(found.words.surprisals[1]))
            self.assertEqual(len(self.model.surprisal("", bow_correction=correction).words), 0)
            # a text that begins behind one without <|endoftext|> in front
            found = self.model.surprisal("It<|endoftext|>was so", eot=False, special=True,
                                         bow_correction=correction)
            behind = self.model.surprisal("<|endoftext|>was so", "It", eot=False, special=True,
                                          bow_correction=correction)
            self.assertEqual(found.words.texts, ["It", "<|endoftext|>", "was", "so"])
            self.same(found.words.surprisals[2:], behind.words.surprisals[1:])


class Minicons(Scored):
    def setUp(self):
        self.scorer = gpt2_minicons.IncrementalLMScorer(self.model)

    def test_scores(self):
        text = "It was a long way"
        values = self.logprobs(self.model.encode(text), 1)
        with_eot = self.logprobs([self.eot] + self.model.encode(text), 1)
        self.same(self.scorer.sequence_score(text), [values.mean()])
        self.same(self.scorer.sequence_score([text, text], bos_token=True), [with_eot.mean()] * 2)
        self.same(self.scorer.sequence_score(text, reduction=lambda x: -x.sum(0).item(), base_two=True),
                  [-values.sum() / math.log(2)])
        tokens, = self.scorer.token_score(text, surprisal=True, rank=True)
        self.assertEqual([token for token, _, _ in tokens], [
            "\u0120" * (i > 0) + word for i, word in enumerate(text.split())])
        self.same([value for _, value, _ in tokens], [0.0, *-values])
        self.assertEqual([rank for _, _, rank in tokens],
                         [0, *self.model.score(text, eot=False).ranks])
        self.assertEqual([token for token, _ in self.scorer.token_score(text, decode=True)[0]],
                         text.split())
        self.same(self.scorer.conditional_score("It was a", "long way", prob=True),
                  [np.exp(values[2:]).mean()])
        stats = self.scorer.compute_stats(self.scorer.prepare_text(text), prob=True)
        self.same(stats[0], np.exp(values))
        self.assertIsInstance(stats[0], list)

    def test_words(self):
        text = "Mr. Wickfield's room, so."
        words = [("Mr", 0), (".", 0), ("Wickfield's", 0), ("room", 0), (",", 0), ("so", 0), (".", 0)]
        found, = self.scorer.word_score(text, surprisal=True)
        self.assertEqual([word for word, _ in found], [word for word, _ in words])
        values = -self.logprobs(self.model.encode(text), 1)
        self.same(sum(value for _, value in found), values.sum())
        self.same(found[-1][1], values[-1])
        tokenized, = self.scorer.word_score_tokenized(text, str.split, bos_token=True)
        self.assertEqual([word for word, _ in tokenized], text.split())
        self.same(sum(value for _, value in tokenized),
                  self.logprobs([self.eot] + self.model.encode(text), 1).sum())

    def test_the_correction_moves_to_the_word_before(self):
        text = "It was a Wickfield's room"
        plain, corrected = (self.scorer.compute_stats(
            self.scorer.prepare_text(text, bos_token=True), return_tensors=True, bow_correction=on)[0]
            for on in (False, True))
        ids = [self.eot] + self.model.encode(text)
        rows, n = np.exp(self.rows(ids)), len(ids) - 1
        begins = [self.model.decode_bytes([id_])[:1] == b" " for id_ in range(rows.shape[1])]
        bow = np.log(rows[:, begins].sum(1))
        wanted = plain.copy()
        for i in range(n):
            if i == n - 1 or begins[ids[i + 2]]:
                wanted[i] += bow[i + 1]
            if i > 0 and begins[ids[i + 1]]:
                wanted[i] -= bow[i]
        self.same(corrected, wanted)
        self.assertGreater(abs(corrected - plain).max(), 0.01)

    def test_wrong_arguments(self):
        for call in (lambda: self.scorer.token_score("a b", prob=True, surprisal=True),
                     lambda: self.scorer.token_score("a b", prob=True, base_two=True),
                     lambda: self.scorer.conditional_score("", "a"),
                     lambda: self.scorer.conditional_score(["a", "b"], ["a"])):
            self.assertRaises(ValueError, call)
        self.assertRaises(TypeError, self.scorer.sequence_score, "a b", bos=True)


class Harness(Scored):
    def run_requests(self, method, requests, **options):
        model = gpt2_lm_eval.LibGPT2(MODEL, **options)
        return getattr(model, method)([types.SimpleNamespace(args=args) for args in requests])

    def test_loglikelihood(self):
        context, pairs = "It was a long way to the", []
        for continuation in (" sea", " house of", " sea."):
            pairs.append((context, continuation))
        pairs += [(context + " ", "sea"), ("", "It was"), (" ", "It was")]
        found = self.run_requests("loglikelihood", pairs)
        n = 1 + len(self.model.encode(context))
        for (_, continuation), (value, is_greedy) in zip(pairs[:3], found):
            ids = self.model.encode(context + continuation)
            values = self.logprobs(ids, n - 1)
            self.same(value, values.sum())
            self.assertEqual(is_greedy, self.rows(ids[:-1])[n - 2:].argmax(1).tolist() == ids[n - 1:])
        self.assertEqual(found[3], found[0])
        self.same(found[4][0], self.logprobs([self.eot] + self.model.encode("It was"), 1).sum())
        self.assertNotEqual(found[4], found[5])
        likeliest = self.model.session().generate(context, n=3, temperature=0)
        self.assertTrue(self.run_requests("loglikelihood", [(context, "".join(likeliest))])[0][1])

    def test_what_is_too_long_loses_its_beginning(self):
        context = "It was a long way to the sea. " * 20
        (value, _), = self.run_requests("loglikelihood", [(context, "He said")], max_length=50)
        ids = self.model.encode(context + "He said")
        n = len(self.model.encode(context.rstrip()))
        self.same(value, self.logprobs(ids[-51:], 51 - (len(ids) - n)).sum())
        with self.assertRaisesRegex(ValueError, "at most 5"):
            self.run_requests("loglikelihood", [("It", " was a long way to the sea")], max_length=5)

    def test_rolling(self):
        text = "It was a long way to the sea, and I never saw it. "
        ids = [self.eot] + self.model.encode(text)
        n = 6
        wanted = self.logprobs(ids[:n + 1], 1).sum()
        at = n + 1
        while at < len(ids):
            end = min(at + n, len(ids))
            window = ids[end - n - 1:end]
            wanted += self.logprobs(window, len(window) - (end - at)).sum()
            at = end
        self.assertNotEqual((len(ids) - 1) % n, 0)
        found = self.run_requests("loglikelihood_rolling", [(text,), ("",), (text,)], max_length=n)
        self.same(found, [wanted, 0, wanted])
        whole, = self.run_requests("loglikelihood_rolling", [(text,)])
        self.same(whole, self.logprobs(ids, 1).sum())

    def test_generate_until(self):
        prompts = ["It was", "The old man said", "I", "", "Mr. Wickfield's", "a", "b"] * 2
        greedy = []
        for prompt in prompts:
            with self.model.session() as session:
                greedy.append("".join(session.generate(prompt, n=12, temperature=0)))
        for options, ends in (({"max_gen_toks": 12}, []), ({"max_new_tokens": 12, "until": "e"}, ["e"]),
                              ({"max_gen_toks": 12, "until": [",", "", " the"], "do_sample": False,
                                "temperature": 0.7}, [",", " the"])):
            wanted = []
            for text in greedy:
                cut = [text.find(end) for end in ends if end in text]
                wanted.append(text[:min(cut)] if cut else text)
            for batch_size in (3, "auto"):
                self.assertEqual(wanted, self.run_requests(
                    "generate_until", [(prompt, options) for prompt in prompts], batch_size=batch_size))
        sampled = self.run_requests("generate_until", [("It", {"do_sample": True, "max_gen_toks": 9})] * 4)
        self.assertGreater(len(set(sampled)), 1)        # each request has its own random numbers
        for options in ({"num_beams": 4}, {"max_gen_toks": 256}):
            self.assertRaises(ValueError, self.run_requests, "generate_until", [("It", options)])


if __name__ == "__main__":
    unittest.main()
