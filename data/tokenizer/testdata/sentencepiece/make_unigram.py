"""Writes unigram.model, unigram-bytes.model and unigram.json: SentencePiece's Unigram with remove_extra_whitespaces, and
the ids of hard strings.

Made with sentencepiece 0.2.3; Python 3.11. Usage: pip install sentencepiece && python make_unigram.py
"""

import json
import os
import pathlib
import random

import sentencepiece

here = pathlib.Path(__file__).parent
corpus = here.parent / "corpus.txt"
rng = random.Random(5)
os.chdir(here)  # A model keeps the paths that it was made with.
words = corpus.read_text(encoding="utf-8").split()[:300]
pools = [words, words, [" ", "  ", "   ", "\n", "\t", "\u3000"], list("abcdeXYZ.,!?0123456789"), ["\u6771\u4eac", "\u4e2d", "\U0001f642", "e\u0301", "\ufffd", "\u2581"]]
texts = ["", " ", "   ", "a", "  two   spaces  ", " \u4e2d\U0001f642\u4e2d ", "the\u6771the"]
while len(texts) < 150:
    mine = rng.sample(pools, rng.randint(1, 4))
    texts.append(rng.choice(["", " "]).join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 14))))
cases = {"texts": texts}
for name, fallback in (("unigram", False), ("unigram-bytes", True)):
    sentencepiece.SentencePieceTrainer.train(input="../corpus.txt", model_prefix=name, vocab_size=300 + 256 * fallback, model_type="unigram", byte_fallback=fallback,
                                             normalization_rule_name="identity", remove_extra_whitespaces=True, character_coverage=0.98, minloglevel=2)
    (here / (name + ".vocab")).unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(here / (name + ".model")))
    cases[name] = [pieces.encode(t) for t in texts]
(here / "unigram.json").write_text(json.dumps(cases).replace('], [', '],\n['))
