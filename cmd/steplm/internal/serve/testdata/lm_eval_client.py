"""What lm-evaluation-harness makes of a steplm server beside transformers: python lm_eval_client.py URL MODEL TOKENIZER.

Prints one JSON object. TestLMEvaluationHarness runs it where STEPLM_LM_EVAL names a Python that has lm_eval.
"""
import json
import sys
from importlib.metadata import version

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalCompletionsAPI

url, model, tokenizer = sys.argv[1:]
pairs = [
    ("Once upon a time", ", there was a little girl named"),
    ("Once upon a time", " dragons ate the moon"),
    ("Tom had a", " big box."),
    ("Tom had a", " serious discussion"),
    ("Lily went to the park", " with her mom"),
    ("Lily went to the park", "."),
    ("The dog was", " very happy"),
    ("The dog was", " x"),
    ("She said", ', "Hi'),
    ("One day", ","),
]


def requests(kind, list_):
    return [Instance(request_type=kind, doc={}, arguments=a, idx=i) for i, a in enumerate(list_)]


def api(**more):
    return LocalCompletionsAPI(base_url=url + "/v1/completions", model="small", batch_size=4, num_concurrent=1, max_length=512, **more)


ours = api(tokenizer=tokenizer, tokenizer_backend="huggingface")
theirs = HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", dtype="float32", batch_size=1, add_bos_token=False)
remote = api()  # asks the server whether it tokenizes
assert remote.tokenizer_backend == "remote", remote.tokenizer_backend
says = {"version": version("lm_eval")}
for name, lm in {"ours": ours, "theirs": theirs, "remote": remote}.items():
    says[name] = [[x, float(greedy)] for x, greedy in lm.loglikelihood(requests("loglikelihood", pairs), disable_tqdm=True)]
says["generated"] = ours.generate_until(
    requests("generate_until", [("Once upon a time", {"until": ["girl"], "max_gen_toks": 20})]), disable_tqdm=True
)
print(json.dumps(says))
