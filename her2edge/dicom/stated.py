"""What both objects of a slide say alike: their UIDs, device, dates and notice."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from her2edge.dicom.codes import long_string
from her2edge.dicom.uids import derived_uid
from her2edge.errors import ResultsError
from her2edge.model.classes import DEMO_REMARK
from her2edge.results.read_back import Results
from her2edge.results.summary import SummaryModel
from her2edge.tile import RESEARCH_USE


@dataclass(frozen=True, eq=False)
class Stated:
    """Of these results. image: the SOP Instance UID of the slide's level 0."""

    results: Results
    image: str

    def uid(self, *of: str) -> str:
        """A UID from the slide, the model and the answer: the bytes of summary.json and tiles.csv."""
        run = self.results.run
        basis = (self.image, run.basis.fingerprint, run.basis.model)
        return derived_uid(*of, *basis, run.files["summary.json"], run.files["tiles.csv"])

    @property
    def device_uid(self) -> str:
        """Of the device that observes: this version of her2edge with this model."""
        return derived_uid("device", self.results.run.basis.version, self.results.run.basis.model)

    @property
    def model(self) -> SummaryModel:
        return self.results.summary.model

    @property
    def notice(self) -> str:
        """What every output carries, in full."""
        return self.results.summary.notice

    @property
    def regions(self) -> str:
        """That only regions were read; empty: the whole slide was. The file of them is not named."""
        regions = self.results.summary.regions
        return "" if regions is None else regions.said(file=False)

    @property
    def brief(self) -> str:
        """The same in at most 64 characters."""
        return long_string(f"{RESEARCH_USE}{' Demo model.' if self.results.summary.demo else ''}")

    def displayed(self, label: str) -> str:
        """A label of the slide's answer as people read it."""
        return f"{label}{DEMO_REMARK}" if self.results.summary.demo else label

    @property
    def equipment(self) -> dict[str, Any]:
        """What makes the objects."""
        return {
            "manufacturer": "her2edge",
            "manufacturer_model_name": "her2edge",
            "software_versions": self.results.run.basis.version,
            "device_serial_number": long_string(self.model.sha256[:16]),
        }

    @cached_property
    def begun(self) -> datetime.datetime:
        """When the slide was read, from run.json; raises ResultsError."""
        try:
            return datetime.datetime.fromisoformat(self.results.run.started).astimezone(datetime.UTC)
        except ValueError as error:
            raise ResultsError(
                f"{self.results.folder.name}: found a run.json without a valid time: classify the slide again"
            ) from error

    def date(self, instance: Any) -> None:
        """Put the time of the run, UTC, where the clock's is: two objects of one run are the same bytes.

        No offset is stated: it would be that of the study's time, too."""
        day, time = self.begun.strftime("%Y%m%d"), self.begun.strftime("%H%M%S")
        for kind in ("Content", "InstanceCreation", "Series"):
            setattr(instance, f"{kind}Date", day)
            setattr(instance, f"{kind}Time", time)
        for item in instance.ContributingEquipmentSequence:
            if item.ManufacturerModelName == "highdicom":
                item.ContributionDateTime = f"{day}{time}"
        instance.SeriesDescription = self.brief
