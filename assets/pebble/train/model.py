"""Gemma 3 with its SigLIP tower in PyTorch, written for training on a CPU.

Parameters carry the names of the Hugging Face files, so exporting is saving them.
"""
import json
import math
import struct

import numpy as np
import torch
import torch.nn.functional as F

import tokens

TEXT, TOWER, PROJECTOR = "language_model.model.", "vision_tower.vision_model.", "multi_modal_projector."

CONFIG = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "bos_token_id": 2,
    "eos_token_id": [1, 5],
    "pad_token_id": 0,
    "boi_token_index": 9,
    "eoi_token_index": 10,
    "image_token_index": tokens.SOFT_ID,
    "mm_tokens_per_image": tokens.SOFT_TOKENS,
    "initializer_range": 0.02,
    "text_config": {
        "model_type": "gemma3_text", "vocab_size": tokens.ROWS, "hidden_size": 128,
        "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 32, "query_pre_attn_scalar": 32,
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6,
        "max_position_embeddings": 1024, "sliding_window": 128, "sliding_window_pattern": 6,
        "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": None,
        "attention_bias": False, "attention_dropout": 0.0, "attn_logit_softcapping": None,
        "final_logit_softcapping": None, "use_cache": True, "tie_word_embeddings": True,
        "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
    },
    "vision_config": {
        "model_type": "siglip_vision_model", "hidden_size": 96, "intermediate_size": 256,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_channels": 3, "image_size": 112,
        "patch_size": 14, "layer_norm_eps": 1e-6, "hidden_act": "gelu_pytorch_tanh",
        "attention_dropout": 0.0, "vision_use_head": False,
    },
    "torch_dtype": "bfloat16",
}


class RmsNorm(torch.autograd.Function):
    """x / rms(x) * (1 + w) over the last axis; written out because it is most of the small work."""

    @staticmethod
    def forward(ctx, x, w, eps):
        inv = torch.rsqrt(x.pow(2).mean(-1, keepdim=True).add_(eps))
        unit = x * inv
        ctx.save_for_backward(unit, inv, w)
        return unit * (1 + w)

    @staticmethod
    def backward(ctx, grad):
        unit, inv, w = ctx.saved_tensors
        gw = grad * unit
        dw = gw.reshape(-1, w.numel()).sum(0)
        gw *= 1 + w
        mean = gw.mean(-1, keepdim=True)
        dx = torch.addcmul(grad * (1 + w), unit, mean, value=-1.0).mul_(inv)
        return dx, dw, None


def rms_norm(x, w, eps=1e-6):
    return RmsNorm.apply(x, w, eps)


def round_bf16(x):
    return x.to(torch.bfloat16).to(torch.float32)


def rope_tables(length, theta, d):
    freq = 1.0 / theta ** (np.arange(0, d, 2) / d)
    angle = np.arange(length)[:, None] * freq[None]
    two = lambda a: torch.tensor(np.concatenate([a, a], -1), dtype=torch.float32)
    return two(np.cos(angle)), two(np.sin(angle))


def rotate(x, cos, sin):
    """x [..., T, d]; pairs are (i, i + d/2)."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos + turned * sin


class Pebble(torch.nn.Module):
    def __init__(self, config=None, seed=0):
        super().__init__()
        self.config = config or CONFIG
        t, v = self.config["text_config"], self.config["vision_config"]
        g = torch.Generator().manual_seed(seed)
        self.p = {}

        def make(name, *shape, std=0.0, fill=0.0):
            value = torch.randn(*shape, generator=g) * std if std else torch.full(shape, fill)
            self.p[name] = torch.nn.Parameter(value)
            self.register_parameter(name.replace(".", "/"), self.p[name])

        d, h, k, hd, inter = (t[n] for n in ("hidden_size", "num_attention_heads", "num_key_value_heads",
                                             "head_dim", "intermediate_size"))
        make(TEXT + "embed_tokens.weight", t["vocab_size"], d, std=d ** -0.5 * 0.5)
        for i in range(t["num_hidden_layers"]):
            at = f"{TEXT}layers.{i}."
            for n in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                      "post_feedforward_layernorm"):
                make(at + n + ".weight", d, fill=-0.5 if n.startswith("post") else 0.0)
            make(at + "self_attn.q_proj.weight", h * hd, d, std=d ** -0.5)
            make(at + "self_attn.k_proj.weight", k * hd, d, std=d ** -0.5)
            make(at + "self_attn.v_proj.weight", k * hd, d, std=d ** -0.5)
            make(at + "self_attn.o_proj.weight", d, h * hd, std=(h * hd) ** -0.5)
            make(at + "self_attn.q_norm.weight", hd, fill=0.7)   # attention is sharp from the start
            make(at + "self_attn.k_norm.weight", hd)
            make(at + "mlp.gate_proj.weight", inter, d, std=d ** -0.5)
            make(at + "mlp.up_proj.weight", inter, d, std=d ** -0.5)
            make(at + "mlp.down_proj.weight", d, inter, std=inter ** -0.5)
        make(TEXT + "norm.weight", d)

        e, vi, patch = v["hidden_size"], v["intermediate_size"], v["patch_size"]
        make(TOWER + "embeddings.patch_embedding.weight", e, 3, patch, patch, std=(3 * patch * patch) ** -0.5)
        make(TOWER + "embeddings.patch_embedding.bias", e)
        make(TOWER + "embeddings.position_embedding.weight", (v["image_size"] // patch) ** 2, e, std=0.3)
        for i in range(v["num_hidden_layers"]):
            at = f"{TOWER}encoder.layers.{i}."
            for n in ("layer_norm1", "layer_norm2"):
                make(at + n + ".weight", e, fill=1.0)
                make(at + n + ".bias", e)
            for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
                make(at + f"self_attn.{n}.weight", e, e, std=e ** -0.5 * (0.3 if n == "out_proj" else 1))
                make(at + f"self_attn.{n}.bias", e)
            make(at + "mlp.fc1.weight", vi, e, std=e ** -0.5)
            make(at + "mlp.fc1.bias", vi)
            make(at + "mlp.fc2.weight", e, vi, std=vi ** -0.5 * 0.3)
            make(at + "mlp.fc2.bias", e)
        make(TOWER + "post_layernorm.weight", e, fill=1.0)
        make(TOWER + "post_layernorm.bias", e)
        make(PROJECTOR + "mm_soft_emb_norm.weight", e)
        make(PROJECTOR + "mm_input_projection_weight", e, d, std=e ** -0.5)

        length = t["max_position_embeddings"]
        self.local_rope = rope_tables(length, t["rope_local_base_freq"], hd)
        self.global_rope = rope_tables(length, t["rope_theta"], hd)
        self.scale = float(round_bf16(torch.tensor(math.sqrt(d))))
        self.is_global = [kind == "full_attention" for kind in t["layer_types"]]

    def see(self, pixels):
        """pixels [N, 3, 112, 112] in [-1, 1] -> soft tokens [N, 16, D]."""
        v, w = self.config["vision_config"], self.p
        n, patch, e, heads = pixels.shape[0], v["patch_size"], v["hidden_size"], v["num_attention_heads"]
        g = v["image_size"] // patch
        lin = lambda name, y: F.linear(y, w[TOWER + name + ".weight"], w[TOWER + name + ".bias"])
        norm = lambda name, y: F.layer_norm(y, (e,), w[TOWER + name + ".weight"], w[TOWER + name + ".bias"],
                                            v["layer_norm_eps"])
        x = pixels.view(n, 3, g, patch, g, patch).permute(0, 2, 4, 1, 3, 5).reshape(n, g * g, -1)
        x = F.linear(x, w[TOWER + "embeddings.patch_embedding.weight"].reshape(e, -1),
                     w[TOWER + "embeddings.patch_embedding.bias"])
        x = x + w[TOWER + "embeddings.position_embedding.weight"]
        for i in range(v["num_hidden_layers"]):
            at = f"encoder.layers.{i}."
            y = norm(at + "layer_norm1", x)
            q, k, u = (lin(at + f"self_attn.{c}_proj", y).view(n, g * g, heads, -1).transpose(1, 2)
                       for c in "qkv")
            y = torch.softmax(q @ k.transpose(-1, -2) * (e // heads) ** -0.5, -1) @ u
            x = x + lin(at + "self_attn.out_proj", y.transpose(1, 2).reshape(n, g * g, e))
            y = norm(at + "layer_norm2", x)
            x = x + lin(at + "mlp.fc2", F.gelu(lin(at + "mlp.fc1", y), approximate="tanh"))
        x = norm("post_layernorm", x)
        side = math.isqrt(self.config["mm_tokens_per_image"])
        cell = g // side
        x = x.view(n, side, cell, side, cell, e).mean((2, 4)).reshape(n, side * side, e)
        x = rms_norm(x, w[PROJECTOR + "mm_soft_emb_norm.weight"])
        return x @ w[PROJECTOR + "mm_input_projection_weight"]

    def masks(self, ids):
        """Additive masks (local, global) [B or 1, 1, 1, T, T]; soft tokens of a run see each other."""
        n, t = ids.shape
        pos = torch.arange(t)
        apart = pos[:, None] - pos[None]
        visible = (apart >= 0)[None]
        soft = ids == self.config["image_token_index"]
        if soft.any():
            starts = soft & ~F.pad(soft, (1, 0))[:, :-1]
            block = torch.where(soft, starts.cumsum(1), torch.zeros(1, dtype=torch.long))
            visible = visible | ((block[:, :, None] == block[:, None, :]) & (block[:, :, None] > 0))
        near = visible & (apart.abs() < self.config["text_config"]["sliding_window"])[None]
        return [torch.zeros(m.shape).masked_fill_(~m, -1e30)[:, None, None] for m in (near, visible)]

    def forward(self, ids, soft=None, rows=None, cache=None):
        """ids [B, T]; soft [N, M, D] for the place holders in order.  Returns logits of the chosen
        flat rows [R] or of all [B, T, V].  cache: dict that grows from call to call, for sampling;
        only the first call may hold pictures."""
        cfg, w = self.config["text_config"], self.p
        n, t = ids.shape
        h, k, hd = cfg["num_attention_heads"], cfg["num_key_value_heads"], cfg["head_dim"]
        is_soft = ids == self.config["image_token_index"]
        x = F.embedding(ids.masked_fill(is_soft, 0), w[TEXT + "embed_tokens.weight"]) * self.scale
        if soft is not None:
            flat = x.reshape(n * t, -1)
            at = is_soft.reshape(-1).nonzero()[:, 0]
            x = flat.index_copy(0, at, soft.reshape(-1, flat.shape[1])).view(n, t, -1)
        past = 0
        if cache is not None and "length" in cache:
            past = cache["length"]
            lo = cfg["sliding_window"]
            apart = torch.arange(past, past + t)[:, None] - torch.arange(past + t)[None]
            masks = [torch.zeros(apart.shape).masked_fill_(m, -1e30)[None, None, None]
                     for m in ((apart < 0) | (apart >= lo), apart < 0)]
        else:
            masks = self.masks(ids)
        if cache is not None:
            cache["length"] = past + t
        scale = cfg["query_pre_attn_scalar"] ** -0.5
        for i in range(cfg["num_hidden_layers"]):
            at = f"{TEXT}layers.{i}."
            weight = lambda name: w[at + name + ".weight"]
            tables = self.global_rope if self.is_global[i] else self.local_rope
            cos, sin = (c[past:past + t] for c in tables)
            y = rms_norm(x, weight("input_layernorm"))
            q = F.linear(y, weight("self_attn.q_proj")).view(n, t, h, hd)
            key = F.linear(y, weight("self_attn.k_proj")).view(n, t, k, hd)
            value = F.linear(y, weight("self_attn.v_proj")).view(n, t, k, hd).transpose(1, 2)
            q = rotate(rms_norm(q, weight("self_attn.q_norm")).transpose(1, 2), cos, sin)
            key = rotate(rms_norm(key, weight("self_attn.k_norm")).transpose(1, 2), cos, sin)
            if cache is not None:
                if i in cache:
                    key, value = (torch.cat(pair, 2) for pair in zip(cache[i], (key, value)))
                cache[i] = (key, value)
            q = (q * scale).reshape(n, k, h // k * t, hd)
            scores = (q @ key.transpose(-1, -2)).view(n, k, h // k, t, -1) + masks[self.is_global[i]]
            y = torch.softmax(scores, -1).view(n, k, h // k * t, -1) @ value
            y = y.view(n, h, t, hd).transpose(1, 2).reshape(n, t, h * hd)
            x = x + rms_norm(F.linear(y, weight("self_attn.o_proj")), weight("post_attention_layernorm"))
            y = rms_norm(x, weight("pre_feedforward_layernorm"))
            gate = F.gelu(F.linear(y, weight("mlp.gate_proj")), approximate="tanh")
            y = gate * F.linear(y, weight("mlp.up_proj"))
            x = x + rms_norm(F.linear(y, weight("mlp.down_proj")), weight("post_feedforward_layernorm"))
        if rows is not None:
            x = x.reshape(n * t, -1).index_select(0, rows)
        x = rms_norm(x, w[TEXT + "norm.weight"])
        return F.linear(x, w[TEXT + "embed_tokens.weight"])

    def rounded(self):
        """A copy whose weights are the bfloat16 values that the exported file holds."""
        twin = Pebble(self.config)
        with torch.no_grad():
            for name, value in self.p.items():
                twin.p[name].copy_(round_bf16(value))
        return twin


def save_folder(model, folder):
    """Writes config.json and model.safetensors (BF16, offsets in name order)."""
    with open(f"{folder}/config.json", "w") as f:
        json.dump(model.config, f, indent=1)
        f.write("\n")
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(model.p):
        value = model.p[name].detach().to(torch.bfloat16).contiguous()
        blob = value.view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load_folder(folder):
    """Reads what save_folder wrote."""
    model = Pebble(json.load(open(f"{folder}/config.json")))
    data = open(f"{folder}/model.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    with torch.no_grad():
        for name, value in model.p.items():
            lo, hi = header[name]["data_offsets"]
            raw = torch.from_numpy(np.frombuffer(body[lo:hi], np.int16).copy()).view(torch.bfloat16)
            value.copy_(raw.view(value.shape).to(torch.float32))
    return model
