"""FLOPs of a transformer's parts for one item, a multiplication and an addition counted as two.

Norms, activations and softmax are left out, as torch.utils.flop_counter leaves them out.
"""


def linear(tokens: int, inside: int, outside: int) -> int:
    return 2 * tokens * inside * outside


def attention(queries: int, keys: int, width: int) -> int:
    """Scores and their weighted sum, `width` over all heads; a causal mask saves nothing here."""
    return 4 * queries * keys * width


def block(tokens: int, width: int, hidden: int) -> int:
    """Self-attention with its four projections, and an MLP of two layers."""
    projections = 4 * linear(tokens, width, width)
    return projections + attention(tokens, tokens, width) + 2 * linear(tokens, width, hidden)


def patches(side: int, patch: int, width: int) -> int:
    """The convolution that makes tokens of an RGB image."""
    return linear((side // patch) ** 2, 3 * patch**2, width)
