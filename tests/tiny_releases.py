"""A tiny BCS-DBT release and a tiny VinDr-Mammo release, with numbers chosen by hand."""

from dataclasses import dataclass
from pathlib import Path

from dicom_files import breast, write_dicom

ROWS, COLUMNS = 40, 20
ROOT_UID = "1.2.826.0.1.3680043.8.498"


@dataclass(frozen=True)
class Volume:
    """One volume of the tiny release; study and series share the tail 00777 where the number says so."""

    patient: str
    study: str
    view: str
    label: str
    split: str
    frames: int
    series_number: int
    series_uid: str
    stored_side: str

    @property
    def study_uid(self) -> str:
        return f"{ROOT_UID}.1{self.study[5:]}55555"

    @property
    def study_folder(self) -> str:
        return f"01-01-2000-{self.study}-MAMMO screening digital BIALTERAL-{self.study_uid[-5:]}"

    def folder(self, layout: str) -> str:
        collection = f"Breast-Cancer-Screening-DBT/{self.patient}"
        number, tail = f"{self.series_number}.000000", self.series_uid[-5:]
        return {
            "classic": f"manifest-1617905855234/{collection}/{self.study_uid}/{self.series_uid}",
            "descriptive": f"{collection}/{self.study_folder}/{number}-{tail}",
            "descriptive-na": f"manifest-1/{collection}/{self.study_folder}/{number}-NA-{tail}",
            "rest": self.series_uid,
            "idc": f"breast_cancer_screening_dbt/{self.patient}/{self.study_uid}/{self.series_uid}",
            "idc-index": f"breast_cancer_screening_dbt/{self.patient}/{self.study_uid}/MG_{self.series_uid}",
            "unnamed": f"disk{self.frames}/{self.patient}/{self.view}",
        }[layout]


VOLUMES = (
    Volume("DBT-P00001", "DBT-S00001", "lcc", "Normal", "train", 3, 11, f"{ROOT_UID}.30111", "L"),
    Volume("DBT-P00001", "DBT-S00001", "rcc", "Normal", "train", 4, 12, f"{ROOT_UID}.40112", "R"),
    Volume("DBT-P00002", "DBT-S00002", "rmlo", "Cancer", "train", 5, 13, f"{ROOT_UID}.1100777", "L"),
    Volume("DBT-P00002", "DBT-S00002", "rmlo1", "Cancer", "train", 6, 14, f"{ROOT_UID}.2200777", "R"),
    Volume("DBT-P00003", "DBT-S00003", "lcc", "Actionable", "validation", 3, 15, f"{ROOT_UID}.50115", "L"),
    Volume("DBT-P00004", "DBT-S00004", "lmlo", "Benign", "test", 8, 16, f"{ROOT_UID}.60116", "L"),
)
BOXES = {
    "train": (
        "DBT-P00002,DBT-S00002,rmlo1,0,5,0,0,6,8,cancer,1,6",
        "DBT-P00002,DBT-S00002,rmlo,0,2,5,6,4,7,cancer,0,5",
        "DBT-P00002,DBT-S00002,rmlo,0,4,15,30,10,20,cancer,0,5",
    ),
    "validation": (),
    "test": ("DBT-P00004,DBT-S00004,lmlo,2,7,1,2,3,4,benign,0,8",),
}
NAMES = {
    "hyphen": {
        "train": ("file-paths-train-v2", "labels-train-v2", "boxes-train-v2"),
        "validation": (
            "file-paths-validation-v2",
            "labels-validation-PHASE-2-Jan-2024",
            "boxes-validation-v2-PHASE-2-Jan-2024",
        ),
        "test": ("file-paths-test-v2", "labels-test-PHASE-2", "boxes-test-v2-PHASE-2-Jan-2024"),
    },
    "space": {
        split: (f"file-paths-{split}-v2", f"labels-{split}-v2", f"boxes-{split}-v2")
        for split in ("train", "validation", "test")
    },
    "phase-2": {
        split: (f"file-paths-{split} PHASE 2", f"labels-{split} PHASE 2", f"boxes-{split} PHASE 2")
        for split in ("train", "validation", "test")
    },
    "phase-1": {
        split: (f"file-paths-{split}", f"labels-{split}", f"boxes-{split}")
        for split in ("train", "validation", "test")
    },
}


class BcsTree:
    """The tiny release on disk; ``table`` names a CSV file, ``edit`` changes its text."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables = root

    def write_tables(self, style: str = "hyphen", volume_slices: bool = True, bom: bool = False) -> None:
        for split, names in NAMES[style].items():
            volumes = [volume for volume in VOLUMES if volume.split == split]
            paths = ["PatientID,StudyUID,View,descriptive_path,classic_path"]
            labels = ["PatientID,StudyUID,View,Normal,Actionable,Benign,Cancer"]
            for volume in volumes:
                key = f"{volume.patient},{volume.study},{volume.view}"
                classic = volume.folder("classic").split("/", 1)[1]
                paths.append(f"{key},{volume.folder('descriptive')}/1-1.dcm,{classic}/1-1.dcm")
                words = ("Normal", "Actionable", "Benign", "Cancer")
                labels.append(f"{key}," + ",".join(str(int(volume.label == word)) for word in words))
            labels[1:] = reversed(labels[1:])  # rows are joined by key, never by order
            boxes = ["PatientID,StudyUID,View,Subject,Slice,X,Y,Width,Height,Class,AD,VolumeSlices"]
            boxes.extend(BOXES[split])
            if not volume_slices:
                boxes = [line.rsplit(",", 1)[0] for line in boxes]
            separator = "-" if style == "hyphen" else " "
            for name, lines in zip(names, (paths, labels, boxes), strict=True):
                text = "\r\n".join([*lines, ""]) if bom else "\n".join([*lines, ""])
                path = self.tables / f"BCS-DBT{separator}{name}.csv"
                path.write_text(text, encoding="utf-8-sig" if bom else "utf-8", newline="")

    def write_volumes(self, layout: str = "classic", name: str = "1-1.dcm") -> None:
        for volume in VOLUMES:
            self.write_volume(volume, layout, name)

    def write_volume(self, volume: Volume, layout: str = "classic", name: str = "1-1.dcm", **changes) -> Path:
        tags = {"SeriesInstanceUID": volume.series_uid, "PatientID": volume.patient}
        frames = breast(volume.frames, ROWS, COLUMNS, volume.stored_side)
        path = self.root / volume.folder(layout) / name
        return write_dicom(path, frames, "raw", tags={**tags, **changes})

    def table(self, kind: str, split: str = "train") -> Path:
        (path,) = self.tables.glob(f"BCS-DBT?{kind}-{split}*.csv")
        return path

    def edit(self, kind: str, old: str, new: str, split: str = "train") -> None:
        path = self.table(kind, split)
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")


VINDR_IMAGES = """\
study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split
s1,e1,a1,L,CC,40,20,BI-RADS 1,DENSITY C,training
s1,e1,a2,R,MLO,40,20,BI-RADS 4,DENSITY C,training
s2,e2,b1,R,CC,60,30,BI-RADS 5,DENSITY B,test
s3,e3,c1,L,MLO,40,20,BI-RADS 3,DENSITY A,training
"""
VINDR_FINDINGS = """\
study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,\
finding_categories,finding_birads,xmin,ymin,xmax,ymax,split
s2,e2,b1,R,CC,60,30,BI-RADS 5,DENSITY B,"['Suspicious Calcification', 'Mass']",\
BI-RADS 5,20.5,50.25,31.5,62,test
s1,e1,a1,L,CC,40,20,BI-RADS 1,DENSITY C,['No Finding'],,,,,,training
s1,e1,a2,R,MLO,40,20,BI-RADS 4,DENSITY C,['Mass'],BI-RADS 4,2.5,3.25,8.75,9.5,training
s1,e1,a2,R,MLO,40,20,BI-RADS 4,DENSITY C,['Focal Asymmetry'],BI-RADS 3,-1.5,0,4,5,training
s3,e3,c1,L,MLO,40,20,BI-RADS 3,DENSITY A,['Nipple Retraction'],,1,1,6,6,training
s2,e2,b1,R,CC,60,30,BI-RADS 5,DENSITY B,"['Skin Thickening', 'Mass']",BI-RADS 5,1,2,3,4,test
"""


class VindrTree:
    """The tiny release on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "breast-level_annotations.csv"
        self.findings = root / "finding_annotations.csv"

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
