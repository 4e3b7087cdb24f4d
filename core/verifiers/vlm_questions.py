"""The yes/no questions that a free-text prompt poses: one about the whole of it, then one about each thing it names.

The whole-prompt question is that of VQAScore (Lin et al. 2024), in other words. The things are found without a
grammar: a phrase runs from a determiner or a number to the next word that cannot belong to it. Where that is
doubtful nothing is asked, since a wrong question would count as much as a right one; relations and verbs are asked
about in the first question only.
"""

import math
import re
from functools import lru_cache
from typing import Any

ASK = " Answer yes or no."   # what is said behind a question
YES, NO = ("Yes", "yes"), ("No", "no")
UNDECIDED = math.log(0.5)  # the score where a prompt has no words
MAX_ASKED = 8
LONGEST = 6  # words of a phrase; what seems longer was not understood
_words = re.compile(r"\w+").findall
STARTS = frozenset(_words("a an the one two three four five six seven eight nine ten eleven twelve several many some"))
STOPS = frozenset(_words(
    "and or but with without in on at to by from into onto over under above below beneath beside besides behind near "
    "next inside outside between among against around through across along off up down while that which who whose "
    "where when as like for is are was were has have made his her its their this these those it they there not no "
    "left right"
))  # fmt: skip


@lru_cache(maxsize=1024)
def questions(prompt: str) -> tuple[str, ...]:
    """At most MAX_ASKED, the one about all of it first; none for a prompt without words.

    >>> questions("a photo of two red cups on a table")
    ('Does this image show "a photo of two red cups on a table"?', 'Does this image show two red cups?',
     'Does this image show a table?')
    """
    whole = " ".join(prompt.split())
    if not re.search(r"\w", whole):
        return ()
    parts = [phrase for phrase in phrases(whole) if phrase != whole.strip(" .,;:!?").lower()]
    return (about(whole), *(f"Does this image show {phrase}?" for phrase in parts))[:MAX_ASKED]


def first_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that an answer of yes may begin with, and those of no. Raises ValueError where they are not apart."""
    yes, no = ({tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words} for words in (YES, NO))
    if yes & no:
        raise ValueError("its tokenizer knows no yes and no")
    return sorted(yes), sorted(no)


def about(prompt: str) -> str:
    return f'Does this image show "{prompt}"?'


def phrases(prompt: str) -> list[str]:
    """The things that a prompt names, in lower case, each once."""
    tokens = re.findall(r"\w[\w'’-]*|[^\w\s]", prompt.lower())
    starts = [i for i, token in enumerate(tokens) if _starts(token)]
    found = [_phrase(tokens, start) for start in starts]
    return list(dict.fromkeys(phrase for phrase in found if phrase))


def _starts(token: str) -> bool:
    return token in STARTS or token.isdigit()


def _phrase(tokens: list[str], start: int) -> str | None:
    """The phrase from `start` on; None where it is no thing, as "the side of" a thing, or not understood."""
    end = start + 1
    while end < len(tokens) and not _ends(tokens[end]):
        end += 1
    words, after = tokens[start:end], tokens[end : end + 1]
    if words[-1].endswith("ing") and len(words) > 2:   # a verb before its object ("a man riding a ..."), or a noun
        if not after or not _starts(after[0]):
            return None
        words.pop()
    understood = 2 <= len(words) <= LONGEST and words[-1] != "of"
    return " ".join(words) if understood else None


def _ends(token: str) -> bool:
    return token in STOPS or _starts(token) or not token[0].isalnum()
