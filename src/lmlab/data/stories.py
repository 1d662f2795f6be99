"""The story grammar: openings, plots and endings.

Alternatives of a choice begin or continue with different words, and every optional sentence differs
from the one after it, so each story has exactly one derivation.
"""

from __future__ import annotations

from lmlab.data import story_words as words
from lmlab.data.grammar import OneOf, Pick, Seq, maybe

_HERO = Pick("hero", words.CHILDREN)
_FRIEND = Pick("friend", words.CHILDREN, but_not="hero")
_GROWN = Pick("grown", words.GROWN_UPS)
_PLACE = Pick("place", words.PLACES)
_GOOD = Pick("good", words.GOOD_FEELINGS)
_BAD = Pick("bad", words.BAD_FEELINGS)
_COLOURED_TOY = (Pick("colour", words.COLOURS, "a"), " ", Pick("toy", words.TOYS))

_OPENING = OneOf(
    (5, ("Once upon a time there was a ", OneOf((3, "little "), (2, "kind "), (1, "clever ")),
         OneOf((1, "child"), (2, "young one")), " called ", _HERO, ".")),
    (4, ("One day ", _HERO, " woke up early.")),
    (2, ("There once was a child whose name was ", _HERO, ".")),
    (1, ("Everybody in the village knew ", _HERO, ".")),
)  # fmt: skip

_WEATHER = maybe(
    0.6,
    OneOf(
        (3, (" It was a ", Pick("weather", words.WEATHERS), " day.")),
        (1, (" Outside it was ", Pick("weather", words.WEATHERS), ", and the birds were quiet.")),
        (1, (" The morning was ", Pick("weather", words.WEATHERS), " and still.")),
    ),
)

_LOST = Seq(
    " {hero} had ", *_COLOURED_TOY, " that {hero.he} loved very much.",
    OneOf(
        (3, (" But that morning the {toy} was gone.")),
        (2, (" But when {hero.he} wanted to play, the {toy} was nowhere to be seen.")),
        (1, (" But the wind took the {toy} away.")),
    ),
    (" {hero} was ", _BAD, "."),
    OneOf(
        (2, (" {hero.He} looked ", Pick("first", words.HIDING_PLACES), ", but it was not there.")),
        (1, (" First {hero.he} searched ", Pick("first", words.HIDING_PLACES),
             " and found nothing.")),
    ),
    maybe(0.5, OneOf((1, " {hero} began to cry."), (1, " {hero} did not give up."))),
    OneOf(
        (3, (" Then {hero.his} friend ", _FRIEND, ' came and said, "Let us look together."')),
        (2, (" Then ", _FRIEND, ' came along and asked, "What are you looking for?"',
             ' "My {colour} {toy}," said {hero}.')),
    ),
    (" They found the {toy} ", Pick("second", words.HIDING_PLACES, but_not="first"), "."),
    OneOf(
        (2, ' "Thank you, {friend}!" said {hero}.'),
        (1, " {hero} gave {friend} a hug."),
        (1, " {hero} and {friend} laughed and danced."),
    ),
    maybe(0.5, " From then on {hero} kept the {toy} in a safe place."),
)  # fmt: skip

_SHARING = Seq(
    " {hero} went to play ", _PLACE, " with ", *_COLOURED_TOY, ".",
    (" Soon ", _FRIEND, " came too."),
    OneOf(
        (2, ' "May I play with your {toy}?" asked {friend}.'),
        (1, ' {friend} looked at the {toy} and said, "I wish I had one."'),
    ),
    OneOf(
        (2, ' "No, it is mine," said {hero}.'),
        (1, " {hero} held the {colour} {toy} tight and said nothing."),
    ),
    (" {friend} was ", _BAD, " and sat down alone."),
    OneOf(
        (2, (" After a while {hero} felt sorry.")),
        (2, (" But playing alone was no fun for {hero}.")),
        (1, (" {hero.He} remembered what {hero.his} ", _GROWN, ' had told {hero.him}: "Share what'
             ' you love."')),
    ),
    OneOf(
        (1, " {hero.He} went over and gave {friend} the {toy}."),
        (1, ' "Here," {hero.he} said, "you may have the {toy} first."'),
    ),
    maybe(0.6, " They played until the sun went down."),
    (" Both children were ", _GOOD, "."),
)  # fmt: skip

_RESCUE = Seq(
    " {hero} was walking ", _PLACE, " when {hero.he} heard a small sound.",
    OneOf(
        (2, (" It was ", Pick("animal", words.ANIMALS, "a"), " that could not get home.")),
        (2, (" There sat ", Pick("animal", words.ANIMALS, "a"), " with a hurt leg.")),
        (1, (" It came from ", Pick("animal", words.ANIMALS, "a"), " in a deep hole.")),
    ),
    OneOf(
        (2, ' "Do not be afraid," said {hero}.'),
        (1, ' "Poor little {animal}," said {hero}. "I will help you."'),
    ),
    OneOf(
        (2, (" {hero.He} gave the {animal} ", Pick("food", words.FOODS, "some"),
             " and waited until it was calm.")),
        (2, (" {hero.He} ran home to fetch {hero.his} ", _GROWN, ".",
             " Together they carried the {animal} into the house.")),
        (1, (" {hero.He} put the {animal} into {hero.his} ", Pick("colour", words.COLOURS),
             " hat to keep it warm.")),
    ),
    maybe(0.5, OneOf((1, " It slept all night."), (1, " The next morning it was well again."))),
    OneOf(
        (2, " From that day on the {animal} followed {hero} everywhere."),
        (2, " The {animal} looked back once more and ran into the woods."),
        (1, (" {hero} called it ", Pick("pet", words.PET_NAMES), ", and they became friends.")),
    ),
)  # fmt: skip

_COOKING = Seq(
    " {hero} wanted to make ", Pick("dish", words.DISHES, "a"), " for {hero.his} ", _GROWN, ".",
    OneOf(
        (2, (" {hero.He} took ", Pick("one", words.INGREDIENTS), " and ",
             Pick("two", words.INGREDIENTS, but_not="one"), " and mixed them in a bowl.")),
        (1, (" For that {hero.he} needed ", Pick("one", words.INGREDIENTS), ", but there was only ",
             Pick("two", words.INGREDIENTS, but_not="one"), " in the kitchen.")),
    ),
    maybe(0.5, (" Soon ", _FRIEND, " came to help.")),
    OneOf(
        (2, " The {dish} had to cook for a long time."),
        (1, " Oh no, the first {dish} fell on the floor! {hero} had to begin again."),
    ),
    OneOf(
        (2, (" At last the {dish} was ready, and the whole house smelled of {one}.")),
        (1, (" In the evening the {dish} stood on the table.")),
    ),
    OneOf(
        (2, ' "This is the best {dish} I ever had," said the {grown}.'),
        (1, ' "You put {two} in it!" said the {grown} and laughed.'),
    ),
    (" {hero} was ", _GOOD, "."),
)  # fmt: skip

_FEAR = Seq(
    OneOf(
        (1, " {hero} was afraid of the dark."),
        (1, " {hero} was afraid of deep water."),
        (1, " {hero} was afraid of loud noises."),
    ),
    (" {hero.He} told {hero.his} ", _GROWN, " about it."),
    OneOf(
        (2, ' "Everyone is afraid of something," said the {grown}.'),
        (1, ' The {grown} smiled and said, "When I was small I was afraid too."'),
    ),
    (" Then the {grown} gave {hero.him} ", *_COLOURED_TOY, "."),
    ' "When you are afraid, hold the {toy} and count to ',
    OneOf((1, "three"), (1, "five"), (1, "ten"), (1, "seven")), ',"',
    " {grown.he} said.",
    (" That night {hero} and ", _FRIEND, " went out and stood ", _PLACE, "."),
    maybe(0.5, OneOf((1, " Something moved."), (1, " A twig broke."))),
    " {hero} held the {colour} {toy} and counted.",
    OneOf(
        (2, (" And it was only ", Pick("animal", words.ANIMALS, "a"), "!")),
        (1, " And nothing bad happened."),
    ),
    ' "I did it!" said {hero}, and {friend} was ',
    _GOOD, " too.",
)  # fmt: skip

_JOURNEY = Seq(
    " {hero} and {hero.his} ", _GROWN, " went on a journey to see ",
    OneOf((1, "the sea"), (1, "the mountains"), (1, "the big city"), (1, "an old castle")), ".",
    (" They took along ", Pick("food", words.FOODS, "some"), " and ", *_COLOURED_TOY, "."),
    OneOf(
        (2, (" On the way they met ", _FRIEND, ", who was going there too.")),
        (1, (" At the bridge ", _FRIEND, " was waiting for them.")),
    ),
    OneOf(
        (2, (" Suddenly it began to ", OneOf((2, "rain"), (1, "snow")),
             ", and they hid in a little house ", _PLACE, ".")),
        (1, (" Then they lost the way, and a friendly ", Pick("animal", words.ANIMALS),
             " showed them where to go.")),
    ),
    maybe(0.6, ' "Are we there yet?" asked {friend}.'),
    maybe(0.6, " They ate the {food} and told each other stories."),
    OneOf(
        (1, " When they arrived, {hero} could not believe {hero.his} eyes."),
        (1, " In the end they got there, and everyone was tired."),
    ),
    (" Before they went home, {hero} gave the {colour} {toy} to {friend}, and they were both ",
     _GOOD, "."),
)  # fmt: skip

_PLOT = OneOf(
    (4, _LOST), (3, _SHARING), (4, _RESCUE), (3, _COOKING), (2, _FEAR), (3, _JOURNEY)
)  # fmt: skip

_MORAL = OneOf(
    (3, ""),
    (1, " And that is the end of the story."),
    (1, " A good friend is worth more than gold."),
    (1, " Being kind makes everyone happy."),
    (1, " Sometimes you only have to try again."),
)

_NEXT_DAY = OneOf(
    (2, " The next day was quite different."), (1, " A week later there was more to do.")
)

STORY = Seq(_OPENING, _WEATHER, _PLOT, maybe(0.4, (_NEXT_DAY, _PLOT)), _MORAL)

SEPARATOR = "\n<|endoftext|>\n"  # follows each story of a text
DOCUMENT = Seq(STORY, SEPARATOR)
