"""PyTorch's U-Net with the layers of `unet`: 4.9 M parameters, its step, its AdamW."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128, 256, 256)
STRIDE = 32


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, each normalised."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.05),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """uint8 images (N, 3, H, W) give float32 logits (N, C, H, W)."""

    def __init__(self, num_classes: int):
        super().__init__()
        below = (3, *WIDTHS[:-1])
        pairs = zip(below, WIDTHS, strict=True)
        self.down = nn.ModuleList(block(*pair) for pair in pairs)
        pairs = zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)  # from below
        self.up = nn.ModuleList(block(deep + width, width) for deep, width in pairs)
        self.head = nn.Conv2d(WIDTHS[0], num_classes, 1)

    def forward(self, images: Any) -> Any:
        height, width = images.shape[-2:]
        x = images.float() / 127.5 - 1
        x = functional.pad(x, (0, -width % STRIDE, 0, -height % STRIDE))
        skips = []
        for index, layers in enumerate(self.down):
            x = layers(functional.max_pool2d(x, 2) if index else x)
            skips.append(x)
        for layers, skip in zip(self.up, skips[-2::-1], strict=True):
            larger = functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = layers(torch.cat([larger, skip], 1))
        return self.head(x)[..., :height, :width].float()


def training_step(
    images: Any, masks: Any, *, num_classes: int, bfloat16: bool, compiled: bool
) -> tuple[Any, int]:
    """A function that takes a step on this batch, and the number of parameters.

    Args:
        images: uint8 (N, H, W, 3), on the host.
        masks: int (N, H, W).
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    network = UNet(num_classes).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, weight_decay=1e-4, fused=device == "cuda"
    )
    weights = torch.ones(num_classes, device=device)
    # Channels-last in memory, as the images come.
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    y = torch.from_numpy(masks).to(device).long()
    forward = torch.compile(network) if compiled else network

    def step() -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            logits = forward(x)
        loss = functional.cross_entropy(logits, y, weight=weights, ignore_index=255)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    tensors = [*network.parameters(), *network.buffers()]
    return step, sum(tensor.numel() for tensor in tensors if tensor.ndim)
