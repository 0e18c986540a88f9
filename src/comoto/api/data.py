"""From images to a prepared store: what is simulated, downloaded, indexed, split and rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from comoto.api.given import loaded_manifest, named_split
from comoto.arguments import AnyPath, as_path, as_path_or_none, as_paths, as_settings
from comoto.defaults import PRESET, WORKERS

if TYPE_CHECKING:
    from comoto.downloads.run import DownloadPlan
    from comoto.preprocessing.slices import PrepareOptions
    from comoto.preprocessing.store import PreparedStore
    from comoto.preprocessing.verify import StoreCheck
    from comoto.preprocessing.workers import Execution
    from comoto.records import Manifest
    from comoto.simulation import SimulatedPaths
    from comoto.splits.file import SplitFile
    from comoto.splits.make import MadeSplit


def simulate(
    out: AnyPath,
    *,
    size: str = "demo",
    exams: str = "first",
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    workers: int = WORKERS,
) -> SimulatedPaths:
    """Simulate patients in the formats of BCS-DBT and VinDr-Mammo (``comoto simulate``).

    Args:
        out: folder to write to; an interrupted simulation continues there.
        size: ``tiny`` (128 x 64), ``demo`` (256 x 128), ``small`` (512 x 256) or ``full`` (2457 x 1996).
        exams: ``first`` (masses only) or ``second`` (docs/simulation.md).
        overrides: such as ``seed=1``, ``tomosynthesis.train_patients=10``.
        values: the same as values, ``{"seed": 1}``.
        workers: processes.

    Returns:
        The two data sets' folders, ``.bcs_dbt`` and ``.vindr_mammo``.

    Examples:
        >>> import comoto
        >>> few = {"mammography.training_patients": 1, "tomosynthesis.train_patients": 1}
        >>> few |= {"mammography.test_patients": 0, "tomosynthesis.test_patients": 0}
        >>> few |= {"tomosynthesis.validation_patients": 0}
        >>> paths = comoto.simulate("new-exams", size="tiny", values=few, workers=1)
        >>> comoto.index("vindr-mammo", paths.vindr_mammo)
        Manifest(vindr-mammo: 2 mammogram images of 1 patients, 2 lesions; train 2)
    """
    from comoto import simulation
    from comoto.config import override

    settings = override(simulation.sized(size, exams), as_settings("overrides", overrides), values)
    return simulation.simulate(as_path("out", out), settings, workers)


def plan_download(
    dataset: str,
    out: AnyPath,
    *,
    patients: int | None = None,
    normals: int = 0,
    splits: Sequence[str] = (),
    seed: int = 0,
) -> DownloadPlan:
    """Find out what ``comoto download`` would fetch, how large it is and under which licence.

    Args:
        dataset: ``bcs-dbt``, ``cbis-ddsm``, ``cmmd`` or ``ea1141``.
        out: folder of the data set; its tables are fetched into it.
        patients: at most so many patients with a lesion of each split; all if None.
        normals: as many without any finding.
        splits: ``train``, ``validation``, ``test``; all if empty.
        seed: another seed chooses other patients.

    Returns:
        ``.text()`` for people, ``.missing_bytes``, ``.next_step()``; ``download`` takes it.

    Examples:
        >>> import comoto
        >>> plan = comoto.plan_download("bcs-dbt", "bcs-dbt", patients=2)  # doctest: +SKIP
        >>> print(plan.text())  # doctest: +SKIP
    """
    from comoto.downloads import run as downloads

    wanted = [named_split(word) for word in splits]
    request = downloads.DownloadRequest(
        patients, normals, tuple(word for word in wanted if word is not None), seed
    )
    return downloads.plan_download(dataset, as_path("out", out), request)


def download(plan: DownloadPlan) -> None:
    """Download what is missing of a plan (``comoto download``); an interrupted download goes on.

    Args:
        plan: from ``plan_download``.

    Examples:
        >>> import comoto
        >>> comoto.download(comoto.plan_download("bcs-dbt", "bcs-dbt", patients=2))  # doctest: +SKIP
    """
    from comoto.downloads.run import run_download

    run_download(plan)


def index(
    dataset: str,
    root: AnyPath,
    *,
    tables: AnyPath | None = None,
    categories: Sequence[str] | None = None,
    allow_missing: bool = False,
    strict: bool = False,
    **options: Any,
) -> Manifest:
    """Read a data set's own files and tables (``comoto index``).

    Args:
        dataset: a name that ``comoto datasets`` lists.
        root: the folder that holds the images and the tables.
        tables: ``bcs-dbt``: folder of the tables, if it is not ``root``.
        categories: ``vindr-mammo``: findings that count as lesions; all inside the breast if not given.
        allow_missing: leave out images that are not on disk, and say so, instead of refusing.
        strict: refuse whatever the reader would leave out.
        options: further options of the data set's reader.

    Returns:
        Patients, studies, views and lesions; ``.save(folder)`` writes it, ``.summary()`` describes it.

    Examples:
        >>> import comoto
        >>> manifest = comoto.index("csv", "hospital")
        >>> manifest
        Manifest(csv: 2 tomosynthesis images of 2 patients, 1 lesions; train 2)
        >>> manifest.save("manifests/hospital")
    """
    from comoto import datasets

    named: dict[str, Any] = {
        "tables": as_path_or_none("tables", tables),
        "categories": categories or None,
        "allow_missing": allow_missing or None,
    }
    given = options | {name: value for name, value in named.items() if value is not None}
    return datasets.index(dataset, as_path("root", root), strict=strict, **given)


def split(
    manifests: Sequence[AnyPath],
    out: AnyPath | None = None,
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    held_out: Literal["validation", "test"] = "validation",
    fractions: Sequence[float] = (),
    shared_ids: bool = False,
    official: bool = True,
    drop_duplicates: bool = False,
    headers: bool = True,
    overwrite: bool = False,
) -> list[MadeSplit]:
    """Split the patients of one or several manifests (``comoto split``).

    Args:
        manifests: folders that ``comoto index`` wrote, or ``NAME=FOLDER``.
        out: folder for ``split.json`` and the split manifests; nothing is written without it.
        seed: another seed draws other patients.
        validation: share of the patients where a set has no official validation split; 0.15 if not given.
        test: share of the patients where a set has no official split; 0.15 if not given.
        folds: number of folds in place of shares.
        fold: only this one; all of them, in folders ``fold-0`` and so on, if not given.
        held_out: what a fold is.
        fractions: nested shares of the training patients as well.
        shared_ids: equal patient ids are the same person in all manifests.
        official: keep the splits that the data sets came with.
        drop_duplicates: keep the first copy of an image of one patient, instead of refusing.
        headers: look for the same image twice in the headers, not only by path.
        overwrite: replace an earlier split in ``out``.

    Returns:
        One split; with ``folds`` and without ``fold`` one of each fold.

    Examples:
        >>> import comoto
        >>> [made] = comoto.split(["manifests/bcs-dbt"], "new-split", official=False, headers=False)
        >>> made
        MadeSplit(bcs-dbt: patients train 4, validation 1, test 1)
    """
    from comoto.splits.assign import split_plan
    from comoto.splits.make import SplitOptions, assign, join, refuse_split_folder, save_split_folder
    from comoto.splits.merge import read_sources

    numbers: list[int | None] = list(range(folds)) if folds and fold is None else [fold]
    shares = {"validation": validation, "test": test}
    named = {name: share for name, share in shares.items() if share is not None}
    plans = [
        split_plan(seed=seed, folds=folds, fold=number, held_out=held_out, official=official, **named)
        for number in numbers
    ]
    folder = as_path_or_none("out", out)
    places = [folder / f"fold-{n}" if len(numbers) > 1 else folder for n in numbers] if folder else []
    for place in places:
        refuse_split_folder(place, overwrite)
    options = SplitOptions(shared_ids, tuple(fractions), headers, drop_duplicates)
    sources = read_sources(_named_manifests(manifests), shared_ids=shared_ids)
    merged = join(sources, plans[0], options)
    made = [assign(merged, plan, options.fractions) for plan in plans]
    for one, place in zip(made, places, strict=bool(places)):
        save_split_folder(one, place, overwrite)
    return made


def verify_split(path: AnyPath, manifests: Sequence[AnyPath] = (), *, headers: bool = True) -> SplitFile:
    """Check a split file, and the manifests that it was made of (``comoto split --verify``).

    Args:
        path: a ``split.json`` or its folder.
        manifests: as for ``split``; without any the file alone is checked.
        headers: look for the same image twice in the headers, not only by path.

    Examples:
        >>> import comoto
        >>> comoto.verify_split("split/split.json", ["manifests/bcs-dbt"], headers=False)
        SplitFile(bcs-dbt: patients train 4, validation 1, test 1; fractions 0.5)
    """
    from comoto.splits import make
    from comoto.splits.file import load_split_file
    from comoto.splits.merge import read_sources

    place = as_path("path", path)
    shared_ids = load_split_file(place).shared_ids
    sources = read_sources(_named_manifests(manifests), shared_ids=shared_ids)
    return make.verify_split(place, sources, headers=headers)


def prepare(
    manifest: Manifest | AnyPath,
    out: AnyPath,
    *,
    preset: str = PRESET,
    overrides: Sequence[str] = (),
    workers: int = WORKERS,
    options: PrepareOptions | None = None,
    skip_broken: bool = False,
    work: Execution | None = None,
) -> PreparedStore:
    """Render every image once onto the network's grid (``comoto prepare``).

    Args:
        manifest: from ``index``, or the folder it was saved in.
        out: the store's folder; an interrupted preparation continues there.
        preset: its ``preprocess`` section is used.
        overrides: such as ``preprocess.rows=256``; other sections have no effect here.
        workers: processes.
        options: which slices of a volume; all if not given.
        skip_broken: leave out files that cannot be read, with a note in the store's manifest.
        work: everything about how it is done (``comoto.preprocessing.Execution``): a cluster, stores to
            reuse, paths not kept; in place of ``workers`` and ``skip_broken``.

    Examples:
        >>> import comoto
        >>> manifest = comoto.Manifest.load("manifests/bcs-dbt")
        >>> few = manifest.select(manifest.images["split"] == "test")
        >>> higher = ["preprocess.rows=320"]
        >>> store = comoto.prepare(few, "stores/new", preset="demo", overrides=higher, workers=1)
        >>> len(store), store.config.rows, store.pixels(store.image_ids[0]).dtype
        (2, 320, dtype('uint8'))
    """
    from comoto.config import load_train_config

    config = load_train_config(as_path("preset", preset), as_settings("overrides", overrides)).preprocess
    loaded = loaded_manifest(manifest)
    from comoto.preprocessing import Execution, prepare_with

    work = work or Execution(workers=workers, skip_broken=skip_broken)
    return prepare_with(loaded, as_path("out", out), config, options, work)


def verify_store(store: AnyPath) -> StoreCheck:
    """Compare everything in a prepared store with its checksums (``comoto prepare --verify``).

    Args:
        store: the folder that ``prepare`` wrote; nothing in it is changed.

    Returns:
        ``.damage``, a sentence for each damaged or missing file with the way out, ``.images``, and
        ``.is_sealed``, which is false for a store of a former format, without checksums.

    Examples:
        >>> import comoto
        >>> comoto.verify_store("stores/bcs-dbt").damage
        ()
    """
    from comoto.preprocessing import verify

    return verify.verify_store(as_path("store", store))


def _named_manifests(manifests: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Return folders, or ``NAME=FOLDER``, as texts."""
    return [str(path) for path in as_paths("manifests", manifests)]
