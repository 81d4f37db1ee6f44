"""The house: which way imports point, which names are public."""

import ast
import inspect
from pathlib import Path

import pytest

import fastsoftmax as fs

PACKAGE = Path(fs.__file__).parent
LAYERS = [
    {"__main__"},
    {"cli"},
    {"plots", "datasets", "export", "torch", "dask", "numba_functions", "_measuring"},
    {"estimators"},
    {"functional"},
    {"_layout", "_validate", "_dispatch"},
    {"_threads", "_memory", "_tables"},
    {"_backends", "_locks"},
    {"_compiled"},
    {"_uncompiled"},
    {"_ext", "_version"},
]
"""From the top down. A module imports from lower layers, or from its own package."""

ALLOWED = {("_dispatch", "_validate"), ("_backends", "_threads")}
"""Within a layer; and the compiled back end asks the runtime, which _threads loads, about the CPU."""

PUBLIC = {
    "NotCompiledWarning",
    "__version__",
    "backend_info",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad",
    "cross_entropy",
    "cross_entropy_with_grad",
    "entropy_with_logits",
    "entropy_with_logits_with_grad",
    "get_num_threads",
    "kl_div_with_logits",
    "kl_div_with_logits_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "sampled_softmax_cross_entropy",
    "sampled_softmax_cross_entropy_with_grad",
    "set_num_threads",
    "set_result_pool",
    "sigmoid",
    "softmax",
    "softmax_backward",
    "top_k_softmax",
    "use_backend",
}


def layer_of(name):
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def imports_of(path):
    """Yield the top module of the package that each import in a file names."""
    parts = path.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = list(parts[: len(parts) - node.level]) if node.level else None
            if base is None and (node.module or "").split(".")[0] != "fastsoftmax":
                continue
            names = (node.module or "").split(".") if node.module else []
            if base is None:
                base, names = [], names[1:]
            full = [*base, *names]
            yield from [full[0]] if full else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("fastsoftmax."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_arrows_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert layer_of(own) is not None, f"{own} stands in no layer"
    for imported in imports_of(path):
        if imported == own or (own, imported) in ALLOWED or layer_of(imported) is None:
            continue
        assert layer_of(imported) > layer_of(own), (
            f"{own} imports {imported}, which is not below it"
        )


def test_public_names():
    assert set(fs.__all__) == PUBLIC
    assert fs.__all__ == sorted(fs.__all__)
    for name in fs.__all__:
        assert getattr(fs, name) is not None
    assert set(dir(fs)) == PUBLIC | set(fs._LAZY)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fs.nothing


def test_every_public_function_says_what_it_must():
    for name in fs.functional.__all__:
        text = inspect.getdoc(getattr(fs, name))
        for section in ("Parameters", "Returns", "Raises", "Notes", "Examples"):
            assert f"\n{section}\n---" in text, f"{name} has no {section}"
        assert "ULP" in text, f"{name} states no accuracy"


def test_no_parameter_is_accepted_and_ignored():
    """Each one of a public function is read in its body."""
    trees = [ast.parse(path.read_text()) for path in (PACKAGE / "functional").glob("*.py")]
    nodes = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    public = [node for node in nodes if node.name in PUBLIC]
    assert {node.name for node in public} >= {*fs.functional.__all__}
    for node in public:
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        read = {
            name.id for part in node.body for name in ast.walk(part) if isinstance(name, ast.Name)
        }
        ignored = {argument.arg for argument in arguments} - read
        assert not ignored, f"{node.name} ignores {sorted(ignored)}"


def test_parameters_of_softmax():
    assert list(inspect.signature(fs.softmax).parameters) == [
        "x", "axis", "out", "where", "temperature", "n_threads",
    ]  # fmt: skip
