"""Loads an exported adapter as peft does and prints the logits that it gives, as JSON.

Usage: python check_peft.py FOLDER IDS

Run with peft 0.21 and transformers 5.24 (and torch). TestPEFTInPeft runs it where STEPLM_PEFT names a Python that has
these, and says how the golden beside this file is made. IDs are separated by commas.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

transformers.logging.set_verbosity_error()


def main(folder, ids):
    # By the base that adapter_config.json names, as people load an adapter.
    model = peft.AutoPeftModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    loaded = peft.get_peft_model_state_dict(model)
    stored = load_file(folder + "/adapter_model.safetensors")
    tokens = torch.tensor([[int(i) for i in ids.split(",")]])
    with torch.no_grad():
        logits = model(tokens).logits[0]
        with model.disable_adapter():
            base = model(tokens).logits[0]
        merged = model.merge_and_unload()(tokens).logits[0]
    print(json.dumps({
        "version": peft.__version__,
        "loaded": sorted(loaded) == sorted(stored) and all(torch.equal(loaded[n].float(), stored[n]) for n in stored),
        "tensors": len(stored),
        "logits": [[round(float(x), 6) for x in row] for row in logits],
        "base_differs": float((logits - base).abs().max()) > 0.1,
        "merged": float((logits - merged).abs().max()),
    }))


main(sys.argv[1], sys.argv[2])
