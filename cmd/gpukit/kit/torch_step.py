"""LLaMA training steps and products in PyTorch, to compare steplm's with.

The model is steplm's: RMSNorm, rotary embedding (halves), causal attention, SwiGLU, an own or
tied head, no biases; cross-entropy over all positions, AdamW, gradient norm clipped to 1.
Three arithmetics: fp32 (TF32 off), tf32 and bf16 (autocast, fp32 weights and states); each eager
and compiled. Prints a line of JSON for each figure as soon as it is known:
{"figure": NAME, "value": VALUE} or {"figure": NAME, "failed": WHY}.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
from torch import nn

# steplm's presets (model/presets.go): hidden, FFN, layers, heads, vocabulary, tied.
PRESETS = {
    "tiny": (96, 256, 6, 4, 1024, True),
    "15m": (288, 768, 6, 6, 32000, True),
    "60m": (512, 1376, 8, 8, 32000, False),
    "130m": (768, 2048, 12, 12, 32000, False),
    "368m": (1024, 2736, 24, 16, 32000, False),
}


class RMSNorm(nn.Module):
    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


def rotary(positions, size, device):
    frequency = 10000.0 ** (-torch.arange(0, size, 2, device=device) / size)
    angle = torch.outer(torch.arange(positions, device=device, dtype=torch.float32), frequency)
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Block(nn.Module):
    def __init__(self, hidden, ffn, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.ffn_norm = RMSNorm(hidden), RMSNorm(hidden)
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(hidden, hidden, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(hidden, ffn, bias=False) for _ in range(2))
        self.down = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x, cos, sin):
        b, t, c = x.shape
        h = self.attention_norm(x)
        q, k, v = (w(h).view(b, t, self.heads, c // self.heads).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        h = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.wo(h.transpose(1, 2).reshape(b, t, c))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, hidden, ffn, layers, heads, vocab, tied):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden)
        self.blocks = nn.ModuleList(Block(hidden, ffn, heads) for _ in range(layers))
        self.norm = RMSNorm(hidden)
        self.head = nn.Linear(hidden, vocab, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        if tied:
            self.head.weight = self.embedding.weight
        self.size = hidden // heads

    def forward(self, ids, targets):
        cos, sin = rotary(ids.shape[1], self.size, ids.device)
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run, times, device):
    """The median of `times` runs, after two that warm up."""
    taken = []
    for i in range(times + 2):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        if i >= 2:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def tell(figure, value):
    print(json.dumps({"figure": figure, "value": value}), flush=True)


ARITHMETICS = ("fp32", "tf32", "bf16")


def computing(arithmetic):
    """Sets how products compute; the context is autocast's for bf16."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arithmetic == "tf32"
    torch.set_float32_matmul_precision("high" if arithmetic == "tf32" else "highest")


def tell_steps(o, name, arithmetic, compiled):
    """Tokens per second of training steps, and the most memory that was allocated."""
    torch.manual_seed(1)
    computing(arithmetic)
    hidden, ffn, layers, heads, vocab, tied = PRESETS[name]
    model = Llama(hidden, ffn, layers, heads, vocab, tied).to(o.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    length = min(o.seq_len, 128) if name == "tiny" else o.seq_len
    ids = torch.randint(vocab, (o.batch_size, length + 1), device=o.device)
    forward = torch.compile(model) if compiled else model
    cast = contextlib.nullcontext
    if arithmetic == "bf16":
        def cast():
            return torch.autocast(o.device, dtype=torch.bfloat16)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with cast():
            loss = forward(ids[:, :-1], ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    if o.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    took = seconds(step, o.steps, o.device)
    what = f"{name}_{arithmetic}_{'compiled' if compiled else 'eager'}"
    tell(what + "_tokens_per_second", o.batch_size * length / took)
    if o.device == "cuda":
        tell(what + "_peak_bytes", float(torch.cuda.max_memory_allocated()))


def tell_product(o, arithmetic):
    """GFLOP/s of an n x n x n product, a times b transposed."""
    computing(arithmetic)
    dtype = torch.bfloat16 if arithmetic == "bf16" else torch.float32
    a, b = ((torch.rand(o.n, o.n, device=o.device) - 0.5).to(dtype) for _ in range(2))
    tell(f"matmul_{arithmetic}_gflops", 2 * o.n**3 / seconds(lambda: a @ b.T, o.steps, o.device) / 1e9)


# fp32 lanes of a multiprocessor, by compute capability.
LANES = {(6, 0): 64, (6, 1): 128, (7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128, (10, 0): 128, (12, 0): 128}


def clock():
    """The card's highest clock in Hz, or None."""
    rate = getattr(torch.cuda.get_device_properties(0), "clock_rate", 0)  # kHz
    if rate:
        return rate * 1e3
    try:
        text = subprocess.run(["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True).stdout
        return float(text.splitlines()[0]) * 1e6
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def tell_peak(o):
    """The card's fp32 GFLOP/s by its multiprocessors and clock, or as given."""
    if o.peak:
        tell("peak_gflops", o.peak)
    elif o.device == "cuda":
        p = torch.cuda.get_device_properties(0)
        lanes, hertz = LANES.get((p.major, p.minor)), clock()
        if lanes and hertz:
            tell("peak_gflops", 2 * lanes * p.multi_processor_count * hertz / 1e9)


def attempt(figure, run, *args):
    """What does not work, such as a compiler that is not there, is no reason to lose the rest."""
    try:
        run(*args)
    except Exception as e:
        lines = str(e).strip().splitlines() or [type(e).__name__]
        print(json.dumps({"figure": figure, "failed": lines[0]}), flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--models", default="130m", help="presets, with commas: " + ", ".join(PRESETS))
    a.add_argument("--batch-size", type=int, default=8)
    a.add_argument("--seq-len", type=int, default=256)
    a.add_argument("--n", type=int, default=4096, help="size of the product")
    a.add_argument("--steps", type=int, default=8, help="timed runs of each")
    a.add_argument("--peak", type=float, help="the card's fp32 GFLOP/s by its data sheet; default: by multiprocessors and clock")
    a.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    a.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    o = a.parse_args()
    names = o.models.split(",")
    for name in names:
        if name not in PRESETS:
            a.error(f"--models {name}: choose among {', '.join(PRESETS)}")
    tell("torch", torch.__version__)
    tell("torch_device", torch.cuda.get_device_name(0) if o.device == "cuda" else "cpu")
    attempt("peak_gflops", tell_peak, o)
    for arithmetic in ARITHMETICS:
        attempt(f"matmul_{arithmetic}_gflops", tell_product, o, arithmetic)
    # Eager first: compiling takes longest.
    for compiled in (False, True):
        if compiled and o.no_compile:
            break
        for name in names:
            for arithmetic in ARITHMETICS:
                figure = f"{name}_{arithmetic}_{'compiled' if compiled else 'eager'}"
                attempt(figure, tell_steps, o, name, arithmetic, compiled)


if __name__ == "__main__":
    main()
