"""Everyday prompts of about 50 words, all different, so that no cache answers them."""

from __future__ import annotations

import random
from itertools import count

_TEMPLATES = (
    "My neighbour's parcel was left at our house in {city} on {day}, and she is away for {few} weeks. It "
    "weighs {n} grams and seems to be something to eat. Would you keep it cool, open it, or send it back,"
    " and how would you tell her without spoiling a surprise?",
    "I have {n} photographs from our summer in {city}, sorted by day, and would like to print {few} of "
    "them as a small book for my parents. What should I look for in paper and size, and which printing "
    "works well for pictures taken at dusk?",
    "Our bakery in {city} sells about {n} loaves a week. Since {day} the dough has been rising too "
    "slowly, although flour, yeast and water are the same as always. Which {few} causes would you check "
    "first, and in which order?",
    "The report says that {n} people took the early train to {city} on {day}, {few} per cent more than a "
    "year ago. How can I show this in one chart, so that a reader sees the growth and is not misled about"
    " how large it is?",
    "My daughter is learning fractions and got {few} of her exercises wrong on {day}. Can you explain how"
    " to add one third and {few} sevenths with a picture that she can draw by herself, and then give her "
    "{n} cents to share among friends as an example?",
    "We rent a flat in {city} for {n} a month and will move out at the end of the year. What does a good "
    "letter to the landlord contain, how early should it be sent, and what ought we to photograph on the "
    "last {day} before we hand over the {few} keys?",
    "A table with {n} rows of weather measurements from {city} has {few} columns, and some values are "
    "missing on every {day}. What is a sensible way to fill the gaps before I compute monthly means, and "
    "when would it be better to leave them empty?",
    "Our choir has {n} members and sings in {city} every {day}. We are looking for {few} songs for spring"
    " that altos will enjoy as well as sopranos, not too long, and easy enough to learn in a month of "
    "evening rehearsals.",
)
_CITIES = (
    "Porto",
    "Bergen",
    "Lyon",
    "Graz",
    "Turku",
    "Leeds",
    "Delft",
    "Zadar",
    "Split",
    "Ghent",
    "Basel",
    "Malmö",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_serial = count(1)
_random = random.Random(20)


def prompt() -> str:
    """Return a new prompt of about 50 words."""
    return _random.choice(_TEMPLATES).format(
        n=next(_serial) + 200,
        few=_random.randint(3, 9),
        city=_random.choice(_CITIES),
        day=_random.choice(_DAYS),
    )
