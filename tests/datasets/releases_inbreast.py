"""A writer of tiny INbreast releases: the table with semicolons, DICOM names with the patient's key, XML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicom_files import breast, write_dicom

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
SHAPE = (60, 40)
FIRST, SECOND = "036aff49b8ac84f0", "6c613a14b80a8591"
DIGITAL_MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" '
    '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
)


@dataclass
class Image:
    """One row with its files; ``regions`` are (name, points) of the XML, None for no XML."""

    name: str
    patient: str
    side: str
    view: str
    birads: str
    regions: list[tuple[str, list[tuple[float, float]]]] | None = None
    date: str = "201001"


@dataclass
class InbreastTree:
    """The tiny release on disk."""

    root: Path
    images: list[Image]

    @property
    def release(self) -> Path:
        return self.root / "INbreast Release 1.0"

    @property
    def table(self) -> Path:
        return self.release / "INbreast.csv"

    def write(self) -> InbreastTree:
        rows = [
            f"removed;removed;{image.side};{image.view};{image.date};{image.name};   ;{image.birads}"
            for image in self.images
        ]
        self.release.mkdir(parents=True)
        self.table.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
        for image in self.images:
            self.write_dicom(image)
            if image.regions is not None:
                self.write_xml(image)
        return self

    def dicom(self, image: Image) -> Path:
        view = {"MLO": "ML"}.get(image.view, image.view)
        return self.release / "AllDICOMs" / f"{image.name}_{image.patient}_MG_{image.side}_{view}_ANON.dcm"

    def write_dicom(self, image: Image) -> Path:
        pixels = breast(1, *SHAPE, image.side, level=3000)[0]
        tags = {"SOPClassUID": DIGITAL_MAMMOGRAPHY, "PatientID": "removed", "PatientName": "removed"}
        return write_dicom(self.dicom(image), pixels, "raw", bits_stored=14, window=None, tags=tags)

    def xml(self, name: str) -> Path:
        return self.release / "AllXML" / f"{name}.xml"

    def write_xml(self, image: Image) -> Path:
        regions = "".join(_region(k, name, points) for k, (name, points) in enumerate(image.regions or []))
        text = (
            f'{DOCTYPE}<plist version="1.0">\n<dict>\n<key>Images</key>\n<array>\n<dict>\n'
            f"<key>ImageIndex</key>\n<integer>0</integer>\n<key>NumberOfROIs</key>\n"
            f"<integer>{len(image.regions or [])}</integer>\n<key>ROIs</key>\n<array>\n{regions}</array>\n"
            "</dict>\n</array>\n</dict>\n</plist>\n"
        )
        path = self.xml(image.name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")


def _region(index: int, name: str, points: list[tuple[float, float]]) -> str:
    pixels = "".join(f"<string>({x:.6f}, {y:.6f})</string>\n" for x, y in points)
    real = "<string>(0.000000, 0.000000, 0.000000)</string>\n" * len(points)
    centre = "<string>(0.000000, 0.000000, 0.000000)</string>"
    return (
        "<dict>\n<key>Area</key>\n<real>0.5</real>\n<key>Center</key>\n"
        f"{centre}\n<key>IndexInImage</key>\n<integer>{index}</integer>\n"
        f"<key>Max</key>\n<real>2100</real>\n<key>Name</key>\n<string>{name}</string>\n"
        f"<key>NumberOfPoints</key>\n<integer>{len(points)}</integer>\n<key>Point_mm</key>\n<array>\n{real}"
        f"</array>\n<key>Point_px</key>\n<array>\n{pixels}</array>\n</dict>\n"
    )


def everyday() -> list[Image]:
    """Two patients; every kind of region, one image without XML, one without a BI-RADS value."""
    return [
        Image(
            "22678622",
            FIRST,
            "R",
            "CC",
            "1",
        ),
        Image(
            "22678646",
            FIRST,
            "R",
            "MLO",
            "4a",
            [
                ("Mass", [(10.5, 20.25), (15.0, 18.0), (19.9, 30.75)]),
                ("Calcification", [(7.5, 8.5)]),
                ("Calcification", [(3.0, 4.0), (4.0, 4.9)]),
            ],
        ),
        Image(
            "53582540",
            SECOND,
            "L",
            "CC",
            "",
            [
                ("Espiculated Region", [(1, 1), (5, 9)]),
                ("Asimmetry", [(2, 40), (12, 44.2)]),
                ("", [(30, 30), (31, 33)]),
                ("UNNAMED", [(30, 40)]),
            ],
            "200805",
        ),
        Image("53582556", SECOND, "L", "MLO", "5", [("CLUSTER", [(38.5, 50.0), (42.0, 70.0)])], "200805"),
    ]
