"""Writes families.json: hard strings and, for real vocabularies of three families, a checksum of each one's ids.

Made with Hugging Face tokenizers 0.23.3, sentencepiece 0.2.3 and Python 3.11.
Usage: pip install tokenizers==0.23.3 sentencepiece==0.2.3 && python make_families.py TOKENIZERS
TOKENIZERS holds gpt2/vocab.json, gpt2/merges.txt, neox/20B_tokenizer.json and llama2/tokenizer.model.

texts     hard strings
families  by name: CRC-32 of the ids of every text, each id 4 bytes, little-endian
          gpt2    GPT-2
          llama3  GPT-2's vocabulary under Llama 3's pattern
          nfkc    the same after NFKC
          neox    GPT-NeoX
          llama2  Llama 2, by SentencePiece
"""

import json
import pathlib
import random
import struct
import sys
import zlib

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
assert sentencepiece.__version__ == "0.2.3", sentencepiece.__version__
given = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).parent
rng = random.Random(20251126)

gpt2 = Tokenizer(models.BPE.from_file(str(given / "gpt2/vocab.json"), str(given / "gpt2/merges.txt")))
gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
gpt2.decoder = decoders.ByteLevel()
gpt2.add_special_tokens(["<|endoftext|>"])
variants = json.loads((here / "cases.json").read_text())["variants"]
definition = json.loads(gpt2.to_str()) | next(v["patch"] for v in variants if v["name"] == "llama3")
llama3 = Tokenizer.from_str(json.dumps(definition))
nfkc = Tokenizer.from_str(json.dumps(definition | {"normalizer": {"type": "NFKC"}}))
neox = Tokenizer.from_file(str(given / "neox/20B_tokenizer.json"))
llama2 = sentencepiece.SentencePieceProcessor(model_file=str(given / "llama2/tokenizer.model"))


def runes(low, high):
    return [chr(c) for c in range(low, high)]


words = (here / "corpus.txt").read_text(encoding="utf-8").split()
pools = [words] * 5 + [
    list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), list("0123456789.,-_/\\"), [" ", "  ", "   ", "\n", "\t", "\r\n", "\n\n", "\u00a0", "\u2003", "\u3000", "\u0085"],
    runes(0x300, 0x370), runes(0x4E00, 0x9FFF), runes(0x1100, 0x1200), runes(0x1F300, 0x1F9FF) + ["\u200d", "\ufe0f"], runes(0xA0, 0x250), runes(0x900, 0x980), runes(0x600, 0x700),
    runes(0xAC00, 0xD7A3), runes(0x3040, 0x30FF), runes(0x400, 0x500), ["'s", "'LL", "'re", "'\u017f", "<|endoftext|>", "<|endoftext", "'", "\u2019"], runes(0, 0x20), runes(0x105C0, 0x105F0),
    runes(0x1D400, 0x1D7FF), runes(0xFF00, 0xFFEF), runes(0x2150, 0x2190)]
texts = []
while len(texts) < 600:
    mine = rng.sample(pools, rng.randint(1, 6))
    texts.append(rng.choice(["", " ", "", "\n"]).join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 30))))


def checksum(ids):
    return zlib.crc32(struct.pack("<%dI" % len(ids), *ids))


families = {name: [checksum(t.encode(text, add_special_tokens=False).ids) for text in texts] for name, t in {"gpt2": gpt2, "llama3": llama3, "nfkc": nfkc, "neox": neox}.items()}
families["llama2"] = [checksum(llama2.encode(text)) for text in texts]
(here / "families.json").write_text(json.dumps({"texts": texts, "families": families}).replace('", "', '",\n"').replace('], "', '],\n"') + "\n")
