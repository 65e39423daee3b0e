"""Writes the fixture of this folder; see README.md.

    python generate.py            # with the packages of ../growth/requirements.txt
"""

import json
import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROWTH = HERE.parent / "growth"
sys.path.insert(0, str(GROWTH))

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402

from generate import BATCH, LENGTH, SMALL  # noqa: E402
from llama import Schedule, adapters, gradient_function, linear_names  # noqa: E402

STEPS, WARM, EVERY = 14, 3, 4
FIRST, RESTART, MIN_RATIO = 2, 2, 0.1
RANK, ALPHA, KEEP = 4, 8, 0.2
PEAK_FULL, PEAK_LORA = 3e-3, 6e-3
BETA1, BETA2, EPS, DECAY, MAX_NORM = 0.9, 0.95, 1e-8, 0.1, 1.0


def jagged(s, total):
    """ReLoRA's cosine with restarts, of 0-based step s after the warm start."""
    cosine = lambda at: MIN_RATIO + (1 - MIN_RATIO) * (1 + math.cos(math.pi * (at - FIRST) / (total - FIRST))) / 2
    if s < FIRST:
        return s / FIRST
    since = s % EVERY
    if s >= EVERY and since < RESTART:
        return since / RESTART * cosine(s - since + RESTART)
    return cosine(s)


def quantile(x, p):
    """The value between two of the sorted magnitudes, at position p (n-1)."""
    magnitudes = np.sort(np.abs(np.asarray(x)).ravel())
    at = p * (len(magnitudes) - 1)
    low = int(at)
    below, above = magnitudes[low], magnitudes[low + 1]
    assert above - below > 3e-5 * above, "the threshold is too sharp for float32"
    return below + (at - low) * (above - below)


def prune(moments):
    """All but the share KEEP of LoRA's elements, those of the largest first moments, forget both moments."""
    for name in moments:
        if ".lora_" in name:
            first, second = moments[name]
            keep = jnp.abs(first) > quantile(first, 1 - KEEP)
            moments[name] = (first * keep, second * keep)


def merged(params, made):
    scale = ALPHA / RANK
    out = dict(params)
    for name in made:
        if name.endswith(".lora_A.weight"):
            linear = name.removesuffix(".lora_A.weight")
            out[linear + ".weight"] = params[linear + ".weight"] + scale * made[linear + ".lora_B.weight"] @ made[name]
    return out


def main():
    rng = np.random.default_rng(20261128)
    weights = {n: np.asarray(w, np.float64) for n, w in load_file(GROWTH / "initial" / "model.safetensors").items()}
    batches = json.loads((GROWTH / "batches.json").read_text())
    batches = [
        tuple(np.asarray(b[k], np.int64).reshape(BATCH, LENGTH) for k in ("inputs", "targets"))
        for b in batches["vanilla"] + batches["growth"]
    ]
    linears = linear_names(range(SMALL.layers))
    plans = [adapters(SMALL, range(SMALL.layers), RANK, rng) for _ in range(3)]
    before = Schedule(warmup=2, steps=STEPS, min_ratio=MIN_RATIO)

    trainable, frozen, moments, count, lora_phase = weights, {}, {}, {}, 0
    record = {"losses": [], "grad_norms": [], "lrs": []}
    merges = []
    for step in range(STEPS):
        since = step - WARM  # updates with LoRA so far
        if since == 0:
            trainable = {**{n: w for n, w in weights.items() if n not in linears}, **plans[0]}
            frozen = {n: w for n, w in weights.items() if n in linears}
            moments, count, lora_phase = {}, {}, 1
        elif since > 0 and since % EVERY == 1 and since > EVERY:
            merges.append(step)
            made = {n: w for n, w in trainable.items() if ".lora_" in n}
            frozen = {n: w for n, w in merged({**frozen, **trainable}, made).items() if n in linears}
            trainable = {**trainable, **plans[lora_phase]}
            prune(moments)
            lora_phase += 1
        scale = ALPHA / RANK if lora_phase else 0.0
        value, gradients = gradient_function(SMALL, scale)(trainable, frozen, *batches[step])
        norm = math.sqrt(sum(float(jnp.sum(g * g)) for g in gradients.values()))
        clip = min(1.0, MAX_NORM / (norm + 1e-6))
        lr = PEAK_FULL * before.at(step) if since < 0 else PEAK_LORA * jagged(since, STEPS - WARM)
        updated = {}
        for name, w in trainable.items():
            g = clip * gradients[name]
            first, second = moments.get(name, (jnp.zeros_like(w), jnp.zeros_like(w)))
            first, second = BETA1 * first + (1 - BETA1) * g, BETA2 * second + (1 - BETA2) * g * g
            moments[name] = first, second
            t = count[name] = count.get(name, 0) + 1
            decay = DECAY if w.ndim > 1 else 0.0
            direction = (first / (1 - BETA1**t)) / (jnp.sqrt(second / (1 - BETA2**t)) + EPS)
            updated[name] = w - lr * (direction + decay * w)
        trainable = updated
        if since < 0:
            weights = trainable
        record["losses"].append(float(value))
        record["grad_norms"].append(norm)
        record["lrs"].append(lr)

    f32 = lambda arrays: {n: np.asarray(a, np.float32) for n, a in arrays.items()}
    save_file(f32({**frozen, **trainable}), HERE / "final.safetensors")
    drawn = {f"{phase}.{n}": a for phase, plan in enumerate(plans) for n, a in plan.items() if ".lora_A." in n}
    save_file(f32(drawn), HERE / "lora_a.safetensors")
    settings = {
        "steps": STEPS, "warm_start": WARM, "merge_every": EVERY, "first_warmup": FIRST, "restart_warmup": RESTART,
        "min_ratio": MIN_RATIO, "rank": RANK, "alpha": ALPHA, "keep": KEEP, "peak_full": PEAK_FULL,
        "peak_lora": PEAK_LORA, "beta1": BETA1, "beta2": BETA2, "eps": EPS, "weight_decay": DECAY,
        "max_norm": MAX_NORM, "merges": merges,
    }
    lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in {**settings, **record}.items())
    (HERE / "relora.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
