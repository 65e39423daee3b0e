"""Writes parts.json: tokenizers made of every part in many combinations, and what Hugging Face's library makes of hard
strings with them.

Made with tokenizers 0.23.3; Python 3.11. Usage: pip install tokenizers==0.23.3 && python make_parts.py [SEED [COUNT [OUT]]]

texts       hard strings
tokenizers  base; file: fields of a tokenizer.json besides the model; model: what differs from that of the base; ids:
            checksums (CRC-32) of the ids of every text without what the post-processor adds, null where the library
            fails; plain: likewise, but names of special tokens are ordinary text; back: checksums of what the ids decode
            to; around: the ids of "a" with what the post-processor adds
bases       models by name
"""

import json
import multiprocessing
import os
import pathlib
import random
import struct
import sys
import unicodedata
import zlib

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
here = pathlib.Path(__file__).parent
seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
out = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else here / "parts.json"
rng = random.Random(seed)
corpus = (here / "corpus.txt").read_text(encoding="utf-8").splitlines()

# --- the texts

assigned = [c for c in map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x20000)]) if unicodedata.category(c) not in ("Cn", "Co")]
words = " ".join(corpus[:40]).split()
pools = [words, words, words, assigned, list("abcXYZ0123456789"), [" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028"], list("!?.,;:-_'\"()[]{}$+<>^`|~"),
         ["'s", "'LL", "'\u017f", "n't", " do not", "<s>", "</s>", "<mask>", "<n>", "  ", "[MASK]", "</w>", "##a", "\u2581", "<0x41>", "\u0120"],
         ["e\u0301", "\u00e9", "\u0130", "\u00df", "\u0301", "\ufb01", "\u212b", "\u1112\u1161\u11ab", "\u00bd", "\u0663", "\u2167", "\U0001d7d8"],
         ["\u4e2d\u6587", "\u30ab\u30bf\u30ab\u30ca", "\u3072\u3089", "\u0440\u0443\u0441", "\u0627\u0644", "\u0e44\u0e17\u0e22", "\U0001f600", "\u200d", "\ufe0f", "\u00ad", "\x00", "\ufffd", "\x7f"]]
texts = ["", " ", "  ", "a", " a", "a ", "  two  spaces  ", "Year 2024: it's 12345 \U0001f600", "<s>", "a <mask> b", "x<mask>y", "aaaaaaa", "\n", "the<n>end <n> <n>"]
while len(texts) < 80:
    mine = rng.sample(pools, rng.randint(1, 5))
    texts.append(rng.choice(["", "", " "]).join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 18))))

# --- the models

special = ["<unk>", "<s>", "</s>"]
bytes_ = [f"<0x{b:02X}>" for b in range(256)]


def trained(model, trainer, pre=None):
    t = Tokenizer(model)
    if pre:
        t.pre_tokenizer = pre
    t.train_from_iterator(corpus, trainer)
    return json.loads(t.to_str())["model"]


alphabet = sorted(set("".join(corpus)) | set("##\u2581"))
byte_bpe = trained(models.BPE(), trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False), pre_tokenizers.ByteLevel(add_prefix_space=False))
char_bpe = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=450, special_tokens=special, show_progress=False), pre_tokenizers.Metaspace())
fall_bpe = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=650, special_tokens=special + bytes_, show_progress=False), pre_tokenizers.Metaspace())
part_bpe = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=450, special_tokens=special + bytes_[:200], show_progress=False), pre_tokenizers.Metaspace())
suffix_bpe = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=450, special_tokens=special, end_of_word_suffix="</w>", show_progress=False), pre_tokenizers.Whitespace())
prefix_bpe = trained(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), trainers.BpeTrainer(vocab_size=450, special_tokens=special, continuing_subword_prefix="##", show_progress=False), pre_tokenizers.Whitespace())
wordpiece = trained(models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=450, special_tokens=special, show_progress=False), pre_tokenizers.Whitespace())
wordlevel = trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=300, special_tokens=special, show_progress=False), pre_tokenizers.Whitespace())
unigram = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False), pre_tokenizers.Metaspace())
fall_unigram = json.loads(json.dumps(unigram))
fall_unigram["vocab"][3:3] = [[b, 0.0] for b in bytes_]
fall_unigram["byte_fallback"] = True
for m in (fall_bpe, part_bpe):
    m["byte_fallback"] = True
bases = {"byte_bpe": byte_bpe, "char_bpe": char_bpe, "fall_bpe": fall_bpe, "part_bpe": part_bpe, "suffix_bpe": suffix_bpe, "prefix_bpe": prefix_bpe,
         "wordpiece": wordpiece, "wordlevel": wordlevel, "unigram": unigram, "fall_unigram": fall_unigram}

# --- the parts

behaviors = ["Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext"]
o200k = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
cl100k = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
regexes = [o200k, cl100k, r"\p{N}{1,3}", r"\s+", r"[0-9][0-9][0-9]", r"[\p{L}&&[^\p{Lu}]]+", r"\w+|[^\w\s]+", r"(?=[A-Z])", r"^\s|\s$", r"[a-z]*", r"(?<=\d)(?=(\d{3})+\b)", r"\p{Han}+|\p{Katakana}+", r".", r"\S{2,4}?", "(?>a|ab)c|b",
           "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", r"(?i:the|and)", r"[^\S\r\n]+", r"\b"]


def split_pattern(empty=True):
    """Without empty, the expression matches no empty text: the library's Replace does not end on some of those."""
    if rng.random() < 0.3:
        return {"String": rng.choice([" ", "a", "th", "\u2581", ".", "e\u0301", "  "])}
    return {"Regex": rng.choice([r for r in regexes if empty or r not in (r"(?=[A-Z])", r"[a-z]*", r"(?<=\d)(?=(\d{3})+\b)", r"\b", r"^\s|\s$")])}


def normalizer():
    kind = rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Replace", "Replace", "Prepend", "BertNormalizer", "ByteLevel"])
    flag = lambda: rng.random() < 0.5
    return {"type": kind} | {
        "Strip": lambda: {"strip_left": flag(), "strip_right": flag()},
        "Replace": lambda: {"pattern": split_pattern(empty=False), "content": rng.choice(["", " ", "\u2581", "x", "yy"])},
        "Prepend": lambda: {"prepend": rng.choice(["\u2581", "a b"])},
        "BertNormalizer": lambda: {"clean_text": flag(), "handle_chinese_chars": flag(), "strip_accents": rng.choice([None, True, False]), "lowercase": flag()},
    }.get(kind, dict)()


def pre_tokenizer(kinds):
    kind = rng.choice(kinds)
    flag = lambda: rng.random() < 0.5
    return {"type": kind} | {
        "Split": lambda: {"pattern": split_pattern(), "behavior": rng.choice(behaviors), "invert": flag()},
        "Digits": lambda: {"individual_digits": flag()},
        "Punctuation": lambda: {"behavior": rng.choice(behaviors)},
        "ByteLevel": lambda: {"add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()},
        "Metaspace": lambda: {"replacement": rng.choice(["\u2581", "_"]), "prepend_scheme": rng.choice(["first", "always", "never"]), "split": flag()},
        "CharDelimiterSplit": lambda: {"delimiter": rng.choice("a \u4e2d")},
    }.get(kind, dict)()


def sequence(field, parts):
    return None if not parts else parts[0] if len(parts) == 1 else {"type": "Sequence", field: parts}


others = ["Split", "Split", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts", "CharDelimiterSplit"]


def pre_tokenizers_(base):
    parts = [pre_tokenizer(others + ["Metaspace"]) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    if base == "byte_bpe" or rng.random() < 0.1:
        parts = [p for p in parts if p["type"] != "Metaspace" or True]
        parts.append(pre_tokenizer(["ByteLevel"]))
        if rng.random() < 0.25:
            parts.append(pre_tokenizer(others))
    elif rng.random() < 0.5:
        parts.append(pre_tokenizer(["Metaspace"]))
    return sequence("pretokenizers", parts)


def decoder(base):
    if base == "byte_bpe":
        return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    kind = rng.choice(["none", "Metaspace", "WordPiece", "BPEDecoder", "llama", "llama", "ByteLevel", "strips"])
    flag = lambda: rng.random() < 0.5
    return {
        "none": None,
        "Metaspace": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": rng.choice(["first", "always", "never"]), "split": flag()},
        "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": flag()},
        "BPEDecoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "llama": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": rng.choice([0, 1, 2]), "stop": 0}]},
        "ByteLevel": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "strips": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"Regex": "[aeiou]"}, "content": "*"}, {"type": "Strip", "content": "*", "start": 1, "stop": 0}, {"type": "Fuse"}]},
    }[kind]


def post_processor():
    kind = rng.choice(["none", "template", "RobertaProcessing", "BertProcessing", "ByteLevel"])
    around = {"sep": ["</s>", 2], "cls": ["<s>", 1]}
    token = lambda name, id: {"id": name, "ids": [id], "tokens": [name]}
    return {
        "none": None,
        "template": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                     "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": token("<s>", 1)}},
        "RobertaProcessing": {"type": "RobertaProcessing", "trim_offsets": True, "add_prefix_space": False} | around,
        "BertProcessing": {"type": "BertProcessing"} | around,
        "ByteLevel": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
    }[kind]


def added(size):
    flag = lambda: rng.random() < 0.4
    names = special + [n for n in ["<mask>", "<n>", "[MASK]", "  ", "the", "\u4e2d", "caf\u00e9"] if rng.random() < 0.6]
    tokens = [(i, n) for i, n in enumerate(names)]
    return [{"id": i if i < 3 else size + i - 3, "content": n, "single_word": flag() and i > 2, "lstrip": flag() and i > 2, "rstrip": flag() and i > 2, "normalized": flag() and i > 2, "special": i < 3 or flag()} for i, n in tokens]


def ask(base, file, model, changes, writer):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what the library prints when it panics
    try:
        t = Tokenizer.from_str(json.dumps(file | {"model": model | changes}))
    except Exception:
        return writer.close()
    t.no_truncation()

    def ids(text):
        try:
            return t.encode(text, add_special_tokens=False).ids
        except BaseException:
            return None

    def back(i):
        try:
            return None if i is None else t.decode(i, skip_special_tokens=False)
        except BaseException:
            return None

    encoded = [ids(x) for x in texts]
    around = t.encode("a").ids if ids("a") is not None else None
    t.encode_special_tokens = True
    plain = [ids(x) for x in texts]
    checksum = lambda i: None if i is None else zlib.crc32(struct.pack(f"<{len(i)}I", *i))
    decoded = [back(i) for i in encoded]
    writer.send({"base": base, "file": file, "model": changes, "ids": [checksum(i) for i in encoded], "plain": [checksum(i) for i in plain],
                 "back": [None if b is None else zlib.crc32(b.encode()) for b in decoded], "around": around})


cases = {"version": tokenizers.__version__, "texts": texts, "bases": bases, "tokenizers": []}
while len(cases["tokenizers"]) < count:
    base = rng.choice(list(bases))
    model = bases[base]
    size = len(model["vocab"])
    known = {v if isinstance(v, str) else v[0] for v in model["vocab"]}
    file = {"version": "1.0", "truncation": rng.choice([None, None, {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}]), "padding": None,
            "added_tokens": [], "normalizer": sequence("normalizers", [normalizer() for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]),
            "pre_tokenizer": pre_tokenizers_(base), "post_processor": post_processor(), "decoder": decoder(base)}
    changes = {}
    if model["type"] == "BPE":
        changes = {"ignore_merges": rng.random() < 0.3, "fuse_unk": rng.random() < 0.4}
    tokens = [a for a in added(size) if a["id"] < 3 or a["content"] not in known]
    for i, a in enumerate(tokens[3:]):
        a["id"] = size + i
    file["added_tokens"] = tokens
    reader, writer = multiprocessing.Pipe(False)
    child = multiprocessing.Process(target=ask, args=(base, file, model, changes, writer))
    child.start()  # alone, since the library does not end on some normalizers
    if reader.poll(10):
        try:
            cases["tokenizers"].append(reader.recv())
        except EOFError:
            pass
    child.kill()
    child.join()
    reader.close()
    writer.close()
out.write_text(json.dumps(cases, ensure_ascii=True).replace('{"base"', '\n{"base"') + "\n")
