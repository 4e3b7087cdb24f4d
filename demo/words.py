"""Errors as the page says them."""

import logging

from core.search.errors import BeamscopeError, UnsupportedStrategy
from demo import strings
from demo.component import line, lines

log = logging.getLogger(__name__)


def complaint(error: Exception) -> dict:
    """What is wrong with a request, as a sentence in the place where messages stand."""
    return lines(line("error", ("plain", sentence(error))))


def sentence(error: Exception) -> str:
    """An error in words. That a strategy does not work on a model is said in the very words of the command line."""
    if not isinstance(error, BeamscopeError):
        log.error("a request failed", exc_info=error)
        return strings.UNEXPECTED
    if isinstance(error, UnsupportedStrategy):
        return str(error)
    return strings.sentence(str(error))
