"""Under bfloat16 the network computes coarsely, but boxes keep every digit."""

import pytest
import torch
from torch import Tensor, nn

from comoto.config import load_train_config, override
from comoto.training.batch import StudentBatch
from comoto.training.tasks import start_fabric


class Listener(nn.Module):
    """Keeps the boxes that reach it, and says in which precision it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.boxes: list[Tensor] = []

    def forward(self, batch: StudentBatch[Tensor]) -> Tensor:
        self.boxes = batch.boxes
        return self.layer(batch.images)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_boxes_reach_the_step_unrounded(precision: str) -> None:
    fabric = start_fabric(override(load_train_config("demo"), [f"precision={precision}", "device=cpu"]))
    inner = Listener()
    step = fabric.setup_module(inner)
    box = torch.tensor([[301.3, 1501.5, 302.7, 1777.25]])
    step(StudentBatch(torch.rand(3, 2), [box]))
    assert inner.boxes[0].dtype == torch.float32
    assert torch.equal(inner.boxes[0], box)
    with fabric.autocast():
        assert inner.layer(torch.rand(3, 2)).dtype == (
            torch.bfloat16 if precision == "bf16-mixed" else torch.float32
        )
