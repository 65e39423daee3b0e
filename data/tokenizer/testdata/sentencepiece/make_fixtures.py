"""Writes the golden files of SentencePiece-style tokenizers: tokenizer.model, tokenizer.json and cases.json.

Made with sentencepiece 0.2.3, Hugging Face tokenizers 0.23.3 and Python 3.11.
Usage: pip install sentencepiece==0.2.3 tokenizers==0.23.3 && python make_fixtures.py

tokenizer.model      SentencePiece's BPE with byte fallback of ../corpus.txt, vocabulary 700
tokenizer.json       the same for Hugging Face tokenizers, laid out as Llama-2's
cases.json           texts: hard strings; sentencepiece: their ids by tokenizer.model (null where the text spells a control
                     piece, which SentencePiece reads as text);
                     variants: what differs from tokenizer.json, the ids of every text (null: as in the first variant),
                     and what they decode to where that is not the text;
                     decoded: other ids, by the first variant that has the decoder, and what they decode to
"""

import io
import json
import pathlib
import random

import sentencepiece
import tokenizers
from tokenizers import Tokenizer

assert sentencepiece.__version__ == "0.2.3", sentencepiece.__version__
assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
here = pathlib.Path(__file__).parent
rng = random.Random(20251123)

model = io.BytesIO()
lines = (here / ".." / "corpus.txt").read_text(encoding="utf-8").splitlines()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines + ["a" + " " * n + "b" for n in range(1, 20)]), model_writer=model, model_type="bpe", vocab_size=700, byte_fallback=True,
    normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
    character_coverage=0.995, num_threads=1, minloglevel=2)
(here / "tokenizer.model").write_bytes(model.getvalue())
pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


# --- tokenizer.json: every way to make a piece of two, by score

def special(id, content, normalized=False):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": True}


names = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
normal = {p: i for i, p in enumerate(names) if not (pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_byte(i))}
ways = [(-pieces.get_score(i), normal[p[:at]], normal[p[at:]]) for p, i in normal.items()
        for at in range(1, len(p)) if p[:at] in normal and p[at:] in normal]
prepend = {"type": "Prepend", "prepend": "▁"}
replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
decode = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
begin = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}
base = {
    "version": "1.0", "truncation": None, "padding": None,
    "added_tokens": [special(i, names[i]) for i in range(3)],
    "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]},
    "pre_tokenizer": None,
    "post_processor": begin,
    "decoder": {"type": "Sequence", "decoders": decode + [strip]},
    "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
              "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
              "vocab": {p: i for i, p in enumerate(names)}, "merges": [[names[a], names[b]] for _, a, b in sorted(ways)]},
}
(here / "tokenizer.json").write_text(json.dumps(base, ensure_ascii=False) + "\n", encoding="utf-8")

# --- the texts: those of the byte-level fixtures, and what spaces and special tokens do

texts = [t for t in json.loads((here / ".." / "cases.json").read_text())["texts"] if len(t) < 130][::2]
texts += [" " * n for n in range(3, 40, 3)] + ["a" + " " * n + "b" for n in range(1, 24, 2)]
texts += ["▁", "▁▁", " ▁", "▁ a", "a▁b", "a ▁ b", "▁a", "<0x0A>", "<0x41>A", "a\u0000b", "\n a", "\t\ta", "a \n", "the▁the", "  the the  "]
texts += ["<s>", "</s>", "<unk>", "<s>a", "<s> a", "a<s>b", "a <s> b", "a</s><s>b", " <s>", "<s><s>", "<s", "s>", "<S>", "a\n</s>", "<s>▁a", "e\u0301<s>\u0301e", "  </s>  the",
          "▁<s>", "<pad>x", "x <pad> y", "<pad><pad>", "a <p d> b"]
pool = ["the", " the", "<s>", "</s>", "<pad>", " ", "  ", "▁", "\n", "\t", "🙂", "👩\u200d👩\u200d👧", "é", "e\u0301", "東京", "안", "\ufffd", "a", "ing", "0", "1234", "."]
texts += ["".join(rng.choice(pool) for _ in range(rng.randint(1, 16))) for _ in range(60)]


def metaspace(scheme, split):
    return {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}}


three = [special(i, names[i]) for i in range(3)]
variants = {
    "llama2": {},
    "normalized added": {"added_tokens": [special(i, names[i], True) for i in range(3)] + [special(len(names), "<pad>")]},
    "first": metaspace("first", False),
    "always": metaspace("always", False),
    "never": metaspace("never", False) | {"decoder": {"type": "Sequence", "decoders": decode}},
    "first split": metaspace("first", True),
    "always split": metaspace("always", True),
    "first normalized added": metaspace("first", False) | {"added_tokens": [special(i, names[i], True) for i in range(3)]},
    "old metaspace": {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "prepend_scheme": "always"}},
    "gemma": {"normalizer": replace, "decoder": {"type": "Sequence", "decoders": decode},
              "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}},
    "nfc": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, prepend, replace]}},
    "ignore merges": {"model": {"ignore_merges": True}},
    "nfkc": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, prepend, replace]}},
    "nfkc first": metaspace("first", False) | {"normalizer": {"type": "NFKC"}},
}
cases = {"sentencepiece": [None if any(n in t for n in names[:3]) else pieces.encode(t) for t in texts],
         "texts": texts, "variants": [], "decoded": []}
for name, patch in variants.items():
    whole = base | patch
    whole["model"] = base["model"] | patch.get("model", {})
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
    assert all(tokenizer.encode(t).ids == [1] + i for t, i in zip(texts, ids))
    back = [tokenizer.decode(i, skip_special_tokens=False) for i in ids]
    first = cases["variants"][0]["ids"] if cases["variants"] else [None] * len(texts)
    cases["variants"].append({"name": name, "patch": patch, "ids": [None if a == b else a for a, b in zip(ids, first)],
                              "back": [None if a == b else a for a, b in zip(back, texts)]})
    if name in ("llama2", "never"):
        for _ in range(40):
            some = [rng.choice([rng.randrange(len(names)), rng.randrange(3, 259), rng.choice([3 + b for b in "é🙂東".encode()])]) for _ in range(rng.randint(0, 8))]
            cases["decoded"].append({"variant": name, "ids": some, "text": tokenizer.decode(some, skip_special_tokens=False)})
different = [t for t, a, b in zip(texts, cases["sentencepiece"], cases["variants"][0]["ids"]) if a is not None and a != b]
print(len(texts), "texts;", len(different), "that the two libraries encode differently:", different)
lines = json.dumps(cases, ensure_ascii=True).replace('], "', '],\n"').replace('}, {"name"', '},\n{"name"')
(here / "cases.json").write_text(lines + "\n")
