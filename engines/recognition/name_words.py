"""Finds which of a detector's fixed names a word means. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from engines.base import Floats
from engines.recognition.base import WordQuery

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        word: tuple(names.split(", "))
        for words, names in {
            "human, man, woman, child, boy, girl, guy, lady, kid, people, men, women, children, someone": "person",
            "bike, cycle": "bicycle",
            "automobile, taxi, cab": "car",
            "motorbike": "motorcycle",
            "plane, aeroplane, aircraft, jet": "airplane",
            "lorry, van, pickup": "truck",
            "vehicle": "car, bus, truck, motorcycle",
            "ship, canoe, kayak, sailboat": "boat",
            "traffic signal, stoplight": "traffic light",
            "hydrant": "fire hydrant",
            "swan, duck, pigeon, gull, parrot, goose": "bird",
            "kitten": "cat",
            "puppy": "dog",
            "pony": "horse",
            "lamb": "sheep",
            "cattle, bull": "cow",
            "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
            "rucksack": "backpack",
            "bag": "handbag, backpack, suitcase",
            "purse": "handbag",
            "luggage": "suitcase, backpack",
            "parasol": "umbrella",
            "necktie": "tie",
            "ball, football, basketball, soccer ball": "sports ball",
            "bat": "baseball bat",
            "glove": "baseball glove",
            "racket, racquet, tennis racquet": "tennis racket",
            "glass": "wine glass, cup",
            "mug, coffee cup, teacup, coffee mug, tumbler": "cup",
            "dish": "bowl",
            "cutlery": "fork, knife, spoon",
            "fruit": "banana, apple, orange",
            "burger, hamburger": "sandwich",
            "hotdog": "hot dog",
            "doughnut": "donut",
            "seat, armchair, stool": "chair",
            "sofa, settee": "couch",
            "plant, flower, houseplant, pot plant": "potted plant",
            "table, desk": "dining table",
            "lavatory, loo": "toilet",
            "television, tv set, monitor, screen, display": "tv",
            "notebook, computer": "laptop",
            "computer mouse": "mouse",
            "remote control": "remote",
            "phone, mobile, mobile phone, smartphone, cellphone": "cell phone",
            "microwave oven": "microwave",
            "stove, cooker": "oven",
            "washbasin, basin": "sink",
            "fridge": "refrigerator",
            "watch": "clock",
            "teddy, plush, stuffed animal": "teddy bear",
            "hair dryer, hairdryer, blow dryer": "hair drier",
        }.items()
        for word in words.split(", ")
    }
)
"""Other words for names of COCO's categories, and words that several of them share."""
PLURALS: Mapping[str, str] = MappingProxyType({"knives": "knife", "mice": "mouse", "geese": "goose", "skis": "skis"})
_AFTER_NOUN = re.compile(
    r"\s(?:of|on|in|at|by|near|with|without|to|from|for|under|over|above|below|behind|beside|between|next|that|which|"
    r"there|here|please)\b.*"
)
"""What follows the noun that is meant: "cup of coffee", "cup on the left"."""
_ARTICLES = re.compile(r"^(?:(?:the|a|an|my|your|his|her|our|their|this|that|these|those|some|any|one)\s+)+")


def encode_name(text: str, names: Sequence[str]) -> WordQuery:
    """Encode a word as a weight of each name; it is unknown where it means none of them.

    Upper case, plurals, articles, what stands before a known word ("the red mugs") and what follows it ("mug of tea on
    the left") do not matter. Words joined by "and" or "or" mean what any of them means.
    """
    phrase = " ".join(re.sub(r"[^\w\s-]", " ", re.sub(r"[,;/&]", " or ", text.lower())).split())
    code = np.zeros(len(names), np.float32)
    for part in re.split(r"\b(?:and|or)\b", phrase):
        code = np.maximum(code, _encode_noun(part.strip(), names))
    return WordQuery(text, code, is_known=bool(code.any()))


def _encode_noun(phrase: str, names: Sequence[str]) -> Floats:
    """Weigh each name by whether a noun and what is round it mean it; the noun before "of", "on" ... comes first."""
    for noun in dict.fromkeys((_AFTER_NOUN.sub("", phrase), phrase)):
        words = _ARTICLES.sub("", noun).split()
        for begin in range(len(words)):
            meant = set(_list_meanings(" ".join(words[begin:])))
            code = np.array([name in meant for name in names], np.float32)
            if code.any():
                return code
    return np.zeros(len(names), np.float32)


def _list_meanings(word: str) -> Iterator[str]:
    """List a word, its singulars, and the names that they are synonyms of."""
    head, _, last = word.rpartition(" ")
    singular = PLURALS.get(last, last)
    forms = {last, singular, last.removesuffix("s"), last.removesuffix("es"), re.sub("ies$", "y", last)}
    for form in sorted(forms):
        whole = f"{head} {form}".strip()
        yield whole
        yield from SYNONYMS.get(whole, ())


def find_similar_names(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Find the names and synonyms that are spelled nearly so, or share a word with the text; the nearest first."""
    word, known = (
        " ".join(text.lower().split()),
        [*names, *(each for each in SYNONYMS if set(SYNONYMS[each]) & {*names})],
    )
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    parts = [name for name in known if set(word.split()) & set(name.split())]
    return tuple(dict.fromkeys([*near, *parts]))
