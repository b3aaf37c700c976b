"""What the public datasets are: where they come from, how many images, on which terms.

Both come from Kaggle, through its own client, kagglehub. For the pediatric set Kaggle is where
the split into train, val and test was made that everyone reports on: the authors' archive on
Mendeley Data has the same 5,856 images and no `val`. For NIH ChestX-ray14 it is the one place
that hands out images and tables together by program: NIH's own site on Box has fixed links for
its twelve image archives, and none for the table, without which no image has a label. NIH's site
is the manual way, and what was unpacked by hand is verified by the same command. Versions are
pinned, so that the published counts hold.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from components.errors import InputError
from components.example_gen.datasets.listing import IMAGE_SUFFIXES


class FetchError(InputError):
    """A dataset could not be brought here; the message says what to do instead."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublicDataset:
    """What is published, and how to know that it is here.

    Attributes:
      name: the registered name.
      title: for people.
      handle: Kaggle's, with the version.
      folder: the dataset's folder below the output folder.
      counts: images in each folder of the set.
      flat: a folder that may hold the images of all those folders instead.
      tables: patterns of the files beside the image folders.
      required: of those, the names that must be there.
      index: names of the table with a row for each image; the first that is there counts.
      archive_bytes: size of Kaggle's archive.
      unpacked_bytes: size of all that it holds.
      kept_bytes: size of what is kept of it.
      licence: the terms, in words.
      citation: what to cite.
      manual: the steps without this command's network, with `{out}` for the output folder.
    """

    name: str
    title: str
    handle: str
    folder: str
    counts: Mapping[str, int]
    flat: str | None = None
    tables: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    archive_bytes: int
    unpacked_bytes: int
    kept_bytes: int
    licence: str
    citation: str
    manual: tuple[str, ...]

    def holds(self, name: str) -> bool:
        """Whether a file belongs to the set, by its name relative to the set's folder."""
        folder, _, filename = name.rpartition("/")
        if filename.startswith("."):
            return False
        if folder:
            is_image = PurePosixPath(filename).suffix.lower() in IMAGE_SUFFIXES
            return is_image and (folder in self.counts or folder == self.flat)
        return any(fnmatch.fnmatchcase(filename, pattern) for pattern in self.tables)

    def manual_steps(self, out: Path) -> str:
        """How to get the set by hand, one numbered step a line."""
        steps = (step.format(out=out, name=self.name) for step in self.manual)
        return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))


PEDIATRIC = PublicDataset(
    name="pediatric",
    title="Chest X-Ray Images (Pneumonia): 5,856 films of children of one to five years",
    handle="paultimothymooney/chest-xray-pneumonia/versions/2",
    folder="chest_xray",
    counts={
        "train/NORMAL": 1_341,
        "train/PNEUMONIA": 3_875,
        "val/NORMAL": 8,
        "val/PNEUMONIA": 8,
        "test/NORMAL": 234,
        "test/PNEUMONIA": 390,
    },
    # The archive holds every image twice, the second time in chest_xray/chest_xray.
    archive_bytes=2_470_000_000,
    unpacked_bytes=2_500_000_000,
    kept_bytes=1_250_000_000,
    licence="CC BY 4.0, https://creativecommons.org/licenses/by/4.0/: name the authors when you "
    "use or share it.",
    citation="Kermany D, Zhang K, Goldbaum M. Labeled Optical Coherence Tomography (OCT) and "
    "Chest X-Ray Images for Classification. Mendeley Data, V2, 2018. "
    "https://doi.org/10.17632/rscbjbr9sj.2",
    manual=(
        "Where there is a network, open "
        "https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia and press "
        "Download: archive.zip, 2.5 GB.",
        "Bring it here, and unpack it with: cxr data fetch pediatric --out {out} --source "
        "archive.zip. (Or unpack it yourself, so that there is {out}/chest_xray/train/NORMAL, and "
        "verify it with: cxr data fetch pediatric --out {out})",
        "Look at it with: cxr data inspect {out}",
    ),
)

NIH = PublicDataset(
    name="nih",
    title="NIH ChestX-ray14: 112,120 films of 30,805 patients",
    handle="nih-chest-xrays/data/versions/3",
    folder="nih",
    counts={
        "images_001/images": 4_999,
        **{f"images_{number:03d}/images": 10_000 for number in range(2, 12)},
        "images_012/images": 7_121,
    },
    flat="images",
    tables=(
        "Data_Entry_2017*.csv",
        "BBox_List_2017.csv",
        "train_val_list.txt",
        "test_list.txt",
        "*_CHESTXRAY.pdf",
    ),
    required=("BBox_List_2017.csv",),
    index=("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
    archive_bytes=45_100_000_000,
    unpacked_bytes=45_200_000_000,
    kept_bytes=45_200_000_000,
    licence="free to use, if you link to https://nihcc.app.box.com/v/ChestXray-NIHCC, cite the "
    "paper, and acknowledge the NIH Clinical Center as the provider of the data.",
    citation="Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale "
    "Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and Localization of "
    "Common Thorax Diseases. IEEE CVPR 2017, pp. 3462-3471. https://arxiv.org/abs/1705.02315",
    manual=(
        "Where there is a network, open https://nihcc.app.box.com/v/ChestXray-NIHCC and download "
        "Data_Entry_2017_v2020.csv, BBox_List_2017.csv, train_val_list.txt, test_list.txt, and "
        "from its folder `images` the twelve archives images_*.tar.gz; compare their md5sum with "
        "the list there.",
        "Bring them here: the tables into {out}/nih, and the archives unpacked there (tar -xzf "
        "images_001.tar.gz -C {out}/nih, and so on), so that there is {out}/nih/images/*.png.",
        "Or download archive.zip (45 GB) from https://www.kaggle.com/datasets/nih-chest-xrays/data "
        "instead, and unpack it with: cxr data fetch nih --out {out} --source archive.zip",
        "Verify it with: cxr data fetch nih --out {out}",
        "Look at it with: cxr data inspect {out}",
    ),
)

DATASETS: dict[str, PublicDataset] = {one.name: one for one in (PEDIATRIC, NIH)}


def gigabytes(size: int) -> str:
    """A size for people.

    >>> gigabytes(1_250_000_000)
    '1.2 GB'
    """
    return f"{size / 1e9:,.1f} GB"
