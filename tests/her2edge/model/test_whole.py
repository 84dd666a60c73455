"""What is given in a model's place is named for what it is; a model that is not whole is told from it."""

import pytest
import tiny

from her2edge import Model
from her2edge.errors import ModelError
from her2edge.slide import encode_png
from her2edge_cli.main import main

FORM = "expected a her2edge model file, a .tflite made by `her2edge quantize`"
WHOLE = tiny.INT8.read_bytes()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (encode_png(tiny.glass()), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "a JPEG picture"),
        (b"II*\0" + bytes(99), "a TIFF, as slides are"),
        (b"PK\x03\x04" + bytes(99), "a ZIP, as .keras files are"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, as Keras' weights are"),
        ("Slides of März\r\n".encode() * 40, "a text file"),
        (bytes(99), "a file that is no .tflite"),
        (
            WHOLE[: WHOLE.index(b"PK\x03\x04")],
            "a .tflite of another program, or the first part of a model file",
        ),
        (WHOLE[:-500], "bytes that do not match the file's own SHA-256"),
        (WHOLE[:99] + bytes([WHOLE[99] ^ 1]) + WHOLE[100:], "bytes that do not match the file's own SHA-256"),
    ],
)
def test_what_is_no_whole_model_file_is_named_with_what_to_do(tmp_path, data, found):
    path = tmp_path / "given"
    path.write_bytes(data)
    with pytest.raises(ModelError) as refused:
        Model.load(path)
    said = str(refused.value)
    assert said.startswith(f"given: found {found}, {FORM}")
    assert said.split(": ")[-1].startswith(("copy it again", "name such a file"))


def test_a_folder_in_the_place_of_a_model_is_named_so(tmp_path):
    with pytest.raises(ModelError, match=r"found a folder, expected a her2edge model file.*; name a file"):
        Model.load(tmp_path)


@pytest.mark.parametrize(
    "command", [["verify"], ["inspect"], ["bench"], ["classify", "a.svs", "--out", "o", "--model"]]
)
def test_each_command_names_the_file_that_is_no_model_and_what_it_is(tmp_path, capsys, command):
    path = tmp_path / "note.txt"
    path.write_text("no model")
    assert main([*command, str(path)]) == 78
    assert f"her2edge: note.txt: found a text file, {FORM}" in capsys.readouterr().err
