"""Datasets of a few pixels in the formats of others, written as their tools do.

Each has two images in train and one in val, with the same mask of sky, road and car,
and void at the bottom where the format has it.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from seglib.data.image_io import write_image

NAMES = ("sky", "road", "car")
COLOURS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))
STEMS = {"train": ("one_a", "two_b"), "val": ("three_c",)}
SIZE = (12, 16)


def truth() -> np.ndarray:
    ids = np.ones(SIZE, np.uint8)
    ids[:4] = 0
    ids[6:9, 2:7] = 2
    ids[11:] = 255
    return ids


def pixels(stem: str) -> np.ndarray:
    seed = sum(stem.encode())
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def coloured() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[:3] = COLOURS
    return table[truth()]


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, array)
    return path


def save_json(path: Path, tree: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree), "utf-8")


def boxes() -> list[tuple[str, tuple[int, int, int, int]]]:
    """The mask as boxes, drawn one over the other: name, and left, top, right, bottom.

    Right and bottom are outside of the box.
    """
    return [
        ("sky", (0, 0, 16, 4)),
        ("road", (0, 4, 16, 11)),
        ("car", (2, 6, 7, 9)),
    ]


def labelme(root: Path) -> None:
    (root).mkdir()
    (root / "labels.txt").write_text("__ignore__\n_background_\nsky\nroad\ncar\n")
    for split, stems in STEMS.items():
        for stem in stems:
            save(root / split / f"{stem}.png", pixels(stem))
            shapes = [
                {
                    "label": name,
                    "points": [[left, top], [right - 1, bottom - 1]],
                    "shape_type": "rectangle",
                    "group_id": None,
                }
                for name, (left, top, right, bottom) in boxes()
            ]
            void = {"label": "__ignore__", "points": [[0, 11], [15, 11]]}
            shapes.append({**void, "shape_type": "rectangle", "group_id": 1})
            document = {
                "version": "5.4.1",
                "shapes": shapes,
                "imagePath": f"{stem}.png",
                "imageData": None,
                "imageHeight": 12,
                "imageWidth": 16,
            }
            save_json(root / split / f"{stem}.json", document)


def coco(root: Path) -> None:
    for split, stems in STEMS.items():
        images, annotations = [], []
        for number, stem in enumerate(stems, 1):
            save(root / f"{split}2017" / f"{stem}.png", pixels(stem))
            record = {"id": number, "file_name": f"{stem}.png"}
            images.append({**record, "height": 12, "width": 16})
            for name, (left, top, right, bottom) in boxes():
                corners = [left, top, right, top, right, bottom, left, bottom]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": {"sky": 5, "road": 7, "car": 90}[name],
                        "segmentation": [corners],
                        "iscrowd": 0,
                    }
                )
        ids = {5: "sky", 7: "road", 90: "car"}
        document = {
            "info": {},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in ids.items()],
        }
        save_json(root / "annotations" / f"instances_{split}2017.json", document)
        captions = {"images": images, "annotations": []}
        save_json(root / "annotations" / f"captions_{split}2017.json", captions)


def coco_panoptic(root: Path) -> None:
    segments = {300: 1, 70_000: 2, 9: 4, 10: 4}  # two cars, side by side
    numbers = np.array([300, 70_000, 9])
    for split, stems in STEMS.items():
        images, annotations = [], []
        for number, stem in enumerate(stems, 1):
            save(root / f"{split}2017" / f"{stem}.png", pixels(stem))
            images.append({"id": number, "file_name": f"{stem}.png"})
            ids = truth()
            segment = np.where(ids == 255, 0, numbers[np.minimum(ids, 2)])
            segment[(ids == 2) & (np.arange(16) > 4)] = 10
            rgb = np.stack([segment & 255, segment >> 8 & 255, segment >> 16], -1)
            folder = root / "annotations" / f"panoptic_{split}2017"
            save(folder / f"{stem}.png", rgb.astype(np.uint8))
            info = [{"id": i, "category_id": c} for i, c in segments.items()]
            mask = {"image_id": number, "file_name": f"{stem}.png"}
            annotations.append({**mask, "segments_info": info})
        ids_of = {1: "sky", 2: "road", 4: "car"}
        document = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in ids_of.items()],
        }
        save_json(root / "annotations" / f"panoptic_{split}2017.json", document)


def voc(root: Path) -> None:
    """As CVAT exports it, with a list of colours; one mask has a table, others none."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in STEMS.items():
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        for stem in stems:
            save(root / "JPEGImages" / f"{stem}.png", pixels(stem))
            colours = coloured()
            colours[truth() == 255] = (224, 224, 192)
            save(root / "SegmentationClass" / f"{stem}.png", colours)
    indices = Image.fromarray(np.array([2, 0, 1, *[3] * 253], np.uint8)[truth()], "P")
    indices.putpalette([*COLOURS[1], *COLOURS[2], *COLOURS[0], 224, 224, 192])
    indices.save(root / "SegmentationClass" / "one_a.png")
    lines = ["# label:color_rgb:parts:actions"]
    lines += [f"{n}:{r},{g},{b}::" for n, (r, g, b) in zip(NAMES, COLOURS, strict=True)]
    (root / "labelmap.txt").write_text("\n".join(lines))


def camvid(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            save(root / split / f"{stem}.png", pixels(stem))
            save(root / f"{split}_labels" / f"{stem}_L.png", coloured())
    rows = [f"{n},{r},{g},{b}" for n, (r, g, b) in zip(NAMES, COLOURS, strict=True)]
    text = "name, r, g, b\n" + "\n".join([*rows[:1], "Void,0,0,0", *rows[1:]])
    (root / "class_dict.csv").write_text(text)


def mapillary(root: Path) -> None:
    for split, stems in {
        "training": STEMS["train"],
        "validation": STEMS["val"],
    }.items():
        for stem in stems:
            save(root / split / "images" / f"{stem}.jpg", pixels(stem))
            ids = np.where(truth() == 255, 3, truth())
            mask = Image.fromarray(ids, "P")
            mask.putpalette([*(v for c in COLOURS for v in c), 0, 0, 0])
            folder = root / split / "v1.2" / "labels"
            folder.mkdir(parents=True, exist_ok=True)
            mask.save(folder / f"{stem}.png")
    labels = [
        {"name": f"x--{name}", "readable": name, "color": list(colour)}
        for name, colour in zip(NAMES, COLOURS, strict=True)
    ]
    void = {"name": "void--unlabeled", "readable": "Unlabeled", "color": [0, 0, 0]}
    save_json(root / "config.json", {"labels": [*labels, void]})


def ade20k(root: Path) -> None:
    for split, stems in {
        "training": STEMS["train"],
        "validation": STEMS["val"],
    }.items():
        for stem in stems:
            save(root / "images" / split / f"{stem}.jpg", pixels(stem))
            ids = np.where(truth() == 255, 0, truth() + 1)
            save(root / "annotations" / split / f"{stem}.png", ids.astype(np.uint8))
    lines = [f"{i}\t0.1\t2\t1\t{name}" for i, name in enumerate(NAMES, 1)]
    text = "\n".join(["Idx\tRatio\tTrain\tVal\tName", *lines])
    (root / "objectInfo150.txt").write_text(text)


def cityscapes(root: Path) -> None:
    """Label ids 23, 7 and 26: sky, road and car; val has the train ids 10, 0, 13."""
    for split, stems in STEMS.items():
        for number, stem in enumerate(stems):
            city = stem.partition("_")[0]
            name = f"{city}_{number:06d}_000019"
            folder = root / "leftImg8bit" / split / city
            save(folder / f"{name}_leftImg8bit.png", pixels(stem))
            table = np.zeros(256, np.uint8)
            masks = root / "gtFine" / split / city
            table[[0, 1, 2, 255]] = [23, 7, 26, 4]
            save(masks / f"{name}_gtFine_labelIds.png", table[truth()])
            save(masks / f"{name}_gtFine_color.png", coloured())
            if split == "val":
                table[[0, 1, 2, 255]] = [10, 0, 13, 255]
                save(masks / f"{name}_gtFine_labelTrainIds.png", table[truth()])


def keras_segmentation(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            save(root / f"images_prepped_{split}" / f"{stem}.png", pixels(stem))
            rgb = np.repeat(truth()[..., None], 3, 2)
            save(root / f"annotations_prepped_{split}" / f"{stem}.png", rgb)
    (root / "classes.txt").write_text("sky\nroad\ncar\n")


def image_folder(root: Path) -> None:
    for split, stems in {"train": STEMS["train"], "validation": STEMS["val"]}.items():
        rows = []
        for stem in stems:
            save(root / split / f"{stem}.png", pixels(stem))
            save(root / split / "masks" / f"{stem}_mask.png", truth())
            row = {
                "file_name": f"{stem}.png",
                "label_file_name": f"masks/{stem}_mask.png",
            }
            rows.append(json.dumps(row))
        (root / split / "metadata.jsonl").write_text("\n".join(rows))
    save_json(root / "id2label.json", {str(i): name for i, name in enumerate(NAMES)})


def parquet(root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True)
    for split, stems in {"train": STEMS["train"], "validation": STEMS["val"]}.items():
        path = root / "data" / f"{split}-00000-of-00001.parquet"
        pq.write_table(_table(pa, stems), path, row_group_size=1)
    save_json(root / "id2label.json", {str(i): name for i, name in enumerate(NAMES)})


def arrow(root: Path) -> None:
    import pyarrow as pa

    for split, stems in {"train": STEMS["train"], "validation": STEMS["val"]}.items():
        (root / split).mkdir(parents=True)
        table = _table(pa, stems)
        path = root / split / "data-00000-of-00001.arrow"
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as to,
        ):
            to.write_table(table)
    save_json(root / "id2label.json", {str(i): name for i, name in enumerate(NAMES)})


def _table(pa: object, stems: tuple[str, ...]) -> object:
    """A table as `datasets` writes it, with its features in the schema."""
    images = [{"bytes": _png(pixels(stem)), "path": f"{stem}.png"} for stem in stems]
    masks = [{"bytes": _png(truth()), "path": None} for _ in stems]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    names = {"pixel_values": images, "label": masks}
    features = {name: {"_type": "Image"} for name in names}
    head = json.dumps({"info": {"features": features}})
    schema = pa.schema([(name, kind) for name in names], {"huggingface": head})
    return pa.table(names, schema=schema)


def _png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


# By the name of the format, and of what is special about the sample.
SAMPLES: Mapping[str, Callable[[Path], None]] = {
    "ade20k": ade20k,
    "cityscapes": cityscapes,
    "coco": coco,
    "coco-panoptic": coco_panoptic,
    "colours camvid": camvid,
    "colours mapillary": mapillary,
    "huggingface arrow": arrow,
    "huggingface folder": image_folder,
    "huggingface parquet": parquet,
    "keras_segmentation": keras_segmentation,
    "labelme": labelme,
    "voc": voc,
}
