"""Whole-slide images in DICOM as PS3.3 A.32.8 has them: pyramids, compressed tiles, concatenations.

`dicoms` writes the least that OpenSlide reads; these are whole objects, written by pydicom.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    VLWholeSlideMicroscopyImageStorage,
)

Pixels = NDArray[np.uint8]
_ROOT = "1.2.826.0.1.3680043.8.498.7"
SYNTAXES = {
    "raw": ExplicitVRLittleEndian,
    "jpeg": JPEGBaseline8Bit,
    "j2k": JPEG2000,
    "j2k-lossless": JPEG2000Lossless,
    "jpeg-ls": JPEGLSLossless,  # which OpenSlide refuses
}


@dataclass(frozen=True)
class Slide:
    """How a slide is written. levels: each half of the one before. parts: files of each level.

    changes: attributes by keyword, set last; None takes one away. slide: a number for its UIDs.
    """

    syntax: str = "raw"
    levels: int = 1
    tile: int = 64
    parts: int = 1
    mpp: float = 0.25
    slide: int = 1
    container: str = "S1"
    specimens: Sequence[str] = ("S1-A",)
    changes: dict[str, Any] = field(default_factory=dict)


def write_slide(folder: Path, pixels: Pixels, how: Slide = Slide()) -> list[Path]:
    """Write (h, w, 3) uint8 pixels as files of one series; level 0 first. Sides need not be whole tiles."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for level in range(how.levels):
        small = np.ascontiguousarray(pixels[:: 1 << level, :: 1 << level])
        frames = [_encoded(frame, how.syntax) for frame in _frames(small, how.tile)]
        cuts = [part * len(frames) // how.parts for part in range(how.parts + 1)]
        for part, (start, end) in enumerate(pairwise(cuts)):
            own = frames[start:end]
            path = folder / f"s{how.slide}-l{level}-p{part}.dcm"
            _instance(small, how, level, part, start, own).save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def _instance(pixels: Pixels, how: Slide, level: int, part: int, offset: int, frames: list[bytes]) -> Dataset:
    uid = f"{_ROOT}.{how.slide}"
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = SYNTAXES[how.syntax]
    image.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    image.SOPInstanceUID = f"{uid}.3.{level}.{part}"
    image.StudyInstanceUID, image.SeriesInstanceUID = f"{uid}.1", f"{uid}.2"
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = f"{uid}.4", "SLIDE_CORNER"
    _patient_and_study(image)
    _equipment_and_specimen(image, how)
    _image(image, pixels, how, level)
    image.NumberOfFrames, image.InstanceNumber = len(frames), str(level + 1)
    if how.parts > 1:
        image.ConcatenationUID = f"{uid}.5.{level}"
        image.SOPInstanceUIDOfConcatenationSource = f"{uid}.6.{level}"
        image.InConcatenationNumber, image.InConcatenationTotalNumber = part + 1, how.parts
        image.ConcatenationFrameOffsetNumber = offset
    if how.syntax == "raw":
        image.PixelData = b"".join(frames)
    else:
        image.PixelData = encapsulate(frames)
    image["PixelData"].VR = "OB"
    for name, value in how.changes.items():
        if value is None:
            del image[name]
        else:
            setattr(image, name, value)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.get("SOPInstanceUID", f"{uid}.9")
    return image


def _patient_and_study(image: Dataset) -> None:
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID = "Jäger^Ödön", "PAT-77"
    image.PatientBirthDate, image.PatientSex = "19600101", "F"
    image.StudyDate, image.StudyTime, image.StudyID = "20260102", "101112", "ST1"
    image.AccessionNumber, image.ReferringPhysicianName = "A-5", ""
    image.ContentDate, image.ContentTime, image.AcquisitionDateTime = "20260102", "101112", "20260102101112"


def _equipment_and_specimen(image: Dataset, how: Slide) -> None:
    image.Modality, image.SeriesNumber = "SM", "1"
    image.Manufacturer, image.ManufacturerModelName = "Maker", "Model 5"
    image.DeviceSerialNumber, image.SoftwareVersions = "1", "1"
    image.ContainerIdentifier, image.IssuerOfTheContainerIdentifierSequence = how.container, []
    image.ContainerTypeCodeSequence = [_code("433466003", "SCT", "Microscope slide")]
    image.AcquisitionContextSequence = []
    image.SpecimenDescriptionSequence = []
    for number, name in enumerate(how.specimens):
        specimen = Dataset()
        specimen.SpecimenIdentifier, specimen.SpecimenUID = name, f"{_ROOT}.{how.slide}.7.{number}"
        specimen.IssuerOfTheSpecimenIdentifierSequence = []
        specimen.SpecimenPreparationSequence = []
        image.SpecimenDescriptionSequence.append(specimen)


def _image(image: Dataset, pixels: Pixels, how: Slide, level: int) -> None:
    height, width = pixels.shape[:2]
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE" if level == 0 else "RESAMPLED"]
    image.VolumetricProperties = "VOLUME"
    image.SamplesPerPixel, image.PlanarConfiguration = 3, 0
    image.PhotometricInterpretation = {
        "jpeg": "YBR_FULL_422",
        "j2k": "YBR_ICT",
        "j2k-lossless": "YBR_RCT",
    }.get(how.syntax, "RGB")
    image.Rows = image.Columns = how.tile
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "01" if how.syntax in ("jpeg", "j2k") else "00"
    if image.LossyImageCompression == "01":
        image.LossyImageCompressionRatio = "10"
        image.LossyImageCompressionMethod = "ISO_10918_1" if how.syntax == "jpeg" else "ISO_15444_1"
    image.TotalPixelMatrixColumns, image.TotalPixelMatrixRows = width, height
    spacing = how.mpp / 1000 * (1 << level)
    image.ImagedVolumeWidth, image.ImagedVolumeHeight = width * spacing, height * spacing
    image.ImagedVolumeDepth = 0.5
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "20.0", "50.0"
    image.TotalPixelMatrixOriginSequence = [origin]
    image.ImageOrientationSlide = ["0.0", "-1.0", "0.0", "-1.0", "0.0", "0.0"]
    image.SpecimenLabelInImage, image.FocusMethod, image.ExtendedDepthOfField = "NO", "AUTO", "NO"
    image.NumberOfOpticalPaths, image.TotalPixelMatrixFocalPlanes = 1, 1
    path = Dataset()
    path.OpticalPathIdentifier = "0"
    path.IlluminationTypeCodeSequence = [_code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [_code("414298005", "SCT", "Full Spectrum")]
    image.OpticalPathSequence = [path]
    organization = Dataset()
    organization.DimensionOrganizationUID = f"{_ROOT}.{how.slide}.8"
    image.DimensionOrganizationSequence = [organization]
    image.DimensionOrganizationType = "TILED_FULL"
    measures, kind, shared = Dataset(), Dataset(), Dataset()
    measures.SliceThickness, measures.PixelSpacing = "0.0005", [f"{spacing:.10g}"] * 2
    kind.FrameType = image.ImageType
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [kind]
    image.SharedFunctionalGroupsSequence = [shared]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _frames(pixels: Pixels, tile: int) -> list[Pixels]:
    height, width = pixels.shape[:2]
    down, across = -(-height // tile), -(-width // tile)
    padded = np.full((down * tile, across * tile, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    return list(padded.reshape(down, tile, across, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3))


def _encoded(frame: Pixels, syntax: str) -> bytes:
    if syntax == "raw":
        return frame.tobytes()
    if syntax == "jpeg-ls":
        data = bytes(jpeg_ls.encode_array(frame))
        return data + b"\0" * (len(data) % 2)
    out = io.BytesIO()
    image = Image.fromarray(frame)
    if syntax == "jpeg":
        image.save(out, "JPEG", quality=90, subsampling="4:2:2")
    else:
        image.save(out, "JPEG2000", irreversible=syntax == "j2k", no_jp2=True, mct=1,
                   quality_mode="rates", quality_layers=[4 if syntax == "j2k" else 1])  # fmt: skip
    return out.getvalue()


def read_back(path: Path) -> Dataset:
    """All of a file, by pydicom."""
    return pydicom.dcmread(path)
