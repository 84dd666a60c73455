"""The fast export: tiles packed by the SDK, the portable export's bits."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import make_tiny_model as tiny
import msgspec
import numpy as np
import pytest
import tiny_resnet
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")

from her2edge.errors import InferenceError, ModelError, OptionError
from her2edge.model.file import Model
from her2edge.model.manifest import dump_manifest, parse_manifest
from her2edge.model.records import Input, Packing
from her2edge.runtime.litert import LiteRTRuntime, read_tensors
from her2edge.runtime.packing import InputWriter, input_shape
from her2edge_quantize.convert.edge import check_stem, make_fast
from her2edge_quantize.convert.edge.flatbuffer import Graph, parse, serialize
from her2edge_quantize.convert.edge.packed import Packed, pack_stem
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.model_file.pack import pack
from her2edge_quantize.options import QuantizeOptions

PX = tiny_resnet.TILE_PX
PIXEL = st.integers(0, 255)


@cache
def fast() -> Packed:
    return make_fast(tiny_resnet.portable(), tiny.network_inputs(2))


@cache
def models() -> tuple[Model, Model]:
    """(portable, fast), packed as model files."""
    head, golden, about = fold_head(tiny_resnet.build()), tiny.network_inputs(2), tiny.description("int8")
    packed_about = replace(about, packing=fast().packing)
    return (
        Model.from_bytes(pack(tiny_resnet.portable(), about, head, golden, tiny.CARD)),
        Model.from_bytes(pack(fast().flatbuffer, packed_about, head, golden, tiny.CARD)),
    )


@cache
def runtimes() -> tuple[LiteRTRuntime, LiteRTRuntime]:
    portable, packed = models()
    return LiteRTRuntime(portable, threads=1), LiteRTRuntime(packed, threads=1)


def assert_same_bits(tile: np.ndarray[Any, Any]) -> None:
    portable, packed = (runtime.logits_and_features(tile) for runtime in runtimes())
    for one, other in zip(portable, packed, strict=True):
        np.testing.assert_array_equal(one, other)


def input_of(tile_px: int, table: np.ndarray[Any, Any], border: int) -> Input:
    packing = Packing(layout="stem-7x7-2", table=table.astype(np.int8).tobytes(), border=border)
    return Input(tile_px=tile_px, mpp=0.25, scale=1.0, zero_point=0, packing=packing)


def test_a_convolution_of_the_packed_tile_is_that_of_the_framed_one() -> None:
    """Against the definition of a 7x7 convolution with stride 2, in integers."""
    random = np.random.default_rng(2)
    kernel = random.integers(-127, 128, (7, 7, 3))
    tile = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    form = input_of(16, np.tile(np.arange(-128, 128), (3, 1)), border=5)
    out = np.empty(input_shape(form), dtype=np.int8)
    InputWriter(form).write(tile, out)
    packed_kernel = np.pad(kernel, ((0, 1), (0, 1), (0, 0))).reshape(4, 48)
    framed = np.pad(tile.astype(int) - 128, ((3, 3), (3, 3), (0, 0)), constant_values=5)
    for y in range(8):
        for x in range(8):
            wanted = (framed[2 * y : 2 * y + 7, 2 * x : 2 * x + 7] * kernel).sum()
            assert (out[0, y : y + 4, x].astype(int) * packed_kernel).sum() == wanted


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::-1], np.s_[:, :, ::-1]], ids=["x", "y", "BGR"])
def test_a_tile_that_is_a_view_is_packed_as_its_copy(view: Any) -> None:
    tile = tiny.network_inputs(1)[0][view]
    for runtime in runtimes():
        np.testing.assert_array_equal(runtime.logits(tile), runtime.logits(tile.copy()))


@settings(max_examples=80, deadline=None)
@given(tile=arrays(np.uint8, (PX, PX, 3), elements=PIXEL, fill=PIXEL))
def test_fast_gives_the_bits_of_portable(tile: np.ndarray[Any, Any]) -> None:
    assert_same_bits(tile)


@pytest.mark.parametrize("grey", [0, 1, 103, 104, 116, 117, 123, 124, 128, 254, 255])
def test_fast_gives_the_bits_of_portable_where_border_and_tile_are_near_the_mean(grey: int) -> None:
    tile = np.full((PX, PX, 3), grey, np.uint8)
    assert_same_bits(tile)
    tile[[0, 1, 2, -3, -2, -1]] = 255 - grey
    assert_same_bits(tile)


def test_fast_gives_the_bits_of_portable_on_tissue_and_noise() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (40, PX, PX, 3), dtype=np.uint8)
    answers = set()
    for tile in (*tiny.network_inputs(40, first=900), *noise):
        assert_same_bits(tile)
        answers.add(runtimes()[0].logits(tile).tobytes())
    assert len(answers) > 20


def test_golden_tiles_stay_raw_and_golden_logits_are_the_same() -> None:
    portable, packed = models()
    np.testing.assert_array_equal(portable.golden.tiles, packed.golden.tiles)
    np.testing.assert_array_equal(portable.golden.logits, packed.golden.logits)


def test_only_what_stood_before_the_stem_is_gone_and_only_its_kernel_has_moved() -> None:
    before, after = Graph(parse(tiny_resnet.portable())), Graph(parse(fast().flatbuffer))
    assert before.kinds() == ["QUANTIZE", "ADD", "PAD", *after.kinds()]
    stem, packed_stem = before.subgraph.operators[3], after.subgraph.operators[0]
    kernel = before.constant(stem.inputs[1], np.int8)
    moved = after.constant(packed_stem.inputs[1], np.int8).reshape(-1, 8, 8, 3)
    np.testing.assert_array_equal(moved[:, :7, :7], kernel)
    assert not moved[:, 7].any()
    assert not moved[:, :, 7].any()
    tensors = before.subgraph.tensors, after.subgraph.tensors
    for ours, theirs in zip(before.subgraph.operators[4:], after.subgraph.operators[1:], strict=True):
        for a, b in zip(ours.inputs, theirs.inputs, strict=True):
            one, other = tensors[0][a], tensors[1][b]
            np.testing.assert_array_equal(one.shape, other.shape)
            if (values := before.model.buffers[one.buffer].data) is not None:
                np.testing.assert_array_equal(values, after.model.buffers[other.buffer].data)
            if one.quantization.scale is not None:
                np.testing.assert_array_equal(one.quantization.scale, other.quantization.scale)
    assert len(fast().flatbuffer) < len(tiny_resnet.portable()) + 16384


def test_the_border_is_the_mean() -> None:
    """What preprocessing makes of the mean is zero, and that is what its padding writes."""
    table = np.frombuffer(fast().packing.table, np.int8).reshape(3, 256).astype(int)
    for channel, mean in enumerate((123.68, 116.779, 103.939)):
        assert abs(table[channel, round(mean)] - fast().packing.border) <= 1
        assert (np.diff(table[channel]) >= 0).all()


def test_every_buffer_is_aligned_as_the_schema_asks() -> None:
    data = fast().flatbuffer
    root = schema.Model.GetRootAs(data, 0)
    start = np.frombuffer(data, np.uint8).ctypes.data
    buffers = [root.Buffers(i) for i in range(root.BuffersLength()) if root.Buffers(i).DataLength()]
    assert len(buffers) > 20
    assert {(buffer.DataAsNumpy().ctypes.data - start) % 16 for buffer in buffers} == {0}


def test_the_same_portable_gives_the_same_bytes() -> None:
    assert pack_stem(tiny_resnet.portable()).flatbuffer == fast().flatbuffer
    assert serialize(parse(fast().flatbuffer)) == fast().flatbuffer


def test_what_is_packed_already_is_refused() -> None:
    with pytest.raises(ModelError, match="packed already"):
        pack_stem(fast().flatbuffer)


def _changed(change: Any) -> bytes:
    model = parse(tiny_resnet.portable())
    change(Graph(model))
    return serialize(model)


def _stem_stride(graph: Graph) -> None:
    options = graph.subgraph.operators[3].builtinOptions
    options.dilationHFactor = 2


def _padding(graph: Graph) -> None:
    pads = graph.subgraph.tensors[graph.subgraph.operators[2].inputs[1]]
    graph.new_constant(pads, np.array([[0, 0], [2, 4], [3, 3], [0, 0]], np.int32))


def _branch(graph: Graph) -> None:
    graph.subgraph.operators.append(copy.copy(graph.subgraph.operators[0]))


@pytest.mark.parametrize("change", [_stem_stride, _padding, _branch])
def test_another_stem_is_refused_and_nothing_is_guessed(change: Any) -> None:
    with pytest.raises(ModelError, match=r"expected|refuses"):
        pack_stem(_changed(change))


def test_bytes_that_are_no_flatbuffer_are_refused() -> None:
    plain = tiny_resnet.portable()
    for data in (b"", b"short", bytes(1000), plain[:4] + b"XXXX" + plain[8:], b"\xff" * 4 + b"TFL3" * 20):
        with pytest.raises(ModelError):
            pack_stem(data)


def test_a_network_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="stem"):
        pack_stem(Model.load(tiny.DATA / "tiny-int8.tflite").flatbuffer)
    with pytest.raises(ModelError, match="stem"):
        pack_stem(Model.load(tiny.DATA / "tiny-fp32.tflite").flatbuffer)


def test_an_answer_of_other_bits_is_refused() -> None:
    wrong = replace(fast(), packing=msgspec.structs.replace(fast().packing, border=fast().packing.border + 9))
    with pytest.raises(ModelError, match="answers differently"):
        make_fast(tiny_resnet.portable(), tiny.network_inputs(1), pack=lambda _portable: wrong)


def test_the_manifest_says_how_tiles_are_packed_and_reads_back() -> None:
    portable, packed = (model.manifest for model in models())
    assert packed.input.packing == fast().packing
    assert parse_manifest(dump_manifest(packed)) == packed
    assert b"packing" not in dump_manifest(portable)
    assert (packed.input.tile_px, packed.input.scale, packed.input.zero_point) == (PX, 1.0, 0)


@pytest.mark.parametrize(
    "change",
    [{"table": "AAAA"}, {"table": 3}, {"border": 128}, {"border": -129}, {"layout": "stem-3x3"}, {"more": 1}],
)
def test_a_manifest_with_another_packing_is_refused(change: dict[str, Any]) -> None:
    record = msgspec.json.decode(dump_manifest(models()[1].manifest))
    record["input"]["packing"] |= change
    with pytest.raises(ModelError, match="manifest is not valid"):
        parse_manifest(msgspec.json.encode(record))
    record["input"]["packing"] = None
    with pytest.raises(ModelError, match="manifest is not valid"):
        parse_manifest(msgspec.json.encode(record))


def test_a_flatbuffer_that_does_not_fit_its_packing_is_refused() -> None:
    portable, packed = models()
    about, golden = tiny.description("int8"), packed.golden.tiles
    other = msgspec.structs.replace(fast().packing, border=fast().packing.border - 1)
    for flatbuffer, packing in (
        (packed.flatbuffer, msgspec.UNSET),
        (packed.flatbuffer, other),
        (portable.flatbuffer, fast().packing),
    ):
        with pytest.raises(ModelError, match="but the manifest says"):
            pack(flatbuffer, replace(about, packing=packing), packed.head, golden, tiny.CARD)


def test_a_tile_of_another_size_is_an_inference_error_for_both() -> None:
    for runtime in runtimes():
        for tile in (np.zeros((PX, PX + 2, 3), np.uint8), np.zeros((3,), np.uint8), np.zeros((PX, PX, 3))):
            with pytest.raises(InferenceError, match="LiteRT failed") as kept:
                runtime.logits(tile)
            runtime.logits(tiny.network_inputs(1)[0])  # whoever keeps the error keeps nothing of the network
            assert kept.value.__cause__ is not None


def test_the_tensors_of_both_forms_are_told_apart() -> None:
    assert read_tensors(tiny_resnet.portable()).border is None
    tensors = read_tensors(fast().flatbuffer)
    assert (tensors.tile_px, tensors.border) == (PX, fast().packing.border)


def test_fast_is_refused_before_a_conversion_that_could_not_give_it() -> None:
    resnet = tiny_resnet.build()
    check_stem("fast", resnet)
    check_stem("portable", tiny.build())
    with pytest.raises(OptionError, match="expected a ResNet"):
        check_stem("fast", tiny.build())
    with pytest.raises(OptionError, match="kept in float"):
        QuantizeOptions(scheme="int8", export="fast", keep_float=True)
    for export, scheme in (("fast", "fp16"), ("quick", "int8")):
        with pytest.raises(OptionError, match="expected"):
            QuantizeOptions(scheme=scheme, export=export)  # type: ignore[arg-type]
