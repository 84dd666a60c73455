"""The softmax against SciPy's, bit for bit; and that the product has no other."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from her2edge.probability import log_softmax, probabilities, softmax

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "her2edge" / "probability.py"
PRODUCT = [
    path
    for folder in ("her2edge", "cli", "quantize", "training")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != HOME
]


@pytest.mark.parametrize("spread", [0.1, 3.0, 1000.0])
@pytest.mark.parametrize("per_row", [False, True])
def test_it_is_scipys_softmax_of_logits_over_a_temperature(spread: float, per_row: bool) -> None:
    random = np.random.default_rng(5)
    logits = random.normal(0, spread, (200, 3)).astype(np.float32)
    temperature = random.uniform(0.05, 20, 200) if per_row else 1.7
    scaled = logits.astype(np.float64) / np.reshape(temperature, (-1, 1))
    np.testing.assert_array_equal(softmax(logits, temperature), special.softmax(scaled, axis=1))
    np.testing.assert_array_equal(log_softmax(logits, temperature), special.log_softmax(scaled, axis=1))
    expected = special.softmax(scaled, axis=1).astype(np.float32)
    np.testing.assert_array_equal(probabilities(logits, temperature), expected)


def test_any_number_of_tiles_has_its_probabilities_along_the_last_axis() -> None:
    logits = np.random.default_rng(6).normal(0, 2, (2, 5, 4)).astype(np.float32)
    chances = probabilities(logits, 2.0)
    assert (chances.shape, chances.dtype) == ((2, 5, 4), np.float32)
    np.testing.assert_array_equal(chances[1, 3], probabilities(logits[1, 3], 2.0))


def others(tree: ast.AST) -> set[str]:
    """Names of softmaxes that are not the house's: a library's, a layer's option, and e^x over its sum."""
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "her2edge.probability"
        for alias in node.names
    }
    names = set()
    for node in ast.walk(tree):
        name = ""
        if isinstance(node, ast.Name | ast.alias | ast.FunctionDef):
            name = node.id if isinstance(node, ast.Name) else node.name
        elif isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.keyword | ast.Call):
            values = [node.value] if isinstance(node, ast.keyword) else node.args
            name = " ".join(
                v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)
            )
        if name.lower() in {"softmax", "log_softmax", "logsumexp", "logsoftmax"} and name not in ours:
            names.add(name)
        if isinstance(node, ast.FunctionDef) and _exponential_over_sum(node):
            names.add(node.name)
    return names


def _exponential_over_sum(function: ast.FunctionDef) -> bool:
    """Whether a function divides exponentials by their sum."""

    def called(node: ast.AST, name: str) -> bool:
        return any(
            isinstance(n, ast.Call) and getattr(n.func, "attr", getattr(n.func, "id", "")) == name
            for n in ast.walk(node)
        )

    powers = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and called(node.value, "exp")
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def exponential(node: ast.AST) -> bool:
        return called(node, "exp") or any(isinstance(n, ast.Name) and n.id in powers for n in ast.walk(node))

    divisions = [
        (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
    ]
    return any(
        exponential(above) and exponential(below) and called(below, "sum") for above, below in divisions
    )


def test_the_product_has_no_second_softmax() -> None:
    by_file = {path: others(ast.parse(path.read_text(encoding="utf-8"))) for path in PRODUCT}
    assert {str(path.relative_to(ROOT)): names for path, names in by_file.items() if names} == {}


@pytest.mark.parametrize(
    "second",
    [
        "from scipy.special import softmax",
        "import scipy.special\nx = scipy.special.log_softmax(y)",
        "layers.Dense(3, activation='softmax')",
        "layers.Activation('softmax')",
        "keras.layers.Softmax()",
        "def chances(x):\n    e = np.exp(x)\n    return e / e.sum(axis=1)",
        "def chances(x):\n    return np.exp(x) / np.sum(np.exp(x))",
        "def chances(x):\n    e = np.exp(x)\n    e /= e.sum()\n    return e",
    ],
)
def test_a_second_softmax_would_be_noticed(second: str) -> None:
    assert others(ast.parse(second))


def test_the_house_softmax_is_noticed_as_one_and_allowed_where_it_is_imported() -> None:
    tree = ast.parse(HOME.read_text(encoding="utf-8"))
    assert "softmax" in others(tree)
    assert not others(ast.parse("from her2edge.probability import softmax\nsoftmax(x, 1.0)"))
