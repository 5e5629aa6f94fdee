"""Trains Pebble from nothing, or goes on from the last checkpoint.

    python3 train.py --work DIR --out FOLDER --minutes 75

Data of a step depends on the seed and the step's number only.  With --steps N instead of --minutes
the learning rate does too, and the run can be repeated.
"""
import argparse
import json
import math
import os
import shutil
import time

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import model as m
import tokens
import world

LENGTHS, SHARES = [128, 192, 256, 384], [0.25, 0.45, 0.2, 0.1]
PICTURE_LENGTH = 136
LOOKS = {(c, s): 1 + i for i, (c, s) in enumerate((c, s) for c in world.PAINTS for s in world.SHAPES)}


def pixels(images):
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return (x / 255 - 0.5) / 0.5


def cell_labels(scenes):
    """What stands in each of the 16 cells: 0 nothing, else the coloured shape.  [N * 16]"""
    out = np.zeros((len(scenes), world.CELLS ** 2), np.int64)
    for i, scene in enumerate(scenes):
        for colour, shape, row, col in scene:
            out[i, row * world.CELLS + col] = LOOKS[colour, shape]
    return torch.from_numpy(out.reshape(-1))


def pad_rows(encoded, length):
    ids = np.zeros((len(encoded), length), np.int64)
    weights = np.zeros((len(encoded), length), np.float32)
    for i, (a, w) in enumerate(encoded):
        n = min(len(a), length)
        ids[i, :n], weights[i, :n] = a[:n], w[:n]
    return torch.from_numpy(ids), torch.from_numpy(weights)


def text_batch(rng, tok, budget, early):
    length = LENGTHS[0] if early else int(rng.choice(LENGTHS, p=SHARES))
    rows, stories = [], []
    for _ in range(max(budget // length, 1)):
        c = world.Conversation(rng)
        ids, weights = [], []
        while len(ids) < length:
            c.pieces = c.pieces if not ids else []
            world.text_segment(rng, c)
            a, w = tok.conversation(c)
            ids += a
            weights += w
        rows.append((ids, weights))
        stories += c.stories
    return (*pad_rows(rows, length), stories)


def picture_batch(rng, tok, count):
    talks = [world.picture_conversation(rng, 6) for _ in range(count)]
    ids, weights = pad_rows([tok.conversation(c) for c in talks], PICTURE_LENGTH)
    return ids, weights, pixels([c.image for c in talks]), cell_labels([c.scene for c in talks])


def answer_loss(net, ids, weights, soft=None):
    """Sum of weighted losses of the next token, and the sum of weights."""
    target, weight = ids[:, 1:], weights[:, 1:]
    n, t = target.shape
    rows, cols = (weight > 0).nonzero(as_tuple=True)
    logits = net(ids[:, :-1], soft, rows=rows * t + cols)
    weight = weight[rows, cols]
    loss = F.cross_entropy(logits, target[rows, cols], reduction="none")
    return (loss * weight).sum(), weight.sum(), loss.detach(), weight


def text_worker(pipe, params, grads, vocabulary, seed, budget):
    """The second process: gradients of the text half of each step, at the shared weights."""
    torch.set_num_threads(1)
    tok, net = tokens.Tokenizer(vocabulary), m.Pebble()
    for n, p in net.p.items():
        p.data = params[n]
    while True:
        order = pipe.recv()
        if order is None:
            return
        step, early = order
        ids, weights, stories = text_batch(np.random.default_rng([seed, step, 0]), tok, budget, early)
        loss, total, each, each_weight = answer_loss(net, ids, weights)
        (loss / (total + 600)).backward()
        for n, p in net.p.items():
            if p.grad is not None:
                grads[n].copy_(p.grad)
        net.zero_grad(set_to_none=True)
        answers = each_weight > 1
        pipe.send((b"".join(world.story_hash(s).to_bytes(5, "little") for s in stories),
                   float(each[~answers].mean()), float(each[answers].mean()) if answers.any() else 0.0,
                   ids.numel()))


class Muon:
    """Momentum whose update of each matrix is replaced by the nearest orthogonal matrix
    (five Newton-Schulz steps); matrices of one shape go through them together."""

    def __init__(self, params, momentum=0.95):
        self.momentum = momentum
        self.groups = {}
        for p in params:
            self.groups.setdefault(tuple(sorted(p.shape)), []).append(p)
        self.state = {shape: torch.zeros(len(ps), *shape) for shape, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, lr, decay):
        for shape, ps in self.groups.items():
            g = torch.stack([p.grad if p.shape[0] <= p.shape[1] else p.grad.T for p in ps])
            buf = self.state[shape].lerp_(g, 1 - self.momentum)
            x = g.lerp(buf, self.momentum)
            x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-9)
            for _ in range(5):
                a = x @ x.transpose(1, 2)
                b = torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315)
                x = torch.baddbmm(x, b, x, beta=3.4445)
            for p, u in zip(ps, x):
                out, inside = p.shape
                p.mul_(1 - lr * decay)
                p.add_(u if out <= inside else u.T, alpha=-lr * max(1.0, out / inside) ** 0.5)


def rate(progress, step):
    """Share of the full learning rate: short warm-up, level, then down in a straight line."""
    return min(1.0, (step + 1) / 60) * min(1.0, max(0.02, (1 - progress) / 0.55))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", required=True, help="folder of the checkpoint, the log and the story list")
    ap.add_argument("--out", required=True, help="folder of the exported model")
    ap.add_argument("--start", help="exported folder to start from when --work holds no checkpoint")
    ap.add_argument("--minutes", type=float, default=75.0, help="training time in all, over all resumed runs")
    ap.add_argument("--steps", type=int, default=0, help="length of the run in steps instead")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--text", type=int, default=1536, help="text tokens per step")
    ap.add_argument("--pictures", type=int, default=8, help="picture conversations per step")
    ap.add_argument("--matrix-rate", type=float, default=0.012)
    ap.add_argument("--other-rate", type=float, default=0.003)
    ap.add_argument("--save-minutes", type=float, default=4.0)
    args = ap.parse_args()

    torch.set_num_threads(1)             # one for each of the two processes
    torch.manual_seed(args.seed)
    os.makedirs(args.work, exist_ok=True)
    os.makedirs(args.out, exist_ok=True)
    vocabulary = f"{args.work}/tokenizer.model"
    if not os.path.exists(vocabulary):
        if args.start:
            shutil.copyfile(f"{args.start}/tokenizer.model", vocabulary)
        else:
            tokens.train(f"{args.work}/tokenizer")
    if os.path.realpath(vocabulary) != os.path.realpath(f"{args.out}/tokenizer.model"):
        shutil.copyfile(vocabulary, f"{args.out}/tokenizer.model")
    tok = tokens.Tokenizer(vocabulary)

    net = m.load_folder(args.start) if args.start else m.Pebble(seed=args.seed)
    ids = net.config
    assert ids["boi_token_index"] == tok.boi and ids["eoi_token_index"] == tok.eoi
    assert ids["eos_token_id"] == [tok.eos, tok.end_of_turn]
    # Names what a soft token shows; helps training and is not exported.
    head = torch.nn.Linear(m.CONFIG["text_config"]["hidden_size"], 1 + len(LOOKS))
    is_matrix = lambda n: (n.endswith("proj.weight") or ".fc" in n and n.endswith("weight")
                           or n.endswith("mm_input_projection_weight"))
    matrices = [p for n, p in net.p.items() if is_matrix(n)]
    others = [p for n, p in net.p.items() if not is_matrix(n)] + list(head.parameters())
    muon = Muon(matrices)
    adam = torch.optim.Adam(others, lr=args.other_rate, betas=(0.9, 0.98), eps=1e-9)
    step, elapsed, seen = 0, 0.0, 0
    checkpoint, story_list = f"{args.work}/checkpoint.pt", f"{args.work}/stories.bin"
    if os.path.exists(checkpoint):
        c = torch.load(checkpoint)
        with torch.no_grad():
            for n, v in c["net"].items():
                net.p[n].copy_(v)
        head.load_state_dict(c["head"])
        muon.state = c["muon"]
        adam.load_state_dict(c["adam"])
        step, elapsed, seen = c["step"], c["elapsed"], c["seen"]
    else:
        open(story_list, "wb").close()
    print(f"{sum(p.numel() for p in net.p.values())} parameters, step {step}", flush=True)

    def save():
        state = {"net": {n: p.detach() for n, p in net.p.items()}, "head": head.state_dict(),
                 "muon": muon.state, "adam": adam.state_dict(), "step": step, "elapsed": elapsed, "seen": seen}
        torch.save(state, checkpoint + ".new")
        os.replace(checkpoint + ".new", checkpoint)
        m.save_folder(net, args.out)
        with open(f"{args.work}/run.json", "w") as f:
            json.dump({"step": step, "minutes": elapsed / 60, "tokens": seen, "arguments": vars(args)}, f)

    # Text in a second process, pictures in this one; both read the same weights.
    net.share_memory()
    is_text = {n: p for n, p in net.p.items() if n.startswith(m.TEXT)}
    text_grads = {n: torch.zeros_like(p.data).share_memory_() for n, p in is_text.items()}
    context = mp.get_context("spawn")
    pipe, other_end = context.Pipe()
    worker = context.Process(target=text_worker, daemon=True,
                             args=(other_end, {n: p.data for n, p in net.p.items()}, text_grads, vocabulary,
                                   args.seed, args.text))
    worker.start()

    means, last_save, count = np.zeros(4), time.time(), 0
    while True:
        progress = step / args.steps if args.steps else elapsed / 60 / args.minutes
        if progress >= 1:
            break
        start = time.time()
        share = rate(progress, step)
        pipe.send((step, progress < 0.12))
        rng = np.random.default_rng([args.seed, step, 1])
        b, bw, image, labels = picture_batch(rng, tok, args.pictures)
        if step < 150:                  # the tower learns to see before the text part can look
            scenes = [world.draw_scene(rng) for _ in range(16)]
            image = torch.cat([image, pixels([world.render(rng, s) for s in scenes])])
            labels = torch.cat([labels, cell_labels(scenes)])
        soft = net.see(image)
        naming = F.cross_entropy(head(soft.reshape(-1, soft.shape[-1])), labels)
        view, view_weight, _, _ = answer_loss(net, b, bw, soft[:len(b)])
        (0.6 * view / (view_weight + 200) + (1.0 if step < 150 else 0.3) * naming).backward()
        stories, story_loss, question_loss, text_tokens = pipe.recv()
        for n, p in is_text.items():
            p.grad += text_grads[n]
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for group in adam.param_groups:
            group["lr"] = args.other_rate * share
        muon.step(args.matrix_rate * share, 0.05)
        adam.step()
        net.zero_grad(set_to_none=True)
        head.zero_grad(set_to_none=True)
        with open(story_list, "ab") as f:
            f.write(stories)

        means += [story_loss, question_loss, float(view / view_weight), float(naming)]
        count += 1
        step += 1
        seen += text_tokens + b.numel()
        elapsed += time.time() - start
        if step % 50 == 0:
            s, q, p, n = means / count
            print(f"step {step} min {elapsed / 60:.1f} story {s:.3f} answer {q:.4f} picture {p:.4f} "
                  f"naming {n:.4f} rate {share:.2f} tokens/s {seen / elapsed:.0f}", flush=True)
            means, count = np.zeros(4), 0
            if not math.isfinite(s + q + p):
                raise SystemExit("the loss is not finite")
        if time.time() - last_save > args.save_minutes * 60:
            save()
            last_save = time.time()
    pipe.send(None)
    worker.join()
    save()
    print(f"done: {step} steps, {elapsed / 60:.1f} minutes, {seen} tokens")


if __name__ == "__main__":
    main()
