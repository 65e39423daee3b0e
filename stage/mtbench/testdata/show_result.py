"""Makes show_result.json: random judgments, and what FastChat's show_result prints of them.

    python show_result.py > show_result.json     (fschat 0.2.36, pandas 3.1.1)
"""
import contextlib, io, json, random, sys, tempfile
from types import SimpleNamespace
from fastchat.llm_judge import show_result

random.seed(3)
KINDS = [lambda: random.randint(1, 10), lambda: 7, lambda: random.choice([7, 8]), lambda: random.choice([6.5, 8.25]),
         lambda: random.choice([-1, 5]), lambda: 0, lambda: random.choice([1, 1234567]), lambda: 10 ** 9 + 0.5]
cases = []
for n in range(16):
    models = ["m%d" % i if n % 3 else "a model with a longer name, %d" % i for i in range(1 + n % 5)]
    kind = KINDS[n % len(KINDS)]
    rows = [{"question_id": q, "model": m, "score": kind(), "turn": t}
            for m in models for q in range(random.randint(2, 6)) for t in (1, 2)]
    rows += [{"question_id": 99, "model": m, "score": 5, "turn": t} for m in models for t in (1, 2)]
    cases.append({"mode": "single", "rows": rows})
for n in range(8):
    models = ["m%d" % i for i in range(2 + n % 4)]
    rows = [{"question_id": q, "model_1": a, "model_2": b, "g1_winner": random.choice(W),
             "g2_winner": random.choice(W), "turn": 1}
            for W in [["model_1", "model_2", "tie", "error"][:1 + n % 4] + ["tie"] * (n % 2)]
            for i, a in enumerate(models) for b in models[i + 1:] for q in range(4)]
    rows += [dict(rows[0], model_1=a, model_2=b, g1_winner="tie", g2_winner="tie", question_id=99)
             for i, a in enumerate(models) for b in models[i + 1:]]
    cases.append({"mode": "pairwise-all" if n % 2 else "pairwise-baseline", "rows": rows})
for case in cases:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write("".join(json.dumps(r) + "\n" for r in case["rows"]))
        f.flush()
        out = io.StringIO()
        baseline = "m0" if case["mode"] == "pairwise-baseline" else None
        args = SimpleNamespace(bench_name="mt_bench", input_file=f.name, judge_model="", baseline_model=baseline,
                               model_list=None, mode=case["mode"])
        with contextlib.redirect_stdout(out):
            print("Mode: " + case["mode"])
            (show_result.display_result_single if case["mode"] == "single" else
             show_result.display_result_pairwise)(args)
        case["text"] = out.getvalue().replace(f.name, "FILE")
json.dump(cases, sys.stdout)
