"""How many words of a text were heard wrongly.

Runs in: the benchmark.
"""

import re
from collections.abc import Sequence

import numpy as np

NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
            *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
        )
    )
} | {
    word: str(number)
    for number, word in zip(
        range(20, 100, 10),
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
        strict=True,
    )
}


def plain_words(text: str) -> list[str]:
    """Lower case, no punctuation, numbers in digits: "At nine thirty." and "at 9.30" are the same three words."""
    found = re.findall(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("’", "'"))
    return [NUMBERS.get(word, word) for word in found]


def word_error_rate(reference: str, heard: str) -> float:
    """Wrong, missing and additional words for each word of the reference; 0 is perfect.

    Raises ValueError for a reference without words.
    """
    expected = plain_words(reference)
    if not expected:
        raise ValueError("a reference without words has no error rate")
    return word_distance(expected, plain_words(heard)) / len(expected)


def word_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein's distance over words, a row at a time.

    The cheapest insertion up to each column is a running minimum, once every column is credited with its own number.
    """
    number = {word: place for place, word in enumerate(dict.fromkeys((*one, *other)))}
    columns = np.array([number[word] for word in other], dtype=np.int64)
    places = np.arange(len(other) + 1)
    row = places
    for word in one:
        below = row + 1
        below[1:] = np.minimum(below[1:], row[:-1] + (columns != number[word]))
        row = np.minimum.accumulate(below - places) + places
    return int(row[-1])
