"""Writes the fixtures of stage/trainer/testdata/growth and model/modeltest/testdata/tiny; see the README.md of each.

    python generate.py            # with the packages of requirements.txt
"""

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from llama import (
    IGNORED,
    LINEARS,
    Config,
    Optimizer,
    Schedule,
    adapters,
    gradient_function,
    grow,
    initial,
    linear_names,
    logits,
    loss,
    train,
)

GROWTH = Path(__file__).resolve().parent
TINY = GROWTH.parents[3] / "model" / "modeltest" / "testdata" / "tiny"

SMALL = Config(hidden=32, ffn=56, layers=3, heads=4, kv_heads=2, vocab=96, max_positions=24)
BATCH, LENGTH, STEPS = 2, 24, 10
OPTIMIZER = Optimizer()
# Even steps see uniform ids and odd ones Zipf's: with the small head this puts the gradient's
# norm on either side of the clip in turn, and the last step of each phase is an odd one.
STD, HEAD_STD = 0.08, 0.01
UNIFORM, PEAKED = 0.0, 1.5
BEFORE = Schedule(warmup=3, steps=14, min_ratio=0.1)
AFTER = Schedule(warmup=2, steps=10, min_ratio=0.1)
RANK, ALPHA = 4, 8

# 3 -> 6 at position upper: round 1 gives a layer to gap (1, 2), then to gap (0, 1); round 2 gives
# one more to gap (1, 2). Old blocks are 0, 2 and 5 afterwards.
ORIGINS = [
    {"below": 0, "above": 0, "weight": 0.0, "new": False},
    {"below": 0, "above": 1, "weight": float(Fraction(1, 2)), "new": True},
    {"below": 1, "above": 1, "weight": 0.0, "new": False},
    {"below": 1, "above": 2, "weight": float(Fraction(1, 3)), "new": True},
    {"below": 1, "above": 2, "weight": float(Fraction(2, 3)), "new": True},
    {"below": 2, "above": 2, "weight": 0.0, "new": False},
]


def text(rng, vocab, batch, length, exponent):
    """(B, T) inputs and targets: 60 % of ids are their predecessor's fixed successor, the others
    are drawn by Zipf's law (exponent 0: uniformly)."""
    zipf = np.arange(1, vocab + 1) ** -float(exponent)
    zipf /= zipf.sum()
    ids = np.empty((batch, length + 1), np.int64)
    ids[:, 0] = rng.choice(vocab, batch, p=zipf)
    for t in range(length):
        follow = (5 * ids[:, t] + 7) % vocab
        ids[:, t + 1] = np.where(rng.random(batch) < 0.6, follow, rng.choice(vocab, batch, p=zipf))
    return ids[:, :-1].copy(), ids[:, 1:].copy()


def save_arrays(path, arrays, metadata=None):
    save_file({name: np.asarray(a, np.float32) for name, a in arrays.items()}, path, metadata)


def save_json(path, value):
    lines = (f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def save_model(directory, config, params):
    directory.mkdir(parents=True, exist_ok=True)
    save_json(directory / "config.json", config.hugging_face())
    save_arrays(directory / "model.safetensors", params, {"format": "pt"})


def ids_of(batch):
    inputs, targets = batch
    return {"inputs": inputs.ravel().tolist(), "targets": targets.ravel().tolist()}


def growth_experiment():
    """The pure computation: everything that the files of stage/trainer/testdata/growth hold."""
    rng = np.random.default_rng(20240611)
    start = initial(SMALL, rng, STD, HEAD_STD)
    draw = lambda exponent: text(rng, SMALL.vocab, BATCH, LENGTH, exponent)
    batches = [draw(PEAKED if step % 2 else UNIFORM) for step in range(2 * STEPS)]
    held = draw(PEAKED)
    made = adapters(SMALL, [i for i, o in enumerate(ORIGINS) if not o["new"]], RANK, rng)
    tied = dataclasses.replace(SMALL, tied=True)
    tied_start = initial(tied, rng, STD, HEAD_STD)
    return run_growth(start, batches, held, made, tied, tied_start)


def run_growth(start, batches, held, made, tied, tied_start):
    first, second = batches[:STEPS], batches[STEPS:]
    before, vanilla, (vanilla_gradients,) = train(SMALL, start, {}, first, BEFORE, OPTIMIZER, keep_gradients=1)
    _, tied_record, (tied_gradients,) = train(tied, tied_start, {}, first, BEFORE, OPTIMIZER, keep_gradients=1)

    big = dataclasses.replace(SMALL, layers=len(ORIGINS))
    scale = ALPHA / RANK
    whole = grow(before, ORIGINS)
    frozen_names = linear_names(i for i, o in enumerate(ORIGINS) if not o["new"])
    frozen = {name: w for name, w in whole.items() if name in frozen_names}
    trainable = {**{name: w for name, w in whole.items() if name not in frozen_names}, **made}
    trained, growth, growth_gradients = train(
        big, trainable, frozen, second, AFTER, OPTIMIZER, scale, keep_gradients=2
    )
    final = {**frozen, **trained}
    return {
        "start": start,
        "batches": batches,
        "held": held,
        "first_logits": logits(SMALL, start, first[0][0]),
        "vanilla": vanilla,
        "vanilla_gradients": vanilla_gradients,
        "tied": tied,
        "tied_start": tied_start,
        "tied_record": tied_record,
        "tied_gradients": tied_gradients,
        "before": before,
        "adapters": made,
        "frozen": sorted(frozen),
        "trainable": sorted(trainable),
        "growth": growth,
        "growth_gradients": growth_gradients,
        "final": final,
        "held_losses": {
            "before_growth": float(loss(SMALL, before, *held)),
            "after_growth": float(loss(big, {**frozen, **trainable}, *held, scale)),
            "final": float(loss(big, final, *held, scale)),
        },
    }


def write_growth(result):
    first, second = result["batches"][:STEPS], result["batches"][STEPS:]
    save_json(
        GROWTH / "batches.json",
        {
            "batch_size": BATCH,
            "seq_len": LENGTH,
            "vanilla": [ids_of(b) for b in first],
            "growth": [ids_of(b) for b in second],
            "held": ids_of(result["held"]),
        },
    )
    optimizer = dataclasses.asdict(OPTIMIZER)
    save_model(GROWTH / "initial", SMALL, result["start"])
    save_arrays(GROWTH / "vanilla_logits.safetensors", {"logits": result["first_logits"]})
    save_arrays(GROWTH / "vanilla_gradients.safetensors", result["vanilla_gradients"])
    save_json(
        GROWTH / "vanilla.json",
        {"optimizer": optimizer, "schedule": dataclasses.asdict(BEFORE), **result["vanilla"]},
    )
    save_model(GROWTH / "tied", result["tied"], result["tied_start"])
    save_arrays(GROWTH / "tied_gradients.safetensors", result["tied_gradients"])
    save_json(
        GROWTH / "tied.json",
        {"optimizer": optimizer, "schedule": dataclasses.asdict(BEFORE), **result["tied_record"]},
    )
    save_arrays(GROWTH / "before_growth.safetensors", result["before"])
    save_arrays(
        GROWTH / "lora_a.safetensors",
        {name: w for name, w in result["adapters"].items() if ".lora_A." in name},
    )
    for step, gradients in enumerate(result["growth_gradients"], 1):
        save_arrays(GROWTH / f"growth_gradients_{step}.safetensors", gradients)
    save_arrays(GROWTH / "final.safetensors", result["final"])
    save_json(
        GROWTH / "growth.json",
        {
            "optimizer": optimizer,
            "schedule": dataclasses.asdict(AFTER),
            "origins": ORIGINS,
            "lora": {"rank": RANK, "alpha": ALPHA, "linears": list(LINEARS)},
            "frozen": result["frozen"],
            "trainable": result["trainable"],
            **result["growth"],
            "held_losses": result["held_losses"],
        },
    )


def write_tiny():
    """One step of an odd-sized, tied, grouped-query model with ignored targets and LoRA with B != 0."""
    config = Config(
        hidden=20, ffn=27, layers=2, heads=2, kv_heads=1, vocab=37, max_positions=16, tied=True, eps=1e-6
    )
    batch, length, rank, alpha = 3, 11, 3, 6
    rng = np.random.default_rng(20240612)
    base = initial(config, rng, 0.2, 0.2)
    made = adapters(config, [0], rank, rng, b_std=0.2)
    inputs, targets = text(rng, config.vocab, batch, length, UNIFORM)
    targets[0, [0, 4]] = IGNORED  # scattered
    targets[2, 7:] = IGNORED  # a padded tail

    scale = alpha / rank
    frozen_names = linear_names([0])
    frozen = {name: w for name, w in base.items() if name in frozen_names}
    trainable = {**{name: w for name, w in base.items() if name not in frozen_names}, **made}
    value, gradients = gradient_function(config, scale)(trainable, frozen, inputs, targets)
    norm = float(jnp.sqrt(sum(jnp.sum(g * g) for g in gradients.values())))

    save_model(TINY, config, base)
    save_arrays(TINY / "adapters.safetensors", made)
    save_arrays(TINY / "logits.safetensors", {"logits": logits(config, {**base, **made}, inputs, scale)})
    save_arrays(TINY / "gradients.safetensors", gradients)
    save_json(
        TINY / "step.json",
        {
            "batch_size": batch,
            "seq_len": length,
            **ids_of((inputs, targets)),
            "lora": {"rank": rank, "alpha": alpha, "layers": [0], "linears": list(LINEARS)},
            "frozen": sorted(frozen),
            "trainable": sorted(trainable),
            "counted_targets": int((targets != IGNORED).sum()),
            "loss": float(value),
            "loss_without_adapters": float(loss(config, base, inputs, targets)),
            "grad_norm": norm,
        },
    )


if __name__ == "__main__":
    write_growth(growth_experiment())
    write_tiny()
