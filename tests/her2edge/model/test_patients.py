"""Which patients a model learnt from: it can be asked, not read."""

from her2edge.files import json_bytes
from her2edge.model.patients import TrainingPatients, patient_group, slide_group
from her2edge_training.cohort.tile_list import group_of


def test_a_patient_is_recognised_in_any_spelling_of_unicode_and_no_other_is():
    known = TrainingPatients.of("salt", [patient_group("M\u00fcller 1"), slide_group("a.svs")])
    assert known.hold(patient_group("Mu\u0308ller 1"))
    assert known.hold(slide_group("a.svs"))
    assert not known.hold(patient_group("a.svs"))
    assert not known.hold(patient_group("M\u00fcller 2"))


def test_no_name_is_in_it_and_another_salt_gives_other_hashes():
    one, other = (TrainingPatients.of(salt, [patient_group("P1")] * 2) for salt in ("a", "b"))
    assert len(one.hashes) == 1
    assert one.hashes != other.hashes
    assert b"P1" not in json_bytes(one)


def test_groups_are_those_of_training():
    assert patient_group("P1") == group_of("P1", "a")
    assert slide_group("a") == group_of("", "a")
