"""Checks llama.py, and the fixtures as written, against others; prints the largest deviations.

    python check.py models DIR    # tiny_llama and stories260K below DIR: logits, loss, gradients
    python check.py float32       # the whole experiment again in float32: what rounding alone does
    python check.py transformers  # the whole experiment again in PyTorch (requirements-check.txt)
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import llama

GROWTH = Path(__file__).resolve().parent
TINY = GROWTH.parents[3] / "model" / "modeltest" / "testdata" / "tiny"


def config_of(hf):
    return llama.Config(
        hidden=hf["hidden_size"],
        ffn=hf["intermediate_size"],
        layers=hf["num_hidden_layers"],
        heads=hf["num_attention_heads"],
        kv_heads=hf["num_key_value_heads"],
        vocab=hf["vocab_size"],
        max_positions=hf["max_position_embeddings"],
        tied=hf["tie_word_embeddings"],
        eps=hf["rms_norm_eps"],
        theta=hf["rope_theta"],
    )


def read_json(path):
    return json.loads(path.read_text())


def load64(path):
    return {name: w.astype(np.float64) for name, w in load_file(path).items()}


def batch_of(group, batch):
    shape = (group["batch_size"], group["seq_len"])
    return tuple(np.array(batch[key]).reshape(shape) for key in ("inputs", "targets"))


def worst(got, want):
    """Largest absolute deviation over all arrays, each relative to its own largest element."""
    got, want = dict(got), dict(want)
    assert got.keys() == want.keys(), got.keys() ^ want.keys()
    share = lambda g, w: np.abs(np.asarray(g) - w).max() / max(np.abs(w).max(), 1e-30)
    return max((float(share(got[name], want[name])), name) for name in want)


def worst_relative(got, want):
    return float(np.max(np.abs(np.array(got) / np.array(want) - 1)))


def check_models(directory):
    tiny = directory / "tiny_llama"
    golden = read_json(tiny / "tiny_llama_logits.json")
    config = config_of(golden["config"])
    params = load64(tiny / "tiny_llama.safetensors")
    params = {name: w for name, w in params.items() if "rotary_emb" not in name}
    ids = np.array(golden["sequences"])
    deviation = np.abs(llama.logits(config, params, ids) - np.array(golden["logits"])).max()
    print(f"tiny_llama logits: {deviation:.1e} absolute")

    golden = read_json(tiny / "tiny_llama_golden_grads.json")
    ids = np.array(golden["sequences"])
    value, gradients = llama.gradient_function(config)(params, {}, ids[:, :-1], ids[:, 1:])
    want = {name: np.array(g) for name, g in golden["grads"].items()}
    print(f"tiny_llama loss: {worst_relative(float(value), golden['mean_nll']):.1e} relative")
    print("tiny_llama gradients: %.1e of the tensor's largest element (%s)" % worst(gradients, want))

    stories = directory / "stories260K"
    config = config_of(read_json(stories / "config.json"))
    params = load64(stories / "model.safetensors")
    want = np.fromfile(stories / "golden_logits.f32", "<f4").reshape(-1, config.vocab)
    got = np.concatenate(
        [
            llama.logits(config, params, np.array([sequence["tokens"]]))[0]
            for sequence in read_json(stories / "golden.json")["sequences"]
        ]
    )
    assert got.shape == want.shape, (got.shape, want.shape)
    print(f"stories260K logits: {np.abs(got - want).max():.1e} absolute, {len(want)} positions")


class Fixture:
    """Everything a replay needs, read from the files as any other consumer would."""

    def __init__(self):
        self.batches = read_json(GROWTH / "batches.json")
        self.records = {name: read_json(GROWTH / f"{name}.json") for name in ("vanilla", "tied", "growth")}
        self.gradients = {
            name: load64(GROWTH / f"{name}.safetensors")
            for name in ("vanilla_gradients", "tied_gradients", "growth_gradients_1", "growth_gradients_2")
        }
        self.final = load64(GROWTH / "final.safetensors")
        self.before = load64(GROWTH / "before_growth.safetensors")

    def model(self, name):
        config = config_of(read_json(GROWTH / name / "config.json"))
        return config, load64(GROWTH / name / "model.safetensors")

    def steps(self, name):
        return [batch_of(self.batches, b) for b in self.batches[name]]

    def adapters(self, config):
        """A from its file, B zero."""
        made = load64(GROWTH / "lora_a.safetensors")
        for name in list(made):
            layer, linear = name.removeprefix("model.layers.").removesuffix(".lora_A.weight").split(".", 1)
            out, _ = config.linear_shape(linear)
            rank = self.records["growth"]["lora"]["rank"]
            made[f"model.layers.{layer}.{linear}.lora_B.weight"] = np.zeros((out, rank))
        return made

    def report(self, name, record, gradients):
        want = self.records[name]
        print(
            f"{name}: losses {worst_relative(record['losses'], want['losses']):.1e},"
            f" norms {worst_relative(record['grad_norms'], want['grad_norms']):.1e} relative"
        )
        files = ["growth_gradients_1", "growth_gradients_2"] if name == "growth" else [f"{name}_gradients"]
        for file, got in zip(files, gradients, strict=True):
            nonzero = {n: g for n, g in self.gradients[file].items() if np.abs(g).max() > 0}
            print("  %s: %.1e of the tensor's largest element (%s)" % (file, *worst({n: got[n] for n in nonzero}, nonzero)))

    def report_weights(self, name, got):
        want = getattr(self, name)
        deviation = max((float(np.abs(np.asarray(got[n]) - w).max()), n) for n, w in want.items())
        print("  %s weights: %.1e absolute (%s)" % (name, *deviation))


def check_float32():
    fixture = Fixture()
    f32 = lambda params: {name: np.float32(w) for name, w in params.items()}
    optimizer = llama.Optimizer(**fixture.records["vanilla"]["optimizer"])
    schedule = llama.Schedule(**fixture.records["vanilla"]["schedule"])
    for name, model in (("tied", "tied"), ("vanilla", "initial")):
        config, params = fixture.model(model)
        before, record, gradients = llama.train(
            config, f32(params), {}, fixture.steps("vanilla"), schedule, optimizer, keep_gradients=1
        )
        fixture.report(name, record, gradients)
    fixture.report_weights("before", before)

    growth = fixture.records["growth"]
    big = dataclasses.replace(config, layers=len(growth["origins"]))
    whole = {**llama.grow(before, growth["origins"]), **f32(fixture.adapters(big))}
    final, record, gradients = llama.train(
        big,
        {name: np.float32(whole[name]) for name in growth["trainable"]},
        {name: np.float32(whole[name]) for name in growth["frozen"]},
        fixture.steps("growth"),
        llama.Schedule(**growth["schedule"]),
        llama.Optimizer(**growth["optimizer"]),
        growth["lora"]["alpha"] / growth["lora"]["rank"],
        keep_gradients=2,
    )
    assert all(w.dtype == np.float32 for w in final.values())
    fixture.report("growth", record, gradients)
    fixture.report_weights("final", {**{name: whole[name] for name in growth["frozen"]}, **final})


def check_transformers():
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama import modeling_llama

    torch.set_default_dtype(torch.float64)

    # Transformers computes these two in float32 whatever the model's type; the same in float64:
    def rms_norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    def rotary(self, x, position_ids):
        size = self.config.hidden_size // self.config.num_attention_heads
        theta = self.config.rope_parameters["rope_theta"]
        frequency = 1.0 / theta ** (torch.arange(0, size, 2).double() / size)
        angle = position_ids[:, :, None].double() * frequency
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    modeling_llama.LlamaRMSNorm.forward = rms_norm
    modeling_llama.LlamaRotaryEmbedding.forward = rotary

    def model_of(directory, layers=None):
        hf = LlamaConfig(**read_json(directory / "config.json"), attn_implementation="sdpa")
        hf.num_hidden_layers = layers or hf.num_hidden_layers
        return LlamaForCausalLM(hf).double()

    def load(model, params):
        missing = model.load_state_dict({n: torch.tensor(np.asarray(w)) for n, w in params.items()}, strict=False)
        tied = ["lm_head.weight"] if model.config.tie_word_embeddings else []
        assert missing.missing_keys == tied and not missing.unexpected_keys, missing
        model.tie_weights()

    def wrap(model, adapters, scale):
        """LoRA by forward hooks; returns the adapters as parameters by name."""
        made = {name: torch.nn.Parameter(torch.tensor(w)) for name, w in adapters.items()}
        for name in made:
            if name.endswith(".lora_A.weight"):
                linear = name.removesuffix(".lora_A.weight")
                a, b = made[name], made[linear + ".lora_B.weight"]
                module = model.get_submodule(linear)
                module.weight.requires_grad_(False)
                module.register_forward_hook(lambda _, x, y, a=a, b=b: y + scale * (x[0] @ a.T @ b.T))
        return made

    def loss_of(model, batch):
        inputs, targets = (torch.tensor(np.where(ids == llama.IGNORED, -100, ids)) for ids in batch)
        logits = model(inputs).logits
        return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100), logits

    def train(model, extra, batches, record, keep):
        trainable = {n: w for n, w in model.named_parameters() if w.requires_grad} | extra
        o = record["optimizer"]
        groups = [
            {"params": [w for w in trainable.values() if w.ndim == d], "weight_decay": decay}
            for d, decay in ((1, 0.0), (2, o["weight_decay"]))
        ]
        optimizer = torch.optim.AdamW(groups, betas=(o["beta1"], o["beta2"]), eps=o["eps"])
        got, gradients = {"losses": [], "grad_norms": []}, []
        for step, batch in enumerate(batches):
            optimizer.zero_grad()
            value, _ = loss_of(model, batch)
            value.backward()
            if step < keep:
                gradients.append({n: w.grad.numpy().copy() for n, w in trainable.items()})
            norm = torch.nn.utils.clip_grad_norm_(trainable.values(), o["max_norm"])
            for group in optimizer.param_groups:
                group["lr"] = record["lrs"][step]
            optimizer.step()
            got["losses"].append(value.item())
            got["grad_norms"].append(norm.item())
        return got, gradients

    numpy_of = lambda params: {n: w.detach().numpy() for n, w in params}
    fixture = Fixture()
    for name, directory in (("tied", "tied"), ("vanilla", "initial")):
        _, params = fixture.model(directory)
        model = model_of(GROWTH / directory)
        load(model, params)
        fixture.report(name, *train(model, {}, fixture.steps("vanilla"), fixture.records[name], 1))
    before = numpy_of(model.named_parameters())
    fixture.report_weights("before", before)

    growth = fixture.records["growth"]
    config, _ = fixture.model("initial")
    big = model_of(GROWTH / "initial", len(growth["origins"]))
    whole = {n: w for n, w in before.items() if ".layers." not in n}
    for layer, origin in enumerate(growth["origins"]):
        below, above, weight = (origin[key] for key in ("below", "above", "weight"))
        for n in before:
            if n.startswith("model.layers.0."):
                tail = n.removeprefix("model.layers.0.")
                mixed = np.stack([before[f"model.layers.{i}.{tail}"] for i in (below, above)], -1) @ [1 - weight, weight]
                whole[f"model.layers.{layer}.{tail}"] = mixed
    load(big, whole)
    held = batch_of(fixture.batches, fixture.batches["held"])
    held_losses = [loss_of(m, held)[0].item() for m in (model, big)]
    extra = wrap(big, fixture.adapters(config), growth["lora"]["alpha"] / growth["lora"]["rank"])
    fixture.report("growth", *train(big, extra, fixture.steps("growth"), growth, 2))
    fixture.report_weights("final", numpy_of([*big.named_parameters(), *extra.items()]))
    held_losses.append(loss_of(big, held)[0].item())
    print(f"  held losses: {worst_relative(held_losses, list(growth['held_losses'].values())):.1e} relative")

    step = read_json(TINY / "step.json")
    model = model_of(TINY)
    load(model, load64(TINY / "model.safetensors"))
    extra = wrap(model, load64(TINY / "adapters.safetensors"), step["lora"]["alpha"] / step["lora"]["rank"])
    value, logits = loss_of(model, batch_of(step, step))
    value.backward()
    trainable = {n: w for n, w in model.named_parameters() if w.requires_grad} | extra
    assert sorted(trainable) == step["trainable"]
    print(f"tiny: loss {worst_relative(value.item(), step['loss']):.1e} relative")
    want = load64(TINY / "logits.safetensors")
    print("  logits: %.1e of the largest" % worst({"logits": logits.detach().numpy()}, want)[0])
    gradients = {n: w.grad.numpy() for n, w in trainable.items()}
    print("  gradients: %.1e of the tensor's largest element (%s)" % worst(gradients, load64(TINY / "gradients.safetensors")))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["models", directory]:
            check_models(Path(directory))
        case ["float32"]:
            check_float32()
        case ["transformers"]:
            check_transformers()
        case _:
            sys.exit(__doc__)
