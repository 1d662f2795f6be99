"""The words of the story grammar."""

from __future__ import annotations

from lmlab.data.grammar import WordForms


def _girl(name: str) -> WordForms:
    return {"": name, "he": "she", "him": "her", "his": "her", "He": "She", "child": "girl"}


def _boy(name: str) -> WordForms:
    return {"": name, "he": "he", "him": "him", "his": "his", "He": "He", "child": "boy"}


def _named(*names: str) -> list[WordForms]:
    """Nouns, with their article."""
    return [{"": name, "a": f"an {name}" if name[0] in "aeiou" else f"a {name}"} for name in names]


def _plain(*words: str) -> list[WordForms]:
    return [{"": word} for word in words]


CHILDREN = [
    *map(_girl, ["Anna", "Bella", "Clara", "Dora", "Emma", "Grace", "Ida", "Lily", "Mia", "Nora",
                 "Rosa", "Sara", "Tess", "Zoe"]),
    *map(_boy, ["Adam", "Ben", "Carl", "Dan", "Emil", "Finn", "Hugo", "Jack", "Leo", "Max",
                "Noah", "Oscar", "Sam", "Tom"]),
]  # fmt: skip

GROWN_UPS: list[WordForms] = [
    {"": "mother", "he": "she", "him": "her", "his": "her", "He": "She"},
    {"": "father", "he": "he", "him": "him", "his": "his", "He": "He"},
    {"": "grandmother", "he": "she", "him": "her", "his": "her", "He": "She"},
    {"": "grandfather", "he": "he", "him": "him", "his": "his", "He": "He"},
    {"": "aunt", "he": "she", "him": "her", "his": "her", "He": "She"},
    {"": "uncle", "he": "he", "him": "him", "his": "his", "He": "He"},
]

ANIMALS = _named(
    "cat", "dog", "rabbit", "duck", "hedgehog", "fox", "owl", "goat", "squirrel", "pony", "turtle",
    "mouse",
)  # fmt: skip

TOYS = _named(
    "ball", "kite", "doll", "drum", "boat", "train", "hat", "cup", "book", "bell", "whistle",
    "umbrella", "basket", "lamp", "scarf", "top",
)  # fmt: skip

COLOURS = [
    {"": word, "a": f"an {word}" if word[0] in "aeiou" else f"a {word}"}
    for word in ("red", "blue", "green", "yellow", "white", "brown", "orange", "purple")
]

PLACES = _plain(
    "in the garden", "by the river", "in the park", "on the hill", "near the old mill",
    "behind the barn", "at the edge of the forest", "on the beach", "under the big oak tree",
    "in the attic",
)  # fmt: skip

HIDING_PLACES = _plain(
    "under the bed", "behind the door", "in the tall grass", "under a bench", "in an old box",
    "behind a rock", "on the highest shelf", "beside the well",
)  # fmt: skip

FOODS = [
    {"": name, "some": some}
    for name, some in (
        ("bread", "some bread"), ("apple", "an apple"), ("cheese", "some cheese"),
        ("carrot", "a carrot"), ("pear", "a pear"), ("nuts", "some nuts"),
    )
]  # fmt: skip

DISHES = _named("cake", "pie", "soup", "stew", "pudding", "salad")

INGREDIENTS = _plain(
    "apples", "plums", "honey", "carrots", "milk", "berries", "pumpkin", "nuts", "butter"
)

WEATHERS = _plain("sunny", "windy", "cloudy", "rainy", "snowy", "foggy", "warm", "cold")

PET_NAMES = _plain("Star", "Pepper", "Button", "Moss", "Pip", "Snow")

GOOD_FEELINGS = _plain("happy", "proud", "glad", "cheerful")
BAD_FEELINGS = _plain("sad", "worried", "upset", "cross")
