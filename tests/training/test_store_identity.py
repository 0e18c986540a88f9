"""What a run trains on is known again by content."""

import shutil

from comoto.preprocessing.store import PreparedStore
from comoto.training.identity import store_identity


def test_another_place_is_the_same_store_and_other_pixels_are_another(exams, tmp_path):
    store = PreparedStore(exams.stores / "bcs-dbt")
    shutil.copytree(store.folder, tmp_path / "moved")
    assert store_identity(PreparedStore(tmp_path / "moved")) == store_identity(store)

    class RenderedFromAnotherFile(PreparedStore):
        def planes_path(self, image_id):
            path = super().planes_path(image_id)
            return path.with_name("0" * 40 + ".npy") if image_id == self.image_ids[-1] else path

    assert store_identity(RenderedFromAnotherFile(store.folder)) != store_identity(store)
