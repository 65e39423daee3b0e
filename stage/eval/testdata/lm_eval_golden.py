"""Writes lm_eval_golden.json: what lm-evaluation-harness itself makes of made-up pages.

    python3 -m venv v && v/bin/pip install --no-deps lm_eval==0.4.13
    v/bin/pip install numpy jinja2 requests pyyaml
    v/bin/python stage/eval/testdata/lm_eval_golden.py [wiki.test.raw] > stage/eval/testdata/lm_eval_golden.json

The two functions are taken from the installed package, which is also the only
place they stand in. With wiki.test.raw the script adds the SHA-256 of its 62
detokenized pages; the text itself is not kept.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import random
import re
import sys


def installed(path):
    """Import one file of lm_eval without the package, which wants torch."""
    file = importlib.metadata.distribution("lm_eval").locate_file(path)
    spec = importlib.util.spec_from_file_location("golden_" + path.split("/")[-1][:-3], file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


task = installed("lm_eval/tasks/wikitext/preprocess_wikitext.py")
utils = installed("lm_eval/utils.py")

HAND = [
    "",
    " ",
    "\n",
    "the boys ' dog",
    "it 's the dogs ' turn 's",
    "/' 7/ and /' 12/ and ' 7/",
    "a well @-@ known 1 @,@ 000 and 3 @.@ 5 , @-@ @-@ end",
    "one : two ; three . four ! five ? six , seven",
    " , , , . . . ; ; : : ",
    "( a ) (b) ( c(d ) e ) ) ( (  )",
    "(\n two\n lines \n)",
    "[ a ] [ b [ c ] ] [ ] [\u00a0x\u2003]",
    "{ a } { b { c } } {} }{",
    "(\u000bv\u000c) [\u001cfs\u001f] {\u0085nel\u3000}",
    '" a quotation " and " an open one',
    '"   " " "" "',
    "' single ' and 'tis ' odd ' one",
    "she 's said ' it 's here ' again",
    "= = = = Deep = = = =",
    "= = = Three = = =",
    " = = Two = = \n text \n \n = One = \n",
    "= = = = = = =",
    "20 \u00b0 C and 5 \u00b0 \u00b0 N ",
    "line \n next \n \n last",
    " N N N  N ",
    "x N y's 's",
    "\u4e2d\u6587 ( \u5b57 ) \U0001f642 \" \U0001f642 \"",
    "a\u00a0b\u2009c\u200bd\ufeffe\u001ff",
]

PIECES = [
    " ", " ", " ", "\n", "\u00a0", "'", " '", "s '", "\"", "(", ")", "[", "]", "{", "}", "/", "= ", "=", "N", " N ", "'s",
    "@-@", " @,@ ", " @.@ ", ",", " . ", " ! ", " ? ", " : ", " ; ", "7", "/' 3/", "\u00b0", " \u00b0 ", "word", "s", "\u00e9", "\u2028",
]


def pages():
    yield from HAND
    r = random.Random(20240607)
    for _ in range(400):
        yield "".join(r.choice(PIECES) for _ in range(r.randint(1, 40)))


def windows():
    for length in (0, 1, 2, 4, 5, 6, 9, 10, 11, 12, 23):
        for context in (1, 2, 5, 10):
            ids = list(range(100, 100 + length))
            out = []
            for pair in utils.get_rolling_token_windows(ids, 7, context, 1):
                before, predicted = utils.make_disjoint_window(pair)
                # A model reads all but the last id and is asked for the predicted ones.
                out.append({"inputs": (before + predicted)[:-1], "predicted": predicted})
            yield {"length": length, "context": context, "windows": out}


def wikitext(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    # A title has one equals sign on either side; the pages are those of EleutherAI/wikitext_document_level.
    starts = [m.start() for m in re.finditer(r"(?m)^ = [^=].*[^=] = $", text)]
    pages = [text[a : b - 1] if b else text[a:] for a, b in zip(starts, starts[1:] + [None])]
    digest = hashlib.sha256()
    for page in pages:
        digest.update(task.wikitext_detokenizer({"page": page}).encode() + b"\0")
    return {
        "source_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "pages": len(pages),
        "words": sum(len(re.split(r"\s+", p)) for p in pages),
        "bytes": sum(len(p.encode()) for p in pages),
        "detokenized_sha256": digest.hexdigest(),
    }


golden = {
    "lm_eval": importlib.metadata.version("lm_eval"),
    "pages": [
        {"in": p, "out": task.wikitext_detokenizer({"page": p}), "words": len(re.split(r"\s+", p))} for p in pages()
    ],
    "windows": list(windows()),
}
if len(sys.argv) > 1:
    golden["wikitext"] = wikitext(sys.argv[1])


def rows(items):
    """One item a line, so that a diff can be read."""
    return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]"


print("{")
print(",\n".join(f'"{k}": {rows(v) if isinstance(v, list) else json.dumps(v)}' for k, v in golden.items()))
print("}")
