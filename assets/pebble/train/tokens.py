"""Pebble's tokenizer: training it on the generated world, and encoding conversations with it."""
import numpy as np
import sentencepiece as spm

import world

PIECES = 1024                    # pieces of tokenizer.model
ROWS = 1088                      # rows of the embedding; like Gemma's, 64 more than pieces
SOFT_ID = PIECES                 # place holder of an image's soft token, never looked up
SOFT_TOKENS = 16                 # per picture
# Control pieces as Gemma has them; runs of newlines are pieces of their own.
SYMBOLS = ["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\n\n\n", "<start_of_image>", "<end_of_image>"]


def corpus(conversations, seed=1):
    rng = np.random.default_rng(seed)
    for i in range(conversations):
        for text, _ in world.text_conversation(rng, 3).pieces:
            for line in text.split("\n"):
                for symbol in SYMBOLS + ["<bos>"]:
                    line = line.replace(symbol, "")
                if line:
                    yield line
        if i % 4 == 0:
            for question, answer, _ in world.picture_questions(rng, world.draw_scene(rng)):
                yield question
                yield answer
    # Every printable character gets a piece, so that foreign words cost letters, not bytes.
    for _ in range(200):
        yield "".join(chr(c) for c in range(33, 127))


def train(path, conversations=6000):
    """Writes path + ".model".  Gemma's settings: BPE, bytes as a last resort, nothing normalised."""
    spm.SentencePieceTrainer.train(
        sentence_iterator=corpus(conversations), model_prefix=path, vocab_size=PIECES,
        model_type="bpe", byte_fallback=True, add_dummy_prefix=False, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=1.0,
        user_defined_symbols=SYMBOLS, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
        eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>", num_threads=1, minloglevel=2)


class Tokenizer:
    def __init__(self, path):
        self.sp = spm.SentencePieceProcessor(model_file=path)
        (self.start_of_turn, self.end_of_turn, self.newline, self.double_newline, _, self.boi, self.eoi) = (
            self.sp.piece_to_id(s) for s in SYMBOLS)
        self.bos, self.eos = self.sp.bos_id(), self.sp.eos_id()
        self.picture = ([self.double_newline, self.boi] + [SOFT_ID] * SOFT_TOKENS
                        + [self.eoi, self.double_newline])
        self._cache = {}

    def encode(self, text):
        """Ids of a text; "<bos>" at its start becomes the id."""
        if text.startswith("<bos>"):
            return [self.bos] + self.encode(text[5:])
        return self.sp.encode(text)

    def decode(self, ids):
        return self.sp.decode([int(i) for i in ids])

    def conversation(self, c):
        """Conversation -> (ids, weight of each id as a target)."""
        ids, weights = [], []
        for text, weight in c.pieces:
            new = self.picture if text is None else self.encode(text)
            ids += new
            weights += [weight] * len(new)
        return ids, weights

    def prompt(self, text, picture=False, history=()):
        """Ids of a chat prompt; picture puts the image ahead of the first user text; history is a
        list of (user, model) turns before it."""
        ids = [self.bos]
        for i, (user, model) in enumerate(list(history) + [(text, None)]):
            ids += self.encode("<start_of_turn>user\n")
            ids += self.picture if picture and i == 0 else []
            ids += self.encode(user + "<end_of_turn>\n<start_of_turn>model\n")
            ids += self.encode(model + "<end_of_turn>\n") if model is not None else []
        return ids
