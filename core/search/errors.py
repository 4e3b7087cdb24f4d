"""What can go wrong for a reason the caller can act on.

Every message says what was received, what is allowed, and what to do. `code` is what a log keeps of it.
"""

# How allocators say it that have no exception of their own for it; the last two are torch's on a CPU.
NO_MEMORY = ("cuda out of memory", "cuda error: out of memory", "cublas_status_alloc_failed", "not enough memory",
             "can't allocate memory")


class BeamscopeError(Exception):
    code = "error"


class BadRequest(BeamscopeError):
    """The request cannot be met as it stands: an unknown name, an impossible value, a budget too small."""

    code = "bad_request"


class BudgetExhausted(BeamscopeError):
    """The next model call would spend more than the budget has left. Nothing of it was computed."""

    code = "budget_exhausted"


class UnsupportedStrategy(BeamscopeError):
    """The strategy needs something this generator does not do."""

    code = "unsupported_strategy"


class WeightsMissing(BeamscopeError):
    """A model is known by name but its weights are not on this machine."""

    code = "weights_missing"


class DownloadFailed(BeamscopeError):
    """Weights could not be fetched whole. What arrived is kept, and the next attempt goes on from it."""

    code = "download_failed"


class PromptOutOfWorld(BeamscopeError):
    """The embedded world knows no word of the prompt."""

    code = "prompt_out_of_world"


class OutOfMemory(BeamscopeError):
    """A model call needed more memory than there is. Nothing of it was computed.

    `hopeless`: nor would a narrower search have room for it.
    """

    code = "out_of_memory"

    def __init__(self, message: str, hopeless: bool = False):
        super().__init__(message)
        self.hopeless = hopeless


class VerifierFailed(BeamscopeError):
    """A verifier that guides or judges raised. What it had not scored stays without a score."""

    code = "verifier_failed"


class DiskFull(BeamscopeError):
    """There is no space left to keep a run. What was kept before is whole."""

    code = "disk_full"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of whatever library says that memory is used up. Nothing is imported to tell."""
    if isinstance(error, MemoryError | OutOfMemory) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


def is_hopeless(error: BaseException) -> bool:
    """Whether memory is too small for any search, as far as the error tells."""
    return isinstance(error, OutOfMemory) and error.hopeless
