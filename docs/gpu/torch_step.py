"""A LLaMA training step in PyTorch fp32, to compare `steplm bench step` with.

The model is steplm's: RMSNorm, rotary embedding (halves), causal attention, SwiGLU, an own or
tied head, no biases; cross-entropy over all positions, AdamW, gradient norm clipped to 1.
TF32 is off. Prints JSON: the card, the rate of a product, and tokens/s eager and compiled.
"""

import argparse
import json
import statistics
import sys
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


def step_rate(o, compiled):
    """Tokens per second of training steps."""
    torch.manual_seed(1)
    hidden, ffn, layers, heads, vocab, tied = PRESETS[o.model]
    model = Llama(hidden, ffn, layers, heads, vocab, tied).to(o.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    ids = torch.randint(vocab, (o.batch_size, o.seq_len + 1), device=o.device)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        forward(ids[:, :-1], ids[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return o.batch_size * o.seq_len / seconds(step, o.steps, o.device)


def product_rate(o):
    """GFLOP/s of an n x n x n product, a times b transposed, in fp32."""
    a, b = (torch.rand(o.n, o.n, device=o.device) - 0.5 for _ in range(2))
    return 2 * o.n**3 / seconds(lambda: a @ b.T, o.steps, o.device) / 1e9


# fp32 lanes of a multiprocessor, by compute capability.
LANES = {(6, 0): 64, (6, 1): 128, (7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128, (10, 0): 128, (12, 0): 128}


def peak(o):
    """The card's fp32 GFLOP/s by its multiprocessors and clock; None where they are not known."""
    if o.peak:
        return o.peak
    if o.device != "cuda":
        return None
    p = torch.cuda.get_device_properties(0)
    lanes, clock = LANES.get((p.major, p.minor)), getattr(p, "clock_rate", 0)  # kHz
    return 2 * lanes * p.multi_processor_count * clock / 1e6 if lanes and clock else None


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", default="130m", choices=PRESETS)
    a.add_argument("--batch-size", type=int, default=8)
    a.add_argument("--seq-len", type=int, default=256)
    a.add_argument("--n", type=int, default=4096, help="size of the product")
    a.add_argument("--steps", type=int, default=10, help="timed runs of each")
    a.add_argument("--peak", type=float, help="the card's fp32 GFLOP/s by its data sheet; default: by multiprocessors and clock")
    a.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    a.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    o = a.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    out = {
        "device": torch.cuda.get_device_name(0) if o.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "peak_gflops": peak(o),
        "matmul_gflops": product_rate(o),
        "eager_tokens_per_second": step_rate(o, compiled=False),
    }
    if not o.no_compile:
        try:
            out["compiled_tokens_per_second"] = step_rate(o, compiled=True)
        except Exception as e:  # a compiler that is not there is no reason to lose the rest
            print("torch.compile failed:", str(e).strip().splitlines()[0], file=sys.stderr)
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
