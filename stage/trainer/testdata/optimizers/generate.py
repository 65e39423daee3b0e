"""Ten losses of GaLore, APOLLO-Mini and SCALE in float64: the other side of TestOptimizersFixture.

    python generate.py > losses.json    # requirements: ../growth/requirements.txt

The model, its start and the batches are those of ../growth, and so is the gradient; the rules are
written here from the papers and what their code does, with a full decomposition for GaLore and the
random numbers of APOLLO-Mini in whole numbers and float64. Nothing is shared with the Go code.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np

GROWTH = Path(__file__).resolve().parents[1] / "growth"
sys.path.insert(0, str(GROWTH))

import check  # noqa: E402
import llama  # noqa: E402

EVERY, BETA1, BETA2, DECAY, MAX_NORM = 3, 0.9, 0.999, 0.1, 1.0
OURS = {
    "self_attn.q_proj": "wq",
    "self_attn.k_proj": "wk",
    "self_attn.v_proj": "wv",
    "self_attn.o_proj": "wo",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}


def kind(name):
    if "embed_tokens" in name:
        return "embedding"
    if "lm_head" in name:
        return "head"
    return "norm" if "norm" in name else "linear"


def length(x):
    return math.sqrt(float(np.sum(x * x)))


class Adam:
    """Moments, and the direction with epsilon outside of the bias correction."""

    def __init__(self, shape, eps=1e-6):
        self.m, self.v, self.eps, self.t = np.zeros(shape), np.zeros(shape), eps, 0

    def direction(self, g):
        self.t += 1
        self.m = BETA1 * self.m + (1 - BETA1) * g
        self.v = BETA2 * self.v + (1 - BETA2) * g * g
        return self.m / (np.sqrt(self.v) + self.eps)

    def correction(self):
        return math.sqrt(1 - BETA2**self.t) / (1 - BETA1**self.t)


class AdamRest:
    """What GaLore and APOLLO do to everything but linears: the decay is of the new weight."""

    def __init__(self, name, w):
        self.adam, self.decay = Adam(w.shape), DECAY if w.ndim > 1 else 0.0

    def update(self, w, g, lr):
        n = self.adam.direction(g)
        w = w - lr * self.adam.correction() * n
        return w - lr * self.decay * w


class GaLore:
    RANK, SCALE = 4, 0.25

    def __init__(self, name, w):
        self.adam = None

    def update(self, w, g, lr):
        wide = g.shape[0] < g.shape[1]
        side = g.T if wide else g  # the shorter side is columns
        if self.adam is None or self.adam.t % EVERY == 0:
            vectors = np.linalg.svd(side, full_matrices=False)[2][: self.RANK]
            for v in vectors:
                v *= np.sign(v[np.argmax(np.abs(v))])
            self.basis = vectors
        r = side @ self.basis.T
        self.adam = self.adam or Adam(r.shape)
        u = self.SCALE * self.adam.direction(r) @ self.basis
        w = w - lr * self.adam.correction() * (u.T if wide else u)
        return w - lr * DECAY * w


class Mini:
    """APOLLO-Mini, of rank 1, with our own random projection."""

    SCALE, SEED = 128.0, 1

    def __init__(self, name, w):
        _, _, layer, rest = name.split(".", 3)
        self.name = f"blocks.{layer}." + OURS[rest.removesuffix(".weight")]
        self.adam, self.norm = None, None

    def projection(self, n, number):
        key = 0x811C9DC5
        for byte in self.name.encode():
            key = (key ^ byte) * 0x01000193 & 0xFFFFFFFF
        key ^= self.SEED * 0x9E3779B1 & 0xFFFFFFFF
        return np.array([normal(place, key, number) for place in range(n)])

    def update(self, w, g, lr):
        wide = g.shape[0] < g.shape[1]
        side = g.T if wide else g
        t = 0 if self.adam is None else self.adam.t
        r = side @ self.projection(side.shape[1], t // EVERY)
        self.adam = self.adam or Adam(r.shape)
        u = g * length(self.adam.direction(r)) / (length(r) + 1e-8)
        limit = 1.0 if self.norm is None else max(length(u) / (self.norm + 1e-8), 1.01) / 1.01
        u /= limit
        self.norm = length(u)
        w = w - lr * self.adam.correction() * math.sqrt(self.SCALE) * u
        return w - lr * DECAY * w


def normal(place, key, count):
    """The normal number of a place: pcg4d, then Box and Muller."""
    mask = 0xFFFFFFFF
    v = [(x * 1664525 + 1013904223) & mask for x in (place // 4, key, count, 0x9E3779B9)]

    def mix():
        for a, b, c in ((0, 1, 3), (1, 2, 0), (2, 0, 1), (3, 1, 2)):
            v[a] = (v[a] + v[b] * v[c]) & mask

    mix()
    v[:] = [x ^ (x >> 16) for x in v]
    mix()
    pair = place // 2 % 2
    radius = math.sqrt(-2 * math.log(((v[pair] >> 8) + 1) / 2**24))
    angle = 2 * math.pi * (v[2 + pair] >> 8) / 2**24
    return radius * (math.sin(angle) if place % 2 else math.cos(angle))


class Scale:
    def __init__(self, name, w):
        self.kind, self.momentum, self.adam = kind(name), np.zeros(w.shape), Adam(w.shape, 1e-8)

    def update(self, w, g, lr):
        if self.kind == "norm":
            n = self.adam.direction(g)
            return w - 20 * lr * self.adam.correction() * n
        if self.kind == "head":
            self.momentum = 0.9 * self.momentum + 0.1 * g
            g = self.momentum
        axis = 0 if self.kind == "embedding" else 1
        u = g / np.maximum(np.sqrt(np.mean(g * g, axis=axis, keepdims=True)), 1e-8)
        return (1 - lr * DECAY) * w - lr * u


RULES = {
    "galore": (lambda name, w: (GaLore if kind(name) == "linear" else AdamRest)(name, w), 0.01),
    "apollo-mini": (lambda name, w: (Mini if kind(name) == "linear" else AdamRest)(name, w), 0.003),
    "scale": (Scale, 0.002),
}


def main():
    fixture = check.Fixture()
    schedule = llama.Schedule(**fixture.records["vanilla"]["schedule"])
    out = {"every": EVERY, "weight_decay": DECAY, "max_norm": MAX_NORM, "schedule": dataclasses.asdict(schedule), "runs": {}}
    for optimizer, (rule, peak) in RULES.items():
        config, params = fixture.model("initial")
        rules = {name: rule(name, w) for name, w in params.items()}
        losses, norms = [], []
        for step, batch in enumerate(fixture.steps("vanilla")):
            value, gradients = llama.gradient_function(config)(params, {}, *batch)
            gradients = {name: np.asarray(g) for name, g in gradients.items()}
            norm = math.sqrt(sum(length(g) ** 2 for g in gradients.values()))
            share = min(1.0, MAX_NORM / (norm + 1e-6))
            lr = peak * schedule.at(step)
            params = {name: rules[name].update(w, share * gradients[name], lr) for name, w in params.items()}
            losses.append(float(value))
            norms.append(norm)
        out["runs"][optimizer] = {"lr": peak, "losses": losses, "grad_norms": norms}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
