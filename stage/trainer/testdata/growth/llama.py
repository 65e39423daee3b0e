"""LLaMA, AdamW and layer growth in JAX, float64: the other side of steplm's golden tests.

Nothing here is shared with the Go code, neither source nor structure: gradients come from
jax.grad, the attention is the plain T x T softmax, and parameters are a dictionary from
Hugging Face names to arrays.

Shapes: B batch, T sequence, C hidden, F ffn, H heads, K key-value heads, D head size, V vocabulary.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

IGNORED = 0xFFFFFFFF  # a target that is left out of the loss

# The seven linears of a block, with their (out, in) dimensions as letters of the legend above;
# Q is H*D and G is K*D.
LINEARS = {
    "self_attn.q_proj": "QC",
    "self_attn.k_proj": "GC",
    "self_attn.v_proj": "GC",
    "self_attn.o_proj": "CQ",
    "mlp.gate_proj": "FC",
    "mlp.up_proj": "FC",
    "mlp.down_proj": "CF",
}
NORMS = ("input_layernorm", "post_attention_layernorm")


@dataclass(frozen=True)
class Config:
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    max_positions: int
    tied: bool = False
    eps: float = 1e-5
    theta: float = 10000.0

    @property
    def head_size(self):
        return self.hidden // self.heads

    def linear_shape(self, linear):
        sizes = {
            "C": self.hidden,
            "F": self.ffn,
            "Q": self.heads * self.head_size,
            "G": self.kv_heads * self.head_size,
        }
        return tuple(sizes[letter] for letter in LINEARS[linear])

    def hugging_face(self):
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": self.eps,
            "rope_theta": self.theta,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": "float32",
        }


def f32(x):
    """Rounds to float32 values, kept as float64."""
    return np.asarray(x).astype(np.float32).astype(np.float64)


def initial(config, rng, std, head_std):
    """Matrices from N(0, std^2), norms 1 + 0.1 N(0, 1); every value is a float32."""
    norm = lambda: f32(1 + 0.1 * rng.standard_normal(config.hidden))
    matrix = lambda out, into, std=std: f32(std * rng.standard_normal((out, into)))
    params = {"model.embed_tokens.weight": matrix(config.vocab, config.hidden)}
    for layer in range(config.layers):
        at = f"model.layers.{layer}."
        for name in NORMS:
            params[f"{at}{name}.weight"] = norm()
        for name in LINEARS:
            params[f"{at}{name}.weight"] = matrix(*config.linear_shape(name))
    params["model.norm.weight"] = norm()
    if not config.tied:
        params["lm_head.weight"] = matrix(config.vocab, config.hidden, head_std)
    return params


def rms_norm(x, weight, eps):
    return weight * x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)


def rope(x, theta):
    """Rotary embedding, rotate-half layout; x is (B, T, heads, D)."""
    half = x.shape[-1] // 2
    frequency = theta ** (-jnp.arange(half, dtype=x.dtype) / half)
    angle = jnp.arange(x.shape[1], dtype=x.dtype)[:, None] * frequency  # (T, D/2)
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def logits(config, params, ids, lora_scale=0.0):
    """(B, T) ids to (B, T, V) logits; adapters take part wherever params has them."""

    def linear(x, name):
        y = x @ params[name + ".weight"].T
        if name + ".lora_A.weight" in params:
            low = x @ params[name + ".lora_A.weight"].T
            y = y + lora_scale * (low @ params[name + ".lora_B.weight"].T)
        return y

    batch, length = ids.shape
    size = config.head_size
    causal = jnp.tril(jnp.ones((length, length), bool))
    x = params["model.embed_tokens.weight"][ids]
    for layer in range(config.layers):
        at = f"model.layers.{layer}."
        h = rms_norm(x, params[at + "input_layernorm.weight"], config.eps)
        split = lambda y, heads: y.reshape(batch, length, heads, size)
        q = rope(split(linear(h, at + "self_attn.q_proj"), config.heads), config.theta)
        k = rope(split(linear(h, at + "self_attn.k_proj"), config.kv_heads), config.theta)
        v = split(linear(h, at + "self_attn.v_proj"), config.kv_heads)
        shared = config.heads // config.kv_heads  # query heads per key-value head
        k, v = jnp.repeat(k, shared, axis=2), jnp.repeat(v, shared, axis=2)
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / math.sqrt(size)
        weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        mixed = jnp.einsum("bhts,bshd->bthd", weights, v).reshape(batch, length, -1)
        x = x + linear(mixed, at + "self_attn.o_proj")

        h = rms_norm(x, params[at + "post_attention_layernorm.weight"], config.eps)
        gate = jax.nn.silu(linear(h, at + "mlp.gate_proj"))
        x = x + linear(gate * linear(h, at + "mlp.up_proj"), at + "mlp.down_proj")
    x = rms_norm(x, params["model.norm.weight"], config.eps)
    head = params["model.embed_tokens.weight" if config.tied else "lm_head.weight"]
    return x @ head.T


def loss(config, params, inputs, targets, lora_scale=0.0):
    """Mean next-token cross-entropy, natural logarithm, over the targets that are not IGNORED."""
    counted = targets != IGNORED
    log_probs = jax.nn.log_softmax(logits(config, params, inputs, lora_scale), axis=-1)
    picked = jnp.take_along_axis(log_probs, jnp.where(counted, targets, 0)[..., None], axis=-1)[..., 0]
    return -jnp.sum(jnp.where(counted, picked, 0.0)) / jnp.sum(counted)


@lru_cache
def gradient_function(config, lora_scale=0.0):
    """Compiles (trainable, frozen, inputs, targets) -> (loss, gradients of trainable)."""
    whole = lambda trainable, frozen, inputs, targets: loss(
        config, {**frozen, **trainable}, inputs, targets, lora_scale
    )
    return jax.jit(jax.value_and_grad(whole))


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a cosine from 1 to min_ratio."""

    warmup: int
    steps: int
    min_ratio: float

    def at(self, step):
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / (self.steps - self.warmup)
        return self.min_ratio + (1 - self.min_ratio) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Optimizer:
    """AdamW with decoupled decay (none on vectors), after clipping by the global norm."""

    peak_lr: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    max_norm: float = 1.0


def train(config, trainable, frozen, batches, schedule, optimizer, lora_scale=0.0, keep_gradients=0):
    """Trains for one step per batch with fresh moments.

    Returns the trained parameters, a record of scalars per step, and the raw (unclipped)
    gradients of the first keep_gradients steps.
    """
    gradients_of = gradient_function(config, lora_scale)
    first = {name: jnp.zeros_like(w) for name, w in trainable.items()}
    second = dict(first)
    record = {"losses": [], "grad_norms": [], "clipped": [], "lrs": []}
    kept = []
    for step, (inputs, targets) in enumerate(batches):
        value, gradients = gradients_of(trainable, frozen, inputs, targets)
        if step < keep_gradients:
            kept.append(gradients)
        norm = math.sqrt(sum(float(jnp.sum(g * g)) for g in gradients.values()))
        scale = min(1.0, optimizer.max_norm / (norm + 1e-6))
        lr = optimizer.peak_lr * schedule.at(step)
        updated = {}
        for name, w in trainable.items():
            g = scale * gradients[name]
            first[name] = optimizer.beta1 * first[name] + (1 - optimizer.beta1) * g
            second[name] = optimizer.beta2 * second[name] + (1 - optimizer.beta2) * g * g
            unbiased_first = first[name] / (1 - optimizer.beta1 ** (step + 1))
            unbiased_second = second[name] / (1 - optimizer.beta2 ** (step + 1))
            decay = optimizer.weight_decay if w.ndim > 1 else 0.0
            updated[name] = w - lr * (unbiased_first / (jnp.sqrt(unbiased_second) + optimizer.eps) + decay * w)
        trainable = updated
        record["losses"].append(float(value))
        record["grad_norms"].append(norm)
        record["clipped"].append(scale < 1)
        record["lrs"].append(lr)
    return trainable, record, kept


def grow(params, origins):
    """Builds the deeper model: block i is (1-weight)*below + weight*above of the old blocks."""
    grown = {name: w for name, w in params.items() if ".layers." not in name}
    tails = [name.removeprefix("model.layers.0.") for name in params if name.startswith("model.layers.0.")]
    for layer, origin in enumerate(origins):
        for tail in tails:
            below = params[f"model.layers.{origin['below']}.{tail}"]
            above = params[f"model.layers.{origin['above']}.{tail}"]
            weight = origin["weight"]
            grown[f"model.layers.{layer}.{tail}"] = (1 - weight) * below + weight * above if origin["new"] else below
    return grown


def adapters(config, layers, rank, rng, b_std=0.0):
    """LoRA on all seven linears: A uniform in +-1/sqrt(in), B zero or from N(0, b_std^2)."""
    made = {}
    for layer in layers:
        for linear in LINEARS:
            out, into = config.linear_shape(linear)
            at = f"model.layers.{layer}.{linear}"
            bound = 1 / math.sqrt(into)
            made[at + ".lora_A.weight"] = f32(rng.uniform(-bound, bound, (rank, into)))
            made[at + ".lora_B.weight"] = f32(b_std * rng.standard_normal((out, rank)))
    return made


def linear_names(layers):
    return {f"model.layers.{layer}.{linear}.weight" for layer in layers for linear in LINEARS}
