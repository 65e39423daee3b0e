"""Prints what docs/gpu/run.sh measured as ratios, from the JSON files in its folder."""

import json
import pathlib
import sys


def read(name):
    path = pathlib.Path(sys.argv[1]) / name
    return json.loads(path.read_text()) if path.exists() and path.stat().st_size else {}


def main():
    product, step, torch = read("matmul.json"), read("step.json"), read("torch.json")
    if not product or not step:
        sys.exit(f"{sys.argv[1]} has no matmul.json or no step.json: run docs/gpu/run.sh")
    gflops, tokens = product["gflops"], step["tokens_per_second"]
    print(f"steplm on {product['device']}: {gflops:.0f} GFLOP/s ({product['variant']}), {tokens:.0f} tokens/s")
    print(f"PyTorch {torch['torch']} on {torch['device']}" if torch else "PyTorch is not here: nothing to compare with")
    for what, got, of, asked in (
        ("product, of the card's fp32 peak", gflops, torch.get("peak_gflops"), ">= 0.5"),
        ("product, of PyTorch's", gflops, torch.get("matmul_gflops"), ""),
        ("step, of PyTorch fp32 eager", tokens, torch.get("eager_tokens_per_second"), ">= 0.8"),
        ("step, of PyTorch fp32 compiled", tokens, torch.get("compiled_tokens_per_second"), ""),
    ):
        print(f"{what:34} {f'{got / of:.2f}' if of else '-':>6}  {asked:7}  {f'({got:.0f} of {of:.0f})' if of else 'not measured'}")


if __name__ == "__main__":
    main()
