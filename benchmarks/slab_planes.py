"""What ``slab_channels.py`` shows a network beside a slice: planes of a store, batches of them, a wider net.

Letters: C channels, B images, H x W pixels of the grid, h x w those of a plane.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from comoto.arguments import AnyPath
from comoto.config import TrainConfig
from comoto.detectors.backbones import ThinResNet
from comoto.detectors.intake import Intake
from comoto.detectors.retinanet import RetinaNetDetector
from comoto.detectors.settings import RetinaNetConfig
from comoto.errors import ConfigError
from comoto.preprocessing.balance import BalancedBatches
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.uint8_batch import Uint8Batch

Kind = Literal["slice", "slab", "projection"]
CHANNELS: tuple[Kind, ...] = ("slice", "slab", "projection")
STEM = "net.backbone.backbone.body.stem.0.weight"


class SlabStore(PreparedStore):
    """A store of volumes whose planes are slices, slabs around them, projections, or several of these.

    Args:
        folder: of a store with every slice.
        kinds: one makes planes (h, w), several make (C, h, w).
        reach: a slab is the mean of the slices up to so many away from its own, fewer at the ends.
    """

    def __init__(self, folder: AnyPath, kinds: Sequence[Kind], reach: int) -> None:
        super().__init__(folder)
        if self.options.slices != "all":
            raise ConfigError(f"{self.folder}: a slab needs every slice; prepare them with --slices all")
        self._kinds, self._reach = tuple(kinds), reach
        self._projections: dict[str, NDArray[np.uint8]] = {}

    def showing(self, kind: Kind) -> "SlabStore":
        """Return the same store with planes of one kind; what was computed is shared."""
        other = copy(self)
        other._kinds = (kind,)
        return other

    def plane(self, image_id: str, index: int) -> NDArray[np.uint8]:
        """Return the plane of a slice, uint8 (h, w) or (C, h, w)."""
        made = [self._made(kind, image_id, index) for kind in self._kinds]
        return made[0] if len(made) == 1 else np.stack(made)

    def _made(self, kind: Kind, image_id: str, index: int) -> NDArray[np.uint8]:
        if kind == "slice":
            return super().plane(image_id, index)
        if kind == "slab":
            first = max(0, index - self._reach)
            return _mean(self.pixels(image_id)[first : index + self._reach + 1])
        if image_id not in self._projections:
            self._projections[image_id] = _mean(self.pixels(image_id))
        return self._projections[image_id]


def _mean(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean over planes (S, h, w), rounded."""
    sums = planes.sum(axis=0, dtype=np.uint16)  # 257 planes fit
    if len(planes) > 257:
        raise ConfigError(f"{len(planes)} slices are more than are summed here")
    return np.rint(sums / np.float32(len(planes))).astype(np.uint8)


class ChannelBatch(Uint8Batch):
    """``Uint8Batch`` with pixels (B, C, rows, columns); all channels of an image share its table."""

    __slots__ = ()

    def images(self) -> Tensor:
        """Return float32 (B, C, rows, columns)."""
        number, channels, rows, columns = self.pixels.shape
        lut = self.lut.repeat_interleave(channels, dim=0)
        grey = Uint8Batch(self.pixels.reshape(-1, 1, rows, columns), lut).images()
        return grey.reshape(number, channels, rows, columns).contiguous(memory_format=torch.channels_last)


class ChannelBatches:
    """``SliceBatches`` of several kinds of planes: the same slices with the same changes, once a kind.

    A batch is a pure function of seed and step, so one sampler a kind draws the same and none is changed.
    """

    def __init__(self, store: SlabStore, image_ids: Iterable[str], config: TrainConfig) -> None:
        names = list(image_ids)
        self._samplers = [
            SliceBatches(store.showing(kind), names, config.batch, config.augment, config.seed)
            for kind in CHANNELS
        ]

    def uint8_batch(self, step: int) -> tuple[ChannelBatch, list[Tensor]]:
        """Return the batch of a step, and the boxes of each image."""
        each = [sampler.uint8_batch(step) for sampler in self._samplers]
        images, boxes = each[0]
        return ChannelBatch(torch.cat([one.pixels for one, _ in each], dim=1), images.lut), boxes


class RepeatedBatches:
    """Batches of mammograms that fill every channel: a projection has no slice, and its slab is itself."""

    def __init__(self, sampler: BalancedBatches) -> None:
        self._sampler = sampler

    def uint8_batch(self, step: int) -> tuple[ChannelBatch, list[Tensor]]:
        """Return the batch of a step, and the boxes of each image."""
        images, boxes = self._sampler.uint8_batch(step)
        return ChannelBatch(images.pixels.expand(-1, len(CHANNELS), -1, -1), images.lut), boxes


class SlabIntake(Intake):
    """Takes (B, C, H, W), or (B, 1, C, H, W) as ``Model`` gives it; each channel is normalised as a slice."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return (B, C, H, W)."""
        images = images.flatten(1, -3)
        return super().__call__(images.flatten(0, 1).unsqueeze(1)).reshape(images.shape)


class SlabRetinaNetConfig(RetinaNetConfig):
    """That of a RetinaNet on the thin backbone."""

    kind: str = "slab_planes:SlabRetinaNet"  # type: ignore[assignment]


class SlabRetinaNet(RetinaNetDetector):
    """The default detector with a first convolution for ``CHANNELS``."""

    Config = SlabRetinaNetConfig

    def __init__(self, config: RetinaNetConfig, grid_shape: tuple[int, int] | None = None) -> None:
        super().__init__(config, grid_shape)
        body = self.net.backbone.backbone.body
        if not isinstance(body, ThinResNet) or config.inner_resize is not None:
            raise ConfigError("slabs are tried on the thin backbone alone, without an inner resize")
        self.intake = SlabIntake(1, config.pixel_range, None)
        body.stem[0] = nn.Conv2d(len(CHANNELS), body.stem[0].out_channels, 5, stride=2, padding=2, bias=False)


def widened(weights: dict[str, Tensor], start: Literal["thirds", "slice"]) -> dict[str, Tensor]:
    """Return the weights of a ``SlabRetinaNet`` that does what a one-channel one did.

    Args:
        weights: of the one-channel detector.
        start: ``thirds``: an image repeated in every channel gives what it gave; ``slice``: the first channel
            gives what it gave, whatever the others show.
    """
    old = weights[STEM]
    parts = {"thirds": [old / 3] * 3, "slice": [old, torch.zeros_like(old), torch.zeros_like(old)]}
    return weights | {STEM: torch.cat(parts[start], dim=1)}
