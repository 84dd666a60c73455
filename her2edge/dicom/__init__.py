"""A slide's results as DICOM objects beside the slide: annotations and a structured report (extra `dicom`).

Research use only: both objects say so, and the report is preliminary and not verified.
"""

from her2edge.dicom.write import check_source, write_dicom

__all__ = ["check_source", "write_dicom"]
