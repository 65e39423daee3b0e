"""Writes the golden files of data/tokenizer: corpus.txt, trained/tokenizer.json and cases.json.

Made with Hugging Face tokenizers 0.23.3 and Python 3.11.
Usage: pip install tokenizers==0.23.3 && python make_fixtures.py

corpus.txt           a made-up text (seeded), one document a line
trained/             BpeTrainer's tokenizer of that corpus, vocabulary 1200
cases.json           texts: hard strings; variants: what differs from the trained tokenizer.json, and the ids of every
                     text without (ids; null: as in the first variant) and, where they differ, with (with_special) the
                     post-processor's tokens;
                     decoded: what the ids' prefixes that end inside a character decode to
"""

import json
import pathlib
import random

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
here = pathlib.Path(__file__).parent
rng = random.Random(20250801)

# --- the corpus: Zipf-distributed made-up English, some other scripts, numbers and code

onsets = "b c d f g h l m n p r s t w st tr ch sh th pl gr br".split()
vowels = "a e i o u ea ou ai".split()
codas = ["", "", "n", "r", "s", "t", "d", "ll", "ng", "ck", "st"]
common = "the of and to in is it that he was for on are with as I his they be at one have this from".split()
stems = ["".join(rng.choice(part) for part in (onsets, vowels, codas)) for _ in range(500)]
words = common + [s + rng.choice(["", "ing", "ed", "er", "ation", "s"]) for s in stems]
weights = [1 / (i + 3) for i in range(len(words))]
foreign = ["Führer naïve façade", "нещо на Български", "東京は夜の七時", "你好，世界", "안녕하세요 세계", "שלום עולם", "नमस्ते दुनिया",
           "🚀🙂👩‍👩‍👧", "def f(x):\n\treturn x ** 2", "3.14159 and 2025-01-31", "cafe\u0301 e\u0301te\u0301"]


def sentence():
    chosen = rng.choices(words, weights, k=rng.randint(4, 18))
    text = ""
    for i, word in enumerate(chosen):
        if i:
            text += rng.choices([" ", ", ", "; ", "  ", "'s ", "n't ", "-"], [90, 8, 1, 1, 2, 2, 1])[0]
        text += word
    return text[0].upper() + text[1:] + rng.choice([".", ".", ".", "!", "?"])


documents = []
for _ in range(260):
    document = " ".join(sentence() for _ in range(rng.randint(1, 9)))
    if rng.random() < 0.35:
        document += " " + rng.choice(foreign)
    documents.append(document.replace("\n", " "))
(here / "corpus.txt").write_text("\n".join(documents) + "\n", encoding="utf-8")

trained = Tokenizer(models.BPE())
trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trained.post_processor = processors.ByteLevel()
trained.decoder = decoders.ByteLevel()
trained.train_from_iterator(
    documents,
    trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    ),
)
(here / "trained").mkdir(exist_ok=True)
trained.save(str(here / "trained" / "tokenizer.json"))

# --- the hard strings

texts = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "\t\t x", "a  b", "a   b ", "  leading", "trailing  ",
    "a\u00a0b", "a\u2003\u2003b", "\u3000全角", "x\u0085y", "x\u200by", "\ufeffBOM", "\x00\x01\x7f", "a\u180eb",
    "I'm he's they're we've you'll he'd can't", "I'M HE'S THEY'RE WE'VE YOU'LL HE'D CAN'T", "'s't're've'm'll'd", "''s '' 'sx",
    "it\u2019s", "'\u017f 'S\u017f", " 's", "\n's", "x'lL 'Re 'vE", "rock'n'roll", "'", "''", "' s",
    "0", "12", "123", "1234567890", "3.14e-10", "½ ⅓ Ⅷ ①", "१२३४५", "٣٤٥", "1a2b", "2025-01-31T23:59:59Z", "𝟙𝟚𝟛𝟜",
    "🙂", "🙂🙂🙂", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "😶‍🌫️", "✅ ok", "🦙.cpp", "👍🏽", "a🙂b 🙂 c",
    "你好，世界！", "東京は夜の七時", "안녕하세요", "カタカナ ｶﾀｶﾅ", "ไทยไม่มีช่องว่าง", "កាន់តែពិសេស", "नमस्ते दुनिया", "العربية لغة",
    "e\u0301 é cafe\u0301", "a\u0323\u0307 a\u0307\u0323", "\u0301\u0301start", "q\u0300\u0316\u0321", "Z" + "\u0301\u0316" * 40 + "!",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8", "\u0958\u095e", "\u2126 \u212b \u2000", "\u0344", "\u0f73\u0f75", "\ufb1d",
    "\U000105c0\U000105d2 \U00010d40\U00010d41 \U00016d40", "\u1c89\u1c8a \ua7cb\ua7da", "\U0001ccf0\U0001ccf1x", "\U00031350",
    "\ufffd", "\ufffd\ufffd\ufffd a", "\U0010ffff", "\ue000", "\u0378",
    "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>", "<|endoftext|", "<|endoftext|>>", "<<|endoftext|>",
    "<|ENDOFTEXT|>", "x <|pad|> y", "    four", "        eight", "   three", "a\n    indented\n        more\n", "caf\u00e9-token cafe\u0301-token",
    "https://example.org/a?b=c&d=%20#e", "snake_case camelCase SCREAMING_CASE", "a.b.c...d", "!!!???", "#$%^&*()", " !", "\t!", "! \n\n!",
    "x\r\ny\r\n\r\nz", "end.\r\n  next", "...\n\n\nnext", "tab\tseparated\tvalues", "\u00adsoft\u00adhyphen", "ﬁ ﬂ ﬃ ﬅ", "ǅ ǈ ß ẞ İ ı",
    "a" * 200, "ab" * 150, "the" * 90, " " * 130 + "x", "aA" * 70 + "'ll", "🙂" * 60, "中" * 70, "e\u0301" * 60, "1" * 100, "-=" * 64,
]
for damaged in (b"\xff", b"a\xc3", b"a\xc3(b", b"\xe2\x82", b"\xe2\x82x", b"\xf0\x9f\x98", b"\xf0\x9f\x98x", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"):
    texts.append(damaged.decode("utf-8", errors="replace"))

pools = [
    list("abcdefghijklmnopqrstuvwxyz"), list("THE the'st ll d"), list("0123456789.,-"), [" ", "  ", "\n", "\t", "\r\n", "\u00a0", " "],
    [chr(c) for c in range(0x300, 0x350)], [chr(c) for c in range(0x4E00, 0x4E40)], [chr(c) for c in range(0x1100, 0x1200)],
    [chr(c) for c in range(0x1F600, 0x1F640)] + ["\u200d", "\ufe0f"], [chr(c) for c in range(0xA0, 0x250)], [chr(c) for c in range(0x900, 0x980)],
    ["'", "\u2019", "'s", "'LL", "\u017f", "<|endoftext|>", "<|pad|>", "    "], [chr(c) for c in range(0x105C0, 0x105F0)], words, words, words,
]
while len(texts) < 340:
    mine = rng.sample(pools, rng.randint(1, 4))
    texts.append("".join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 40))))


# --- the variants

def split(regex):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def added(id, content, normalized=False, special=True):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
tail = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
fold = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
template = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "<|pad|>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]},
                       "<|pad|>": {"id": "<|pad|>", "ids": [1200], "tokens": ["<|pad|>"]}},
}
variants = {
    "gpt2": {},
    "prefix space": {"pre_tokenizer": byte_level | {"add_prefix_space": True}},
    "whole": {"pre_tokenizer": byte_level | {"use_regex": False}},
    "llama3": {"pre_tokenizer": split(fold + r"\p{N}{1,3}" + tail)},
    "qwen2": {"pre_tokenizer": split(fold + r"\p{N}" + tail)},
    "gpt2 split": {"pre_tokenizer": split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")},
    "nfc and added": {
        "normalizer": {"type": "NFC"},
        "added_tokens": [added(0, "<|endoftext|>"), added(1200, "<|pad|>"), added(1201, "    ", True, False),
                         added(1202, "  ", True, False), added(1203, "cafe\u0301-token", True, False)],
    },
    "nfkc": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "NFC"}]}},
    "template": {
        "added_tokens": [added(0, "<|endoftext|>"), added(1200, "<|pad|>")],
        "post_processor": {"type": "Sequence", "processors": [byte_level, template]},
    },
}
base = json.loads((here / "trained" / "tokenizer.json").read_text())
cases = {"version": tokenizers.__version__, "texts": texts, "variants": []}
for name, patch in variants.items():
    tokenizer = Tokenizer.from_str(json.dumps(base | patch))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    with_special = [tokenizer.encode(text).ids for text in texts]
    gpt2 = cases["variants"][0]["ids"] if cases["variants"] else [None] * len(texts)
    entry = {"name": name, "patch": patch, "ids": [None if a == b else a for a, b in zip(ids, gpt2)]}
    if with_special != ids:
        entry["with_special"] = with_special
    cases["variants"].append(entry)

cases["decoded"] = []
for ids in cases["variants"][0]["ids"]:
    for cut in range(1, min(len(ids), 12)):
        text = trained.decode(ids[:cut], skip_special_tokens=False)
        if "\ufffd" in text:
            cases["decoded"].append({"ids": ids[:cut], "text": text})
            break
lines = json.dumps(cases, ensure_ascii=True).replace('], "', '],\n"').replace('}, {"name"', '},\n{"name"')
(here / "cases.json").write_text(lines + "\n")
