"""A Comprehensive 3D SR (PS3.3, A.35.13) by TID 1500: the slide's answer, what it rests on, what made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from her2edge.dicom import codes
from her2edge.dicom.lazy import Packages
from her2edge.dicom.source import DicomSlide
from her2edge.dicom.stated import Stated


def make_report(slide: DicomSlide, stated: Stated, packages: Packages) -> Any:
    """The document, preliminary and not verified; also for a slide that is not assessable."""
    sr, image = packages.highdicom.sr, slide.image
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=stated.uid("answer"), identifier="her2edge answer"),
        finding_type=codes.concept(packages, codes.RESULT),
        algorithm_id=_algorithm(stated, packages),
        measurements=list(_measurements(stated, packages)),
        qualitative_evaluations=list(_evaluations(stated, packages)),
        source_images=[sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    group[0].ContentSequence.extend(_sentences(stated, packages))
    content = sr.MeasurementReport(
        observation_context=_context(slide, stated, packages),
        procedure_reported=codes.standard(packages, "104157003", "SCT", "Light microscopy procedure"),
        imaging_measurements=[group],
    )
    report = sr.Comprehensive3DSR(
        evidence=[image],
        content=content[0],
        series_number=9002,
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=codes.declared(packages),
        series_instance_uid=stated.uid("report series"),
        sop_instance_uid=stated.uid("report"),
        transfer_syntax_uid=packages.pydicom.uid.ExplicitVRLittleEndian,
        **stated.equipment,
    )
    stated.date(report)
    return report


def _context(slide: DicomSlide, stated: Stated, packages: Packages) -> Any:
    """Who observed, and what: her2edge, and the slide's specimen where it has one (TID 1009)."""
    sr, subject = packages.highdicom.sr, None
    specimens = slide.image.get("SpecimenDescriptionSequence") or []
    if len(specimens) == 1 and specimens[0].get("SpecimenUID"):
        specimen = sr.SubjectContextSpecimen(
            uid=specimens[0].SpecimenUID,
            identifier=specimens[0].get("SpecimenIdentifier") or None,
            container_identifier=slide.image.get("ContainerIdentifier") or None,
        )
        kind = codes.standard(packages, "121027", "DCM", "Specimen")
        subject = sr.SubjectContext(subject_class=kind, subject_class_specific_context=specimen)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=stated.device_uid, name="her2edge", manufacturer_name="her2edge", model_name=stated.model.name
    )
    kind = codes.standard(packages, "121007", "DCM", "Device")
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=kind, observer_identifying_attributes=device
        ),
        subject_context=subject,
    )


def _algorithm(stated: Stated, packages: Packages) -> Any:
    basis = stated.results.run.basis
    parameters = [
        f"model sha256 {stated.model.sha256}",
        f"her2edge {basis.version}",
        f"runtime {basis.runtime}, {basis.architecture}",
        f"stain {basis.stain.get('mode')}",
        f"reading {'every tile' if basis.reading is None else basis.reading}",
        f"tiles {'of the whole slide' if basis.regions is None else basis.regions}",
    ]
    return packages.highdicom.sr.AlgorithmIdentification(
        name=stated.model.name, version=stated.model.version, parameters=parameters, manufacturer="her2edge"
    )


def _measurements(stated: Stated, packages: Packages) -> Iterator[Any]:
    answer = stated.results.summary.answer
    values: list[tuple[tuple[str, str], float | None, str]] = []
    for label, share in answer.shares.items():
        values += [
            (codes.of_label("P", label), answer.probabilities[label], "1"),
            (codes.of_label("SHARE", label), share.share, "1"),
            (codes.of_label("LOW", label), share.low, "1"),
            (codes.of_label("HIGH", label), share.high, "1"),
        ]
    values += [
        (codes.EFFECTIVE, answer.effective_tiles, "{tiles}"),
        (codes.POOLED, answer.tiles.pooled, "{tiles}"),
        (codes.TILES, answer.tiles.total, "{tiles}"),
    ]
    for code, value, unit in values:
        if value is not None:
            yield packages.highdicom.sr.Measurement(
                name=codes.concept(packages, code),
                value=round(float(value), 6),
                unit=codes.standard(packages, unit, "UCUM", "no units" if unit == "1" else "tiles"),
            )


def _evaluations(stated: Stated, packages: Packages) -> Iterator[Any]:
    answer = stated.results.summary.answer
    values: list[tuple[tuple[str, str], tuple[str, str]]] = [
        (codes.STATUS, (answer.status.value, answer.status.value.replace("_", " ")))
    ]
    for label in answer.labels:
        code, _ = codes.of_label("LABEL", label)
        values.append((codes.POSSIBLE, (code, codes.long_string(f"HER2 {stated.displayed(label)}"))))
    values += [
        (codes.REASON, (reason.code.value, reason.code.value.replace("_", " "))) for reason in answer.reasons
    ]
    for name, value in values:
        yield packages.highdicom.sr.QualitativeEvaluation(
            name=codes.concept(packages, name), value=codes.concept(packages, value)
        )


def _sentences(stated: Stated, packages: Packages) -> Iterator[Any]:
    """The notice, that only regions were read, and each reason in words."""
    comment = codes.standard(packages, "121106", "DCM", "Comment")
    texts = [(comment, text) for text in (stated.notice, stated.regions) if text]
    sentence = codes.concept(packages, codes.SENTENCE)
    texts += [(sentence, reason.sentence) for reason in stated.results.summary.answer.reasons]
    for name, text in texts:
        yield packages.highdicom.sr.TextContentItem(name=name, value=text, relationship_type="CONTAINS")
