"""Requests that are refused for who asks or when, each with the HTTP status that says so."""

from core.search.errors import BadRequest


class NoSuchRun(BadRequest):
    """No run of this id, or none for this visitor: nobody learns which."""

    status = 404


class NotYours(BadRequest):
    """Only the visitor who started a run may change it."""

    status = 403


class TooSoon(BadRequest):
    """The visitor starts searches faster than is fair to the others."""

    status = 429
