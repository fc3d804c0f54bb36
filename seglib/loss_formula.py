"""The line of a configuration that states a loss: `cross_entropy + 0.5 * dice`.

Kept apart from the losses, so that a configuration is checked without Keras.
"""

import ast
from dataclasses import dataclass, field

from seglib.errors import UsageError, unknown

Range = tuple[float, float]  # smallest and largest value

# The losses, each option with its range; what they compute: `seglib.training.losses`.
LOSSES: dict[str, dict[str, Range]] = {
    "cross_entropy": {"label_smoothing": (0, 0.99)},
    "focal": {"gamma": (0, 10)},
    "ohem": {"min_kept": (1e-6, 1), "threshold": (0, 1)},
    "dice": {},
    "jaccard": {},
    "tversky": {"alpha": (0, 10), "beta": (0, 10)},
    "lovasz": {},
    "boundary": {"width": (1, 64), "tolerance": (0, 64)},
}
_GRAMMAR = "such as `cross_entropy`, `focal(gamma=2)` or `cross_entropy + 0.5 * dice`"


@dataclass(frozen=True)
class Term:
    """One loss of a sum: its factor, its name and its options."""

    name: str
    factor: float = 1.0
    options: dict[str, float] = field(default_factory=dict)


def parse_loss(text: str) -> tuple[Term, ...]:
    """The terms of a sum of losses.

    Args:
        text: names of `LOSSES`, each with options in brackets and a factor before it,
            joined by `+`.

    Raises:
        UsageError: not such a sum, an unknown loss or option (names the nearest), or a
            number out of its range.

    Example:
        >>> parse_loss("focal(gamma=3) + 0.5 * dice")
        (Term(name='focal', factor=1.0, options={'gamma': 3.0}), Term(name='dice', \
factor=0.5, options={}))
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _misread(text) from None
    terms = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        terms.append(_term(tree.right, text))
        tree = tree.left
    return (_term(tree, text), *reversed(terms))


def _term(node: ast.expr, text: str) -> Term:
    factor = 1.0
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        is_last = isinstance(node.right, ast.Constant)
        number, node = (node.right, node.left) if is_last else (node.left, node.right)
        factor = _number(number, text)
        if factor <= 0:
            raise UsageError(f"`loss`: a factor must be > 0. Received: {factor:g}.")
    keywords: list[ast.keyword] = []
    if isinstance(node, ast.Call) and not node.args:
        keywords, node = node.keywords, node.func
    if not isinstance(node, ast.Name):
        raise _misread(text)
    if node.id not in LOSSES:
        raise unknown("loss", node.id, LOSSES)
    options = {}
    for keyword in keywords:
        name, known = keyword.arg or "**", LOSSES[node.id]
        if name not in known:
            if not known:
                raise UsageError(f"`loss`: `{node.id}` has no options.")
            raise unknown(f"option of {node.id}", name, known)
        low, high = known[name]
        options[name] = _number(keyword.value, text)
        if not low <= options[name] <= high:
            raise UsageError(
                f"`loss`: `{name}` of {node.id} must lie in [{low:g}, {high:g}]. "
                f"Received: {options[name]:g}."
            )
    return Term(node.id, factor, options)


def _number(node: ast.expr, text: str) -> float:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _misread(text)
    return float(value)


def _misread(text: str) -> UsageError:
    return UsageError(
        f"`loss` must be a loss or a sum of them, {_GRAMMAR}. Received: {text!r}. "
        f"The losses: {', '.join(LOSSES)}."
    )
