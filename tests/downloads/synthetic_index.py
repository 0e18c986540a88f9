"""A small index of the Imaging Data Commons, its client and a web server, as a download meets them."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd

from dicom_files import breast, write_dicom
from tiny_releases import VOLUMES

TOMOSYNTHESIS, FOR_PRESENTATION, RAW, MR = (
    "1.2.840.10008.5.1.4.1.1.13.1.3",
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4",
)


def index_row(
    collection, patient, series, size, files=1, sop_class=FOR_PRESENTATION, licence="CC BY 4.0", study=None
):
    """One series as the index has it; ``size`` in bytes."""
    return {
        "collection_id": collection,
        "PatientID": patient,
        "SeriesInstanceUID": series,
        "StudyInstanceUID": study or f"9.{patient.encode().hex()[:8]}",
        "SOPClassUID": sop_class,
        "instanceCount": files,
        "series_size_MB": size / 1e6,
        "license_short_name": licence,
        "series_aws_url": f"s3://bucket/{series}/*",
    }


def write_index(path: Path, rows) -> Path:
    pd.DataFrame(rows).to_parquet(path)
    return path


class FakeClient:
    """Downloads from a folder that holds one folder per series, as the library's client does from a bucket.

    Attributes:
        calls: the series of each call.
        faults: series -> what goes wrong at its next download: ``missing``, ``cut``, ``log``, ``stop``,
            ``raise``.
    """

    def __init__(self, bucket: Path) -> None:
        self.bucket = bucket
        self.calls: list[list[str]] = []
        self.faults: dict[str, str] = {}

    def download_from_selection(
        self, downloadDir, *, seriesInstanceUID, dirTemplate, quiet, show_progress_bar
    ):
        assert dirTemplate == "%SeriesInstanceUID"
        assert quiet
        assert not show_progress_bar
        self.calls.append(list(seriesInstanceUID))
        for uid in seriesInstanceUID:
            fault = self.faults.pop(uid, "")
            if fault == "log":  # the library goes on after an error, and so the file has its full size
                logging.getLogger("idc_index.index").error("s5cmd was killed")
            if fault == "raise":
                raise RuntimeError("the connection was reset")
            if fault == "stop":
                raise KeyboardInterrupt
            if fault == "missing":
                continue
            target = Path(downloadDir) / uid
            target.mkdir(parents=True)
            for source in sorted((self.bucket / uid).iterdir()):
                content = source.read_bytes()
                (target / source.name).write_bytes(content[:-7] if fault == "cut" else content)


def tiny_bucket(folder: Path) -> tuple[Path, list[dict]]:
    """The volumes of the tiny BCS-DBT release as the Commons hold them, with the rows of the index."""
    rows = []
    for volume in VOLUMES:
        path = folder / volume.series_uid / f"{volume.series_uid[-5:]}-uuid.dcm"
        frames = breast(volume.frames, 40, 20, volume.stored_side)
        tags = {"SeriesInstanceUID": volume.series_uid, "PatientID": volume.patient}
        write_dicom(path, frames, "raw", tags=tags)
        size = path.stat().st_size
        rows.append(
            index_row(
                "breast_cancer_screening_dbt",
                volume.patient,
                volume.series_uid,
                size,
                sop_class=TOMOSYNTHESIS,
                licence="CC BY-NC 4.0",
                study=volume.study_uid,
            )
        )
    return folder, rows


@contextmanager
def web_server(
    files: dict[str, bytes], faults: dict[str, str] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve files on the loopback interface; yields the address and the list of paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.end_headers()

        def do_GET(self):
            name = self.path.lstrip("/")
            asked.append(name)
            if name not in files:
                self.send_error(404)
                return
            content = files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if (faults or {}).get(name) == "cut" else content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
