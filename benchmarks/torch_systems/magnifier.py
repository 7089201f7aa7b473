"""The magnifier of Oh et al. in PyTorch; see `dualatme_jax.models.magnifier`."""

import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    """A convolution that pads by reflection, without bias."""

    def __init__(self, channels, features, size, stride=1):
        super().__init__(
            channels, features, size, stride, padding=size // 2, padding_mode='reflect', bias=False
        )


class Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, features):
        super().__init__()
        self.conv1 = Conv(features, features, 3)
        self.conv2 = Conv(features, features, 3)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class First(nn.Module):
    """One convolution, which the published code keeps within a block."""

    def __init__(self, features, size):
        super().__init__()
        self.conv1 = Conv(features, features, size)

    def forward(self, x):
        return self.conv1(x)


def blocks(count, features):
    """So many of them, one behind the other."""
    return nn.Sequential(*(Block(features) for _ in range(count)))


class Encoder(nn.Module):
    """Texture and shape."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = Conv(3, 16, 7), Conv(16, 32, 3, 2)
        self.conv1_text, self.conv1_shape = Conv(32, 32, 3, 2), Conv(32, 32, 3)
        self.resblks, self.resblks_text, self.resblks_shape = blocks(3, 32), blocks(2, 32), blocks(2, 32)

    def forward(self, x):
        x = self.resblks(F.relu(self.conv2(F.relu(self.conv1(x)))))
        texture = self.resblks_text(F.relu(self.conv1_text(x)))
        return texture, self.resblks_shape(F.relu(self.conv1_shape(x)))


class Manipulator(nn.Module):
    """The shape of the magnified frame."""

    def __init__(self):
        super().__init__()
        self.convblks = nn.Sequential(First(32, 7))
        self.convblks_after = nn.Sequential(First(32, 3))
        self.resblks = blocks(1, 32)

    def forward(self, reference, shape, factor):
        change = F.relu(self.convblks(shape - reference)) * (factor - 1)
        return shape + self.resblks(self.convblks_after(change))


class Decoder(nn.Module):
    """The magnified frame."""

    def __init__(self):
        super().__init__()
        self.conv1_text, self.resblks = Conv(32, 32, 3), blocks(9, 64)
        self.conv1, self.conv2 = Conv(64, 32, 3), Conv(32, 3, 7)

    def forward(self, texture, shape):
        texture = F.relu(self.conv1_text(F.interpolate(texture, scale_factor=2)))
        x = self.resblks(torch.cat([texture, shape], 1))
        return self.conv2(F.relu(self.conv1(F.interpolate(x, scale_factor=2))))


class Magnifier(nn.Module):
    """All of it."""

    def __init__(self):
        super().__init__()
        self.encoder, self.manipulator, self.decoder = Encoder(), Manipulator(), Decoder()

    def forward(self, reference, frame, factor):
        texture, shape = self.encoder(frame)
        return self.decoder(texture, self.manipulator(self.encoder(reference)[1], shape, factor))
