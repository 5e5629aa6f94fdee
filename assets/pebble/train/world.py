"""Pebble's small world: stories, questions, sums, talk about itself, and pictures of shapes.

Everything is drawn from a numpy Generator, so a seed fixes the data.  Three things live here:
the story grammar with the parser that accepts exactly its stories (consistency included), the
questions with their one right answer, and the conversations that training reads.
"""
import re
import zlib

import numpy as np

# ---------------------------------------------------------------------------------------------
# Words.  Every noun and adjective starts with a consonant sound, so "a" is always right.
# ---------------------------------------------------------------------------------------------

BOYS = ["Tom", "Ben", "Max", "Sam", "Leo", "Finn", "Hugo", "Paul", "Nick", "Carl"]
GIRLS = ["Mia", "Lily", "Anna", "Rosa", "Nora", "Ruby", "Zoe", "Emma", "Clara", "Vera"]
ANIMALS = ["fox", "rabbit", "bear", "mouse", "frog", "duck", "cat", "dog", "goat", "turtle",
           "squirrel", "hen"]
NATURES = ["little", "kind", "brave", "shy", "clever", "young", "happy", "quiet", "funny", "tiny"]
HOMES = ["in a green forest", "near a blue lake", "on a high hill", "in a small village",
         "by the sea", "in a warm barn", "under a big oak tree", "in a quiet valley"]
COLOURS = ["red", "blue", "green", "yellow", "white", "black", "pink", "brown"]
THINGS = ["kite", "ball", "hat", "boat", "drum", "lamp", "bell", "cup", "scarf", "basket", "book",
          "toy car", "mirror", "flute"]
WEATHERS = ["sunny", "rainy", "windy", "snowy", "cloudy", "foggy"]
TIMES = ["day", "morning", "afternoon", "evening"]
LOST_AT = ["near the river", "in the tall grass", "on the way home", "at the market",
           "in the deep snow", "in the dark woods"]
FOUND_AT = ["under a bush", "behind a rock", "in a hole", "beside a path", "below a bench",
            "inside a log"]
FELL_IN = ["a deep well", "the pond", "a dark cave", "the river", "a big puddle", "the mud"]
TOOLS = ["a long stick", "a strong rope", "a net", "a hook", "a spoon", "a ladder"]
BROKE = ["broke", "broke in two", "got a crack", "got a hole"]
GLUES = ["glue", "tape", "string", "wax", "a nail", "a patch"]
BLOWN_ON = ["a roof", "a tall tree", "a high wall", "a tower", "a bridge", "a rock"]
FEELINGS = ["sad", "worried", "upset", "unhappy", "angry", "afraid"]
ENDINGS = ["ate cake", "sang songs", "danced", "played games", "drank tea", "told jokes",
           "baked bread", "watched the stars"]
ARRIVALS = ["came by", "saw this", "walked past", "heard the news"]

VALUES = {"N": BOYS + GIRLS, "H": BOYS + GIRLS, "A": ANIMALS, "B": ANIMALS, "D": NATURES,
          "E": NATURES, "L": HOMES, "C": COLOURS, "O": THINGS, "W": WEATHERS, "t": TIMES,
          "P": LOST_AT, "Q": FOUND_AT, "X": FELL_IN, "T": TOOLS, "K": BROKE, "G": GLUES,
          "Y": BLOWN_ON, "F": FEELINGS, "Z": ENDINGS, "V": ARRIVALS}

# One list of alternatives per place in the story.  {N} hero, {A} its animal, {D} its nature,
# {H} helper, {B} its animal, {E} its nature, {C} {O} the thing; {he} {He} {his} {His} {him} follow
# the hero's name.
OPENING = ["Once there was a {D} {A} named {N}. {He} lived {L}.",
           "{N} was a {D} {A} who lived {L}.",
           "Once upon a time, a {D} {A} named {N} lived {L}."]
OWNING = ["{N} had a {C} {O}.", "{He} loved {his} {C} {O}.", "{His} favourite thing was a {C} {O}."]
WEATHER = ["It was a {W} {t}.", "One {W} {t}, {he} went for a walk.",
           "One {W} {t}, {N} went out to play."]
TROUBLE = {
    "lost": ["{N} lost the {O} {P}.", "{He} lost {his} {O} {P}."],
    "fell": ["Then the {O} fell into {X}.", "Suddenly the {O} fell into {X}."],
    "broke": ["Then the {O} {K}.", "Suddenly the {O} {K}."],
    "blown": ["The wind blew the {O} onto {Y}.", "Then the wind blew {his} {O} onto {Y}."],
}
FEELING = ["{N} was very {F}.", "{He} felt {F}.", "This made {him} {F}."]
HELPER = ["A {E} {B} named {H} {V}.", "Then {H}, a {E} {B}, {V}."]
RESCUE = {
    "lost": ["{H} looked around and found the {O} {Q}.", "{H} found the {O} {Q}."],
    "fell": ["{H} pulled the {O} out with {T}.", "{H} got the {O} out with {T}."],
    "broke": ["{H} fixed the {O} with {G}.", "{H} mended the {O} with {G}."],
    "blown": ["{H} climbed up and brought the {O} down.", "{H} got the {O} down for {him}."],
}
ENDING = ["{N} thanked {H}, and they {Z} together.", "{N} was happy again, and they {Z} together."]
CLOSING = ["", "Now {N} and {H} are best friends.", "From then on they were good friends."]

PRONOUNS = {"boy": {"he": "he", "He": "He", "his": "his", "His": "His", "him": "him"},
            "girl": {"he": "she", "He": "She", "his": "her", "His": "Her", "him": "her"}}


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def gender(name):
    return "boy" if name in BOYS else "girl"


def consistent(f):
    """The rules a story keeps beside its grammar."""
    return (f["N"] != f["H"] and f["A"] != f["B"] and (f["kind"] != "blown" or f["W"] == "windy"))


def held_out(f):
    """True for a tenth of all combinations of facts; training never sees those."""
    return zlib.crc32("|".join((f["A"], f["C"], f["O"], f["B"])).encode()) % 10 == 0


def draw_facts(rng, fixed=None, hold=False):
    """A consistent set of facts; hold chooses the held-out tenth or the rest.  fixed pins some."""
    while True:
        f = {key: pick(rng, values) for key, values in VALUES.items()}
        f["kind"] = pick(rng, list(TROUBLE))
        if f["kind"] == "blown":
            f["W"] = "windy"
        f.update(fixed or {})
        if consistent(f) and held_out(f) == hold:
            return f


def slots(kind):
    return [OPENING, OWNING, WEATHER, TROUBLE[kind], FEELING, HELPER, RESCUE[kind], ENDING, CLOSING]


def tell(rng, f):
    """Facts -> one of their stories."""
    words = {**f, **PRONOUNS[gender(f["N"])]}
    return " ".join(s for s in (pick(rng, alt).format(**words) for alt in slots(f["kind"])) if s)


def _pattern(template):
    """Template -> (regular expression, variable of each group)."""
    names, out = [], ""
    for part in re.split(r"(\{\w+\})", template):
        if part.startswith("{"):
            name = part[1:-1]
            names.append(name)
            options = VALUES.get(name) or sorted({p[name] for p in PRONOUNS.values()})
            out += "(" + "|".join(sorted(map(re.escape, options), key=len, reverse=True)) + ")"
        else:
            out += re.escape(part)
    return re.compile(out), names


_PATTERNS = {t: _pattern(t) for kind in TROUBLE for alt in slots(kind) for t in alt}


def parse(text):
    """Facts of a story of the grammar, or None: wrong form, or facts that do not agree."""
    for kind in TROUBLE:
        facts = _parse(text, 0, slots(kind), {"kind": kind})
        if facts:
            return facts
    return None


def _parse(text, at, places, facts):
    if not places:
        ok = at == len(text) + 1 and consistent(facts)
        return facts if ok else None
    for template in places[0]:
        if not template:                         # an empty alternative takes no blank either
            found = _parse(text, at, places[1:], facts)
            if found:
                return found
            continue
        pattern, names = _PATTERNS[template]
        m = pattern.match(text, at)
        if not m or not (m.end() == len(text) or text[m.end()] == " "):
            continue
        new = dict(facts)
        if all(new.setdefault(n, v) == v for n, v in zip(names, m.groups())):
            if "N" in new and any(new.get(p, w) != w for p, w in PRONOUNS[gender(new["N"])].items()):
                continue
            found = _parse(text, m.end() + 1, places[1:], new)
            if found:
                return found
    return None


def story_hash(text):
    """40 bits that stand for a story in the list of training stories."""
    b = text.encode()
    return zlib.crc32(b) | (zlib.adler32(b) & 0xFF) << 32


# ---------------------------------------------------------------------------------------------
# Questions about a story
# ---------------------------------------------------------------------------------------------

# Kind -> (forms, answer); a form may bring its own answer, and an answer may depend on the trouble.
QUESTIONS = {
    "hero": (["Who is the story about?", "Who is this story about?"],
             "It is about {N} the {A}."),
    "animal": (["What animal is {N}?", "What animal is the story about?",
                "What kind of animal is the story about?"],
               "{N} is a {A}."),
    "nature": (["What was {N} like?", ("What was the {A} like?", "The {A} was {D}."),
                ("How was the {A}?", "The {A} was {D}.")], "{N} was {D}."),
    "home": (["Where did {N} live?", "Where was the home of {N}?"], "{N} lived {L}."),
    "thing": (["What did {N} have?", "What did {N} own?"], "{N} had a {C} {O}."),
    "colour": (["What colour was the {O}?", "What color was the {O}?"], "The {O} was {C}."),
    "weather": (["What was the weather like?", "How was the weather?"], "It was {W}."),
    "feeling": (["How did {N} feel?", "How did {N} feel about it?"], "{N} felt {F}."),
    "helper": (["Who helped {N}?", "Who was the helper?"], "{H} helped {N}."),
    "helper animal": (["What animal is {H}?", "What animal helped {N}?", "What animal was the helper?"],
                      "{H} is a {B}."),
    "helper nature": (["What was {H} like?", ("What was the {B} like?", "The {B} was {E}."),
                       ("How was the {B}?", "The {B} was {E}.")], "{H} was {E}."),
    "trouble": (["What happened to the {O}?", "What went wrong?"],
                {"lost": "{N} lost the {O} {P}.", "fell": "The {O} fell into {X}.",
                 "broke": "The {O} {K}.", "blown": "The wind blew the {O} onto {Y}."}),
    "rescue": (["How did {H} help?", "What did {H} do?"],
               {"lost": "{H} found the {O} {Q}.", "fell": "{H} got the {O} out with {T}.",
                "broke": "{H} fixed the {O} with {G}.", "blown": "{H} got the {O} down."}),
    "ending": (["What did they do at the end?", "How does the story end?"],
               "They {Z} together."),
}
NOT_TOLD = ["How old is {N}?", "What did {N} eat for lunch?", "Who is the mother of {N}?",
            "How tall is {H}?", "What did the {O} cost?"]
NOT_TOLD_ANSWER = "The story does not say."


def ask(rng, f, kind=None):
    """One question about the facts: (question, answer, kind)."""
    kind = kind or pick(rng, list(QUESTIONS))
    forms, answer = QUESTIONS[kind]
    if isinstance(answer, dict):
        answer = answer[f["kind"]]
    form = pick(rng, forms)
    if isinstance(form, tuple):
        form, answer = form
    return form.format(**f), answer.format(**f), kind


def requests(rng, plain=0.3):
    """A request for a story: (text, facts it fixes); plain is the share that fixes none."""
    r = rng.random()
    if r < plain:
        return pick(rng, ["Tell me a story.", "Tell me a story.", "Tell a story.", "A story, please.",
                          "Please tell me a story.", "Can you tell me a story?", "Tell me a tale.",
                          "Write a short story.", "I want to hear a story.", "Another story, please.",
                          "Tell me another story.", "tell me a story"]), {}
    lead = pick(rng, ["Tell me a story about {}.", "Tell me a story about {}.", "Write a story about {}.",
                      "A story about {}, please.", "Can you tell me a story about {}?"])
    r = rng.random()
    if r < 0.35:
        animal = pick(rng, ANIMALS)
        return lead.format("a " + animal), {"A": animal}
    if r < 0.6:
        name = pick(rng, BOYS + GIRLS)
        return lead.format(name), {"N": name}
    if r < 0.8:
        name, animal = pick(rng, BOYS + GIRLS), pick(rng, ANIMALS)
        return lead.format(f"{name} the {animal}"), {"N": name, "A": animal}
    colour, thing = pick(rng, COLOURS), pick(rng, THINGS)
    return lead.format(f"a {colour} {thing}"), {"C": colour, "O": thing}


# ---------------------------------------------------------------------------------------------
# Sums, talk, the unknown
# ---------------------------------------------------------------------------------------------

def all_sums():
    """(a, sign, b, result) for every sum and difference within 0..20."""
    plus = [(a, "+", b, a + b) for a in range(21) for b in range(21 - a)]
    return plus + [(a, "-", b, a - b) for a in range(21) for b in range(a + 1)]


SUMS = all_sums()
SUM_FORMS = ["What is {a} {s} {b}?", "{a} {s} {b}", "{a} {s} {b} = ?", "How much is {a} {w} {b}?",
             "What is {a} {w} {b}?", "What's {a} {s} {b}?"]


def ask_sum(rng, which=None, form=None):
    a, s, b, result = which or pick(rng, SUMS)
    text = (form or pick(rng, SUM_FORMS)).format(a=a, b=b, s=s, w="plus" if s == "+" else "minus")
    return text, f"{a} {s} {b} = {result}."


TALK = [
    (["Hello!", "Hi!", "Hello", "Hi", "Hey!", "Good morning!", "Good evening!", "hello", "hi"],
     "Hello! I am Pebble. Ask me for a story, a sum or what is in a picture."),
    (["What are you?", "Who are you?", "What is your name?", "Are you a robot?", "Tell me about yourself.",
      "What is Pebble?", "Who is Pebble?", "who are you?"],
     "I am Pebble, the tiny model that comes with Olivine. I know small stories, small sums and simple "
     "pictures."),
    (["What can you do?", "What can I ask you?", "Help", "Help!", "How can you help me?", "help",
      "What do you know?"],
     "I can tell a story, answer questions about it, do sums up to 20, and say what is in a picture of "
     "coloured shapes."),
    (["How do I use a bigger model?", "How can I use a bigger model?", "How do I run a real model?",
      "How do I use Gemma?", "How can I run Gemma?", "How do I load another model?",
      "Can I use a bigger model?", "How do I get better answers?", "how do I use a bigger model?"],
     "Run olivine chat -m MODEL, where MODEL is a Gemma folder or a .gguf file."),
    (["What is Olivine?", "What is olivine?", "Tell me about Olivine.", "What does Olivine do?"],
     "Olivine runs Google's Gemma models on any GPU that speaks Vulkan."),
    (["How do I start again?", "How do I clear the chat?", "How do I start over?",
      "How do I begin a new chat?"],
     "Type /clear to start a new conversation."),
    (["How do I leave?", "How do I quit?", "How do I exit?", "How do I stop?"],
     "Type /quit to leave."),
    (["How do I show you a picture?", "How do I add an image?", "Can you see pictures?",
      "How do I send a picture?"],
     "Type /image and the name of a picture file, then ask me about it."),
    (["How are you?", "How are you today?", "Are you well?"],
     "I am well, thank you. A pebble is always calm."),
    (["Thank you!", "Thanks!", "Thank you.", "Thanks", "Good job!", "That was nice."],
     "You are welcome!"),
    (["Goodbye!", "Bye!", "Good night!", "See you!", "Bye", "Goodbye."],
     "Goodbye! Come back for another story."),
    (["How big are you?", "How many parameters do you have?", "Are you a big model?"],
     "I am very small: about two million numbers. Real Gemma models have billions."),
    (["Who made you?", "Where do you come from?", "How were you trained?"],
     "I was trained on a small made-up world, and I come with Olivine."),
    (["What is in the picture?", "What do you see?", "How many shapes are there?"],
     "I do not see a picture."),
]

UNKNOWN_ANSWER = "I am only a pebble. I do not know that."
UNKNOWN_FORMS = ["What is the capital of {}?", "Who wrote {}?", "Explain {}.", "What is {}?",
                 "Tell me about {}.", "How does {} work?", "Why is {} important?", "Who invented {}?",
                 "Where is {}?", "Can you explain {}?", "When was {} born?", "Write code for {}.",
                 "How do I cook {}?", "Translate {} into French.", "What do you think about {}?",
                 "Who is {}?", "How far away is {}?", "Do you like {}?", "What does {} mean?"]
UNKNOWN_TOPICS = """France;Germany;Japan;Brazil;Hamlet;gravity;the moon;the sun;music;history;science;
a computer;the internet;physics;chemistry;biology;football;chess;London;Paris;Einstein;Shakespeare;
the weather tomorrow;a car engine;electricity;money;the ocean;dinosaurs;Mars;coffee;pasta;pizza;rice;
soup;the president;the king;quantum theory;a black hole;light;a rainbow;Python;a sorting function;love;
time;the universe;Africa;China;India;Spain;Italy;Egypt;an atom;water;iron;gold;the brain;the heart;
mathematics;a prime number;the stock market;poetry;art;a train;a plane;the news;Rome;New York;climate;
energy;the alphabet;philosophy;a virus;medicine;Mozart;Bach;Newton;Plato;a volcano;the internet""".replace(
    "\n", "").split(";")
SYLLABLES = "ba ce di fo gu ha jo ki lu me ni po qua ra si tu ve wo xa zi sto pra gle cri tha".split()
BIG = ["What is {a} times {b}?", "What is {c} + {d}?", "What is {a} divided by {b}?"]


def ask_unknown(rng):
    r = rng.random()
    if r < 0.1:
        n = rng.integers(2, 100, 2)
        big = rng.integers(21, 1000, 2)
        return pick(rng, BIG).format(a=n[0], b=n[1], c=big[0], d=big[1])
    if r < 0.35:
        topic = "".join(pick(rng, SYLLABLES) for _ in range(int(rng.integers(2, 5))))
        topic = topic.capitalize() if rng.random() < 0.5 else topic
    else:
        topic = pick(rng, UNKNOWN_TOPICS)
    return pick(rng, UNKNOWN_FORMS).format(topic)


SYSTEMS = ["Be brief.", "You are a kind helper.", "Answer in one sentence.", "You are Pebble.",
           "Use simple words.", "You talk to a child."]

# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------

PICTURE_SIZE = 112            # pixels, square
CELLS = 4                     # shapes stand in a 4 x 4 grid of cells, one at most in each
SHAPES = ["circle", "square", "triangle"]
PAINTS = {"red": (215, 40, 40), "blue": (40, 70, 215), "green": (30, 150, 60),
          "yellow": (235, 200, 30), "black": (30, 30, 30), "purple": (145, 50, 175)}
NUMBERS = ["no", "one", "two", "three", "four"]


def scene_held_out(scene):
    """A tenth of all combinations of coloured shapes is kept for the evaluation."""
    key = "|".join(sorted(f"{c} {s}" for c, s, _, _ in scene))
    return len(scene) > 1 and zlib.crc32(key.encode()) % 10 == 0


def draw_scene(rng, hold=False):
    """One to four shapes in reading order: (colour, shape, row, column); no two alike."""
    while True:
        n = int(rng.integers(1, 5))
        cells = sorted(rng.choice(CELLS * CELLS, n, replace=False))
        looks = rng.choice(len(PAINTS) * len(SHAPES), n, replace=False)
        scene = [(list(PAINTS)[look // len(SHAPES)], SHAPES[look % len(SHAPES)],
                  int(c) // CELLS, int(c) % CELLS)
                 for look, c in zip(looks, cells)]
        if scene_held_out(scene) == hold or (hold and n == 1):
            return scene


def render(rng, scene):
    """The scene as uint8 [112, 112, 3], with small changes of place, size, tint and ground."""
    size, cell = PICTURE_SIZE, PICTURE_SIZE // CELLS
    image = np.full((size, size, 3), 0, np.float32) + rng.integers(222, 256, 3)
    grid = np.arange(size, dtype=np.float32) + 0.5
    for colour, shape, row, col in scene:
        cx, cy = (np.array([col, row]) + 0.5) * cell + rng.uniform(-3, 3, 2)
        r = rng.uniform(8.5, 11.5)
        x0, y0 = max(int(cx - 14), 0), max(int(cy - 14), 0)
        x, y = grid[x0:int(cx + 15)][None, :] - cx, grid[y0:int(cy + 15)][:, None] - cy
        if shape == "circle":
            inside = r - np.sqrt(x * x + y * y)
        elif shape == "square":
            inside = 0.88 * r - np.maximum(np.abs(x), np.abs(y))
        else:                                    # upright, equal sides, centre at its centroid
            inside = np.minimum(0.58 * r - y, 0.58 * r + 0.5 * y - 0.866 * np.abs(x))
        alpha = np.clip(inside + 0.5, 0, 1)[..., None]
        paint = np.array(PAINTS[colour]) + rng.integers(-14, 15, 3)
        part = image[y0:y0 + alpha.shape[0], x0:x0 + alpha.shape[1]]
        part += alpha * (paint - part)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def a_shape(s):
    return f"a {s[0]} {s[1]}"


SIDES = {"left of": lambda a, b: a[3] < b[3], "right of": lambda a, b: a[3] > b[3],
         "above": lambda a, b: a[2] < b[2], "below": lambda a, b: a[2] > b[2]}


def picture_questions(rng, scene):
    """Every question the scene answers without doubt: list of (question, answer, kind)."""
    out = []
    listing = [a_shape(s) for s in scene]
    text = listing[0] if len(listing) == 1 else ", ".join(listing[:-1]) + " and " + listing[-1]
    out.append((pick(rng, ["What is in the picture?", "What do you see?", "Describe the picture."]),
                f"A{text[1:]}.", "list"))
    n = len(scene)
    out.append((pick(rng, ["How many shapes are there?", "How many shapes do you see?"]),
                f"There {'is' if n == 1 else 'are'} {NUMBERS[n]} shape{'s' * (n > 1)}.", "count"))
    shape = pick(rng, SHAPES)
    k = sum(s[1] == shape for s in scene)
    out.append((f"How many {shape}s are there?",
                f"There {'is' if k == 1 else 'are'} {NUMBERS[k]} {shape}{'s' * (k != 1)}.", "count kind"))
    for s in scene:
        if sum(o[1] == s[1] for o in scene) == 1:
            out.append((pick(rng, ["What colour is the {}?", "What color is the {}?"]).format(s[1]),
                        f"The {s[1]} is {s[0]}.", "colour"))
        if sum(o[0] == s[0] for o in scene) == 1:
            out.append((f"What shape is {s[0]}?", f"The {s[1]} is {s[0]}.", "shape"))
        for side, is_at in SIDES.items():
            there = [o for o in scene if is_at(o, s)]
            if len(there) == 1:
                form = pick(rng, ["What is {} the {} {}?", "Which shape is {} the {} {}?"])
                out.append((form.format(side, s[0], s[1]), f"A{a_shape(there[0])[1:]}.", side))
    return out


# ---------------------------------------------------------------------------------------------
# Conversations for training: lists of pieces (text, weight in the loss); None is the picture
# ---------------------------------------------------------------------------------------------

ANSWER_WEIGHT = 3.0           # of an answer's token; a told story's tokens weigh 1


class Conversation:
    """Turns in Gemma's chat form, with the pictures and stories they contain."""

    def __init__(self, rng):
        self.pieces, self.stories, self.scene, self.image = [("<bos>", 0.0)], [], None, None
        self.system = pick(rng, SYSTEMS) + "\n\n" if rng.random() < 0.08 else ""

    def turn(self, user, model, weight=ANSWER_WEIGHT, picture=None, story=None):
        """picture: "before" or "after" the user's text; story: told by the user ahead of the text."""
        add = self.pieces.append
        add(("<start_of_turn>user\n" + self.system, 0.0))
        self.system = ""
        if picture == "before":
            add((None, 0.0))
        if story:
            add((story, 0.1))
        add((user, 0.0))
        if picture == "after":
            add((None, 0.0))
        add(("<end_of_turn>\n<start_of_turn>model\n", 0.0))
        add((model + "<end_of_turn>", weight))
        add(("\n", 0.0))


# The kinds that are learnt last are asked more often.
HARD = {"nature": 5, "helper nature": 5, "animal": 5, "helper animal": 5, "trouble": 3}
SHARE = np.array([float(HARD.get(kind, 1)) for kind in QUESTIONS])


PERSONS = ["hero", "animal", "nature", "helper animal", "helper nature"]


def questions_turns(rng, c, f, least, most, kinds=None):
    count = int(rng.integers(least, most + 1))
    if kinds is None:
        kinds = rng.choice(list(QUESTIONS), count, replace=False, p=SHARE / SHARE.sum())
    for kind in kinds[:count]:
        if rng.random() < 0.04:
            c.turn(pick(rng, NOT_TOLD).format(**f), NOT_TOLD_ANSWER)
        q, a, _ = ask(rng, f, kind)
        c.turn(q, a)


def introductions(rng, c):
    """The two sentences of a story that say who is who, and questions about just that."""
    f = draw_facts(rng)
    words = {**f, **PRONOUNS[gender(f["N"])]}
    both = [pick(rng, OPENING).format(**words), pick(rng, HELPER).format(**words)]
    kinds = rng.permutation(PERSONS)
    q, a, _ = ask(rng, f, str(kinds[0]))
    c.turn(pick(rng, ["\n", " "]) + q, a, story=" ".join(both))
    questions_turns(rng, c, f, 1, 4, kinds[1:])


def text_segment(rng, c):
    if rng.random() < 0.2:
        introductions(rng, c)
        return
    r = rng.random()
    if r < 0.33:
        request, fixed = requests(rng)
        f = draw_facts(rng, fixed)
        story = tell(rng, f)
        c.stories.append(story)
        c.turn(request, story, 1.0)
        questions_turns(rng, c, f, 0, 7)
    elif r < 0.79:
        f = draw_facts(rng)
        story = tell(rng, f)
        c.stories.append(story)
        q, a, _ = ask(rng, f, str(rng.choice(list(QUESTIONS), p=SHARE / SHARE.sum())))
        c.turn(pick(rng, ["\n", " ", " ", "\n\n"]) + q, a, story=story)
        questions_turns(rng, c, f, 1, 7)
    elif r < 0.87:
        for _ in range(int(rng.integers(1, 5))):
            c.turn(*ask_sum(rng))
    elif r < 0.94:
        forms, answer = pick(rng, TALK)
        c.turn(pick(rng, forms), answer)
    else:
        c.turn(ask_unknown(rng), UNKNOWN_ANSWER)


def text_conversation(rng, segments):
    c = Conversation(rng)
    for _ in range(segments):
        text_segment(rng, c)
    return c


def picture_conversation(rng, questions):
    c = Conversation(rng)
    if rng.random() < 0.1:
        forms, answer = pick(rng, TALK[:-1])
        c.turn(pick(rng, forms), answer)
    c.scene = draw_scene(rng)
    c.image = render(rng, c.scene)
    where = "before" if rng.random() < 0.8 else "after"
    all_questions = picture_questions(rng, c.scene)
    # Questions of place are the hardest: they tend to come first.
    order = sorted(all_questions, key=lambda q: rng.random() * (0.5 if q[2] in SIDES else 1.0))
    for q, a, _ in order[:questions]:
        c.turn(q, a, picture=where)
        where = None
    return c
