"""width-1024-128-64-16-1, dropouts between, no activations: the head of ImageReward, and LAION's aesthetic one."""

from torch import Tensor, nn

from core.models import transformer_flops as flops

WIDTHS = (1024, 128, 64, 16, 1)


class LinearHead(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        a, b, c, d, e = WIDTHS
        self.width = width
        self.layers = nn.Sequential(
            nn.Linear(width, a), nn.Dropout(0.2), nn.Linear(a, b), nn.Dropout(0.2), nn.Linear(b, c), nn.Dropout(0.1),
            nn.Linear(c, d), nn.Linear(d, e),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B]."""
        return self.layers(x).squeeze(-1)

    def flops(self) -> int:
        """Of one row."""
        return sum(flops.linear(1, a, b) for a, b in zip((self.width, *WIDTHS), WIDTHS, strict=False))
