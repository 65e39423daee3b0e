"""Loads an exported model as transformers does and prints what it makes of it, as JSON.

Usage: python check_export.py FOLDER

Run with transformers 4.51 and with 5.24 (and torch). TestExportInTransformers runs it where STEPLM_TRANSFORMERS names
two Pythons that have these, the older first, as /a/bin/python:/b/bin/python, and says how the goldens beside this file
are made.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

transformers.logging.set_verbosity_error()


def main(folder):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    texts = ["the cat", "a", "The dog  sat on\n the mat."]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    one = tokenizer(texts[0], return_tensors="pt")
    long = model.generate(**one)  # as far as generation_config.json lets it
    together = model.generate(**tokenizer(texts[:2], return_tensors="pt", padding=True, padding_side="left"),
                              max_new_tokens=4)
    with torch.no_grad():
        logits = model(**one).logits[0, -1]
    print(json.dumps({
        "vocabulary": len(tokenizer),
        "rows": model.get_input_embeddings().weight.shape[0],
        "bos": tokenizer.bos_token, "bos_id": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token, "eos_id": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token, "pad_id": tokenizer.pad_token_id,
        "unk": tokenizer.unk_token,
        "max_length": tokenizer.model_max_length,
        "positions": model.config.max_position_embeddings,
        "generation_eos": model.generation_config.eos_token_id,
        "generation_pad": model.generation_config.pad_token_id,
        "inputs": sorted(batch.keys()),
        "ids": batch["input_ids"].tolist(),
        "mask": batch["attention_mask"].tolist(),
        "back": [tokenizer.decode(ids, skip_special_tokens=True) for ids in batch["input_ids"]],
        "generated": long.shape[1],
        "together": together.shape[1],
        "best": int(logits.argmax()),
        "type": str(AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto").dtype),
        "chat": tokenizer.apply_chat_template([{"role": "user", "content": "the cat"}], tokenize=False)
        if tokenizer.chat_template else None,
    }, sort_keys=True))


main(sys.argv[1])
