"""Measures Pebble: stories, questions about unseen combinations of facts, sums, talk, pictures.

    python3 evaluate.py --torch                      the exported weights in PyTorch, pictures too
    python3 evaluate.py --olivine PATH_TO_BINARY     the same through the engine's command line

Prints every score; the exit status is 1 when one lies below its bar.
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import torch

import model as m
import tokens
import world

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPERATURE, TOP_K, TOP_P = 1.0, 64, 0.95           # Gemma's own settings
LONGEST = 130                                       # tokens of an answer
STORY_REQUEST = "Tell me a story."
BARS = {"stories grammatical": 0.95, "stories distinct": 0.90, "stories not copied": 1.0,
        "story obeys": 0.90, "story questions": 0.90, "second questions": 0.90, "sums": 0.90,
        "talk": 0.90, "unknown": 0.90, "pictures": 0.90}


# ---------------------------------------------------------------------------------------------
# What answers: PyTorch, or Olivine by one of two commands
# ---------------------------------------------------------------------------------------------

class Torch:
    """Batches prompts of one length; sampled or greedy."""

    def __init__(self, folder):
        self.net = m.load_folder(folder)
        self.tok = tokens.Tokenizer(f"{folder}/tokenizer.model")

    @torch.no_grad()
    def answers(self, prompts, sample=False, seed=0, images=None, histories=None):
        ids = [self.tok.prompt(p, images is not None, histories[i] if histories else ())
               for i, p in enumerate(prompts)]
        out = [None] * len(ids)
        generator = torch.Generator().manual_seed(seed)
        for length in sorted(set(map(len, ids))):
            group = [i for i, a in enumerate(ids) if len(a) == length]
            for at in range(0, len(group), 32):
                part = group[at:at + 32]
                pixels = None
                if images is not None:
                    x = torch.from_numpy(np.stack([images[i] for i in part])).permute(0, 3, 1, 2).float()
                    pixels = self.net.see((x / 255 - 0.5) / 0.5)
                self._group([ids[i] for i in part], part, out, sample, generator, pixels)
        return out

    def _group(self, ids, places, out, sample, generator, soft):
        cache, said = {}, [[] for _ in ids]
        logits = self.net(torch.tensor(ids), soft, cache=cache)[:, -1]
        done = np.zeros(len(ids), bool)
        for _ in range(LONGEST):
            logits = logits[:, :tokens.PIECES]
            if sample:
                top, index = logits.div(TEMPERATURE).topk(TOP_K)
                p = top.softmax(-1)
                p[p.cumsum(-1) - p >= TOP_P] = 0.0
                new = index.gather(1, torch.multinomial(p, 1, generator=generator))[:, 0]
            else:
                new = logits.argmax(-1)
            for i, token in enumerate(new.tolist()):
                done[i] |= token in (self.tok.end_of_turn, self.tok.eos)
                if not done[i]:
                    said[i].append(token)
            if done.all():
                break
            logits = self.net(new[:, None], cache=cache)[:, -1]
        for place, tokens_said in zip(places, said):
            out[place] = self.tok.decode(tokens_said).strip()


def write_png(path, image):
    """image uint8 [h, w, 3]."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    h, w, _ = image.shape
    rows = np.concatenate([np.zeros((h, 1), np.uint8), image.reshape(h, -1)], axis=1)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b""))


def png_files(images, folder):
    paths = [f"{folder}/{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images):
        write_png(path, image)
    return paths


class OlivineRun:
    """One process for each prompt: olivine run -m FOLDER -p PROMPT."""

    def __init__(self, binary, folder):
        self.command = [binary, "run", "-m", folder]

    def answers(self, prompts, sample=False, seed=0, images=None):
        how = [] if sample else ["--temp", "0"]
        with tempfile.TemporaryDirectory() as folder:
            shown = [["--image", path] for path in png_files(images, folder)] if images else [[]] * len(prompts)
            return [subprocess.run(self.command + ["-p", p, "-n", str(LONGEST), "--seed", str(seed + i)]
                                   + how + shown[i], check=True, capture_output=True, text=True).stdout.strip()
                    for i, p in enumerate(prompts)]


class OlivineChat:
    """All prompts through one process: olivine chat in a pipe, one message a line, one line of
    answer each, /clear between them.  Pebble never answers with more than one line.  After /clear
    the chat starts from its seed again, so what is sampled goes through OlivineRun."""

    def __init__(self, binary, folder):
        self.command = [binary, "chat", "-m", folder]
        self.single = OlivineRun(binary, folder)

    def answers(self, prompts, sample=False, seed=0, images=None):
        if sample:
            return self.single.answers(prompts, True, seed, images)
        with tempfile.TemporaryDirectory() as folder:
            shown = [f"/image {path}\n" for path in png_files(images, folder)] if images else [""] * len(prompts)
            lines = "".join(image + p.replace("\n", " ") + "\n/clear\n" for image, p in zip(shown, prompts))
            done = subprocess.run(self.command + ["-n", str(LONGEST), "--seed", str(seed), "--temp", "0"],
                                  input=lines, check=True, capture_output=True, text=True)
        out = [line.strip() for line in done.stdout.split("\n") if line.strip()]
        if len(out) != len(prompts):
            raise SystemExit(f"olivine chat gave {len(out)} lines for {len(prompts)} messages")
        return out


# ---------------------------------------------------------------------------------------------
# What is asked; every set is fixed by its seed
# ---------------------------------------------------------------------------------------------

def story_questions(count, exam, seed=1001):
    """Prompts of a held-out story and one question: (prompt, answer, kind)."""
    rng, out, kinds = np.random.default_rng([exam, seed]), [], list(world.QUESTIONS)
    for i in range(count):
        f = world.draw_facts(rng, hold=True)
        q, a, kind = world.ask(rng, f, kinds[i % len(kinds)])
        out.append((world.tell(rng, f) + world.pick(rng, [" ", "\n", "\n\n"]) + q, a, kind))
    return out


def second_questions(count, exam, seed=1002):
    """The second question of a conversation about a held-out story: (history, prompt, answer, kind)."""
    rng, out, kinds = np.random.default_rng([exam, seed]), [], list(world.QUESTIONS)
    for i in range(count):
        f = world.draw_facts(rng, hold=True)
        first = world.ask(rng, f)
        q, a, kind = world.ask(rng, f, kinds[i % len(kinds)])
        out.append(([(world.tell(rng, f) + " " + first[0], first[1])], q, a, kind))
    return out


def sums(count, exam, seed=1003):
    rng = np.random.default_rng([exam, seed])
    chosen = rng.permutation(len(world.SUMS))[:count]
    return [(*world.ask_sum(rng, world.SUMS[i]), "sum") for i in chosen]


def talk():
    return [(form, answer, answer[:20]) for forms, answer in world.TALK for form in forms]


def unknown(count, exam, seed=1004):
    rng = np.random.default_rng([exam, seed])
    return [(world.ask_unknown(rng), world.UNKNOWN_ANSWER, "unknown") for _ in range(count)]


def picture_questions(count, exam, seed=1005):
    """Held-out scenes, one question each: (image, question, answer, kind)."""
    rng, out = np.random.default_rng([exam, seed]), []
    kinds = ["list", "count", "count kind", "colour", "shape"] + list(world.SIDES)
    while len(out) < count:
        scene = world.draw_scene(rng, hold=True)
        wanted = kinds[len(out) % len(kinds)]
        fitting = [q for q in world.picture_questions(rng, scene) if q[2] == wanted]
        if fitting:
            out.append((world.render(rng, scene), *world.pick(rng, fitting)))
    return out


def requested_stories(count, exam, seed=1006):
    """Requests that name what the story is about: (request, facts that it fixes)."""
    rng, out = np.random.default_rng([exam, seed]), []
    while len(out) < count:
        text, fixed = world.requests(rng)
        if fixed:
            out.append((text, fixed))
    return out


# ---------------------------------------------------------------------------------------------

def training_stories(path):
    data = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.uint64)
    return set((data << (np.arange(5, dtype=np.uint64) * np.uint64(8))).sum(1).tolist())


def exact(title, cases, given, scores, show):
    right, kinds = 0, {}
    for (*_, wanted, kind), got in zip(cases, given):
        ok = got == wanted
        right += ok
        kinds.setdefault(kind, []).append(ok)
        if not ok and show > 0:
            show -= 1
            print(f"    wrong ({kind}): got {got!r}, right is {wanted!r}")
    scores[title] = right / len(cases)
    print(f"{title}: {right} of {len(cases)} exact")
    if len(kinds) > 1:
        print("    " + ", ".join(f"{k} {sum(v)}/{len(v)}" for k, v in kinds.items()))


def pictures(engine, scores, args):
    cases = picture_questions(args.pictures, args.exam)
    given = engine.answers([c[1] for c in cases], images=[c[0] for c in cases])
    exact("pictures", cases, given, scores, args.show)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--torch", action="store_true")
    ap.add_argument("--olivine", metavar="BINARY")
    ap.add_argument("--transport", choices=["chat", "run"], default="chat")
    ap.add_argument("--model", default=os.path.dirname(HERE), help="exported folder")
    ap.add_argument("--stories", type=int, default=300)
    ap.add_argument("--questions", type=int, default=420)
    ap.add_argument("--pictures", type=int, default=450)
    ap.add_argument("--only-pictures", action="store_true", help="ask about pictures and nothing else")
    ap.add_argument("--others", type=int, default=200, help="sums, unknown questions, requested stories")
    ap.add_argument("--seed", type=int, default=7, help="of the sampling")
    ap.add_argument("--exam", type=int, default=1, help="which draw of the questions")
    ap.add_argument("--show", type=int, default=3, help="wrong answers to print for each kind")
    ap.add_argument("--story-list", default=f"{HERE}/stories.bin")
    args = ap.parse_args()
    if not args.torch and not args.olivine:
        ap.error("--torch or --olivine BINARY is required")
    torch.set_num_threads(1)
    if args.olivine:
        engine = (OlivineChat if args.transport == "chat" else OlivineRun)(args.olivine, args.model)
    else:
        engine = Torch(args.model)
    scores = {}
    if args.only_pictures:
        pictures(engine, scores, args)
        return 1 if scores["pictures"] < BARS["pictures"] else 0

    told = engine.answers([STORY_REQUEST] * args.stories, sample=True, seed=args.seed)
    known = training_stories(args.story_list)
    facts = [world.parse(s) for s in told]
    bad = [s for s, f in zip(told, facts) if f is None]
    scores["stories grammatical"] = 1 - len(bad) / len(told)
    scores["stories distinct"] = len(set(told)) / len(told)
    scores["stories not copied"] = 1 - sum(world.story_hash(s) in known for s in told) / len(told)
    print(f"stories: {len(told)} sampled, {len(told) - len(bad)} grammatical, {len(set(told))} distinct, "
          f"{sum(world.story_hash(s) in known for s in told)} among the {len(known)} of training")
    for s in bad[:args.show]:
        print(f"    not grammatical: {s}")
    print(f"    the first: {told[0]}")

    wishes = requested_stories(args.others, args.exam)
    told = engine.answers([w[0] for w in wishes], sample=True, seed=args.seed + 10000)
    facts = [world.parse(s) for s in told]
    kept = sum(f is not None and all(f[k] == v for k, v in fixed.items())
               for (_, fixed), f in zip(wishes, facts))
    scores["story obeys"] = kept / len(wishes)
    print(f"requested stories: {kept} of {len(wishes)} grammatical and about what was asked")

    cases = story_questions(args.questions, args.exam)
    exact("story questions", cases, engine.answers([c[0] for c in cases]), scores, args.show)
    if args.torch:
        cases = second_questions(args.questions, args.exam)
        given = engine.answers([c[1] for c in cases], histories=[c[0] for c in cases])
        exact("second questions", cases, given, scores, args.show)
    for title, cases in (("sums", sums(args.others, args.exam)), ("talk", talk()),
                         ("unknown", unknown(args.others, args.exam))):
        exact(title, cases, engine.answers([c[0] for c in cases]), scores, args.show)
    pictures(engine, scores, args)

    low = {k: v for k, v in scores.items() if v < BARS[k]}
    for name, value in scores.items():
        print(f"{name:22s} {value:6.1%}  bar {BARS[name]:.0%}{'  BELOW' if name in low else ''}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
