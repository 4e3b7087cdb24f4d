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


def vision_tower(side: int, patch: int, width: int, layers: int, hidden: int, out: int) -> int:
    """A vision transformer as CLIP has it: a class token before the patches, and its projection at the end."""
    tokens = (side // patch) ** 2 + 1
    return patches(side, patch, width) + layers * block(tokens, width, hidden) + linear(1, width, out)


def text_tower(words: int, width: int, layers: int, hidden: int, out: int) -> int:
    """A transformer over `words` tokens, of which one is projected at the end."""
    return layers * block(words, width, hidden) + linear(1, width, out)
