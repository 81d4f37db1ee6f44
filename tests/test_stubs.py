"""The stubs, which repeat the signatures of the functions for type checkers, say what the functions do."""

import ast
import inspect
from pathlib import Path

import pytest

from fastsoftmax import functional

STUB = Path(functional.__file__).with_suffix(".pyi")
TREE = ast.parse(STUB.read_text(encoding="utf-8"))
KINDS = ("posonlyargs", "args", "kwonlyargs")
P = inspect.Parameter
KIND_OF = dict(
    zip(KINDS, (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD, P.KEYWORD_ONLY), strict=True)
)


def part(name):
    """Return what takes one side of a union that is written as text."""
    return lambda union: ast.unparse(getattr(ast.parse(union, mode="eval").body, name))


def loss_is(kind):
    """Return what says in a result, written as text, of which kind its losses are."""
    return lambda result: result.replace("Loss", kind)


DECIDING = {
    "return_z_loss": [
        ("Literal[False]", False, part("left")),
        ("Literal[True]", P.empty, part("right")),
    ],
    "reduction": [
        ("Literal['mean', 'sum']", "mean", loss_is("np.floating")),
        ("Literal['none']", P.empty, loss_is("Array")),
        ("Reduction", P.empty, loss_is("Loss")),
    ],
    "keepdims": [("Literal[True]", P.empty, loss_is("Array")), ("bool", False, loss_is("Loss"))],
}
"""Parameters that decide what the result is. For each overload: annotation, default, and the result made narrower."""


def declarations(name):
    """Return the declarations of a function in the stub: one, or one for each overload."""
    found = [node for node in TREE.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found, f"{STUB.name} lacks {name}"
    return found


def signature_of(declaration):
    """Return the signature that a declaration in the stub has, annotations as text."""
    arguments = declaration.args
    assert arguments.vararg is None
    assert arguments.kwarg is None
    positional = [*arguments.posonlyargs, *arguments.args]
    values = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    default_of = dict(
        zip([*positional, *arguments.kwonlyargs], values + arguments.kw_defaults, strict=True)
    )
    parameters = [
        P(
            argument.arg,
            KIND_OF[kind],
            default=P.empty if value is None else ast.literal_eval(value),
            annotation=ast.unparse(argument.annotation),
        )
        for kind in KINDS
        for argument in getattr(arguments, kind)
        for value in [default_of[argument]]
    ]
    return inspect.Signature(parameters, return_annotation=ast.unparse(declaration.returns))


def as_told(annotation):
    """Return an annotation with one kind of quotes."""
    return ast.unparse(ast.parse(annotation, mode="eval"))


def signature_in_code(name):
    """Return the signature of the function itself, annotations as text."""
    found = inspect.signature(getattr(functional, name))
    bare = [p.name for p in found.parameters.values() if p.annotation is P.empty]
    assert not bare, f"{name}: annotate {', '.join(bare)}"
    assert isinstance(found.return_annotation, str), f"{name}: annotate what it returns"
    parameters = [p.replace(annotation=as_told(p.annotation)) for p in found.parameters.values()]
    return found.replace(parameters=parameters, return_annotation=as_told(found.return_annotation))


def overloads_of(signature):
    """Return the signatures of the overloads that a function of this signature should have."""
    overloads = [signature]
    for name in DECIDING.keys() & signature.parameters.keys():
        assert signature.parameters[name].default in [default for _, default, _ in DECIDING[name]]
    for name in (name for name in DECIDING if name in signature.parameters):
        overloads = [narrowed(one, name, *choice) for one in overloads for choice in DECIDING[name]]
    return overloads


def narrowed(signature, name, annotation, default, result):
    """Return a signature with one parameter declared otherwise."""
    parameter = signature.parameters[name].replace(annotation=annotation, default=default)
    parameters = {**signature.parameters, name: parameter}
    returns = result(signature.return_annotation)
    return signature.replace(parameters=[*parameters.values()], return_annotation=returns)


def test_the_stub_has_the_public_functions_and_no_others():
    (names,) = (
        ast.literal_eval(node.value)
        for node in TREE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert names == functional.__all__
    declared = {node.name for node in TREE.body if isinstance(node, ast.FunctionDef)}
    assert declared == set(names)


@pytest.mark.parametrize("name", functional.__all__)
def test_signature(name):
    """Names, kinds, defaults and types; overloads differ in what decides what the result is."""
    found, real = declarations(name), signature_in_code(name)
    assert [signature_of(one) for one in found] == overloads_of(real)
    decorators = [[ast.unparse(d) for d in one.decorator_list] for one in found]
    assert decorators == ([["overload"]] * len(found) if len(found) > 1 else [[]])
    assert ("Loss" in real.return_annotation) == (len(found) > 1)
