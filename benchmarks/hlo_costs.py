"""What XLA makes of a function: counted in the text of its modules.

The bytes are those that kernels read and write, if nothing stays in a cache: XLA's own
measure ("bytes accessed"). Floating-point operations are those of convolutions and
products of matrices, two for a multiply and an add, positions in the padding included.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|bf16|[sufc]\d+)\[([\d,]*)\]")
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


class Costs(NamedTuple):
    """Of one call of a compiled function."""

    kernels: int  # operations of the entry computation that compute or copy
    read_and_written_bytes: int


def costs(optimized: str) -> Costs:
    """Count a module after XLA's optimizations."""
    sizes: dict[str, int] = {}
    kernels = total = 0
    entry = optimized.partition("\nENTRY ")[2].partition("\n}")[0]
    for name, shape, operation, arguments in _instructions(entry):
        sizes[name] = sum(_bytes(*found) for found in _ARRAY.findall(shape))
        if operation not in _FREE:
            kernels += 1
            total += sizes[name] + sum(sizes.get(x, 0) for x in _operands(arguments))
    return Costs(kernels, total)


def floating_point_operations(unoptimized: str) -> int:
    """Of a module before XLA's optimizations, where no convolution is rewritten."""
    shapes: dict[str, list[int]] = {}
    total = 0
    for name, shape, operation, arguments in _instructions(unoptimized):
        found = _ARRAY.search(shape)
        shapes[name] = _dimensions(found[2]) if found else []
        if operation == "convolution":
            kernel = shapes[_operands(arguments)[1]]
            labels = re.search(r"dim_labels=\w+_(\w+)->", arguments)[1]
            window = re.search(r"window=\{[^}]*size=([\dx]+)", arguments)
            taps = math.prod(map(int, window[1].split("x"))) if window else 1
            total += 2 * math.prod(shapes[name]) * taps * kernel[labels.index("i")]
        elif operation == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", arguments)[1]
            left = shapes[_operands(arguments)[0]]
            summed = [left[axis] for axis in _dimensions(axes)]
            total += 2 * math.prod(shapes[name]) * math.prod(summed)
    return total


def _instructions(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, shape, operation, and what stands in and after its parentheses."""
    for line in text.splitlines():
        if found := _INSTRUCTION.match(line):
            yield found[1], found[2], found[3], found[4]


def _operands(arguments: str) -> list[str]:
    return re.findall(r"%([\w.-]+)", arguments.partition("), ")[0])


def _dimensions(text: str) -> list[int]:
    return [int(size) for size in text.split(",") if size]


def _bytes(kind: str, dimensions: str) -> int:
    bits = 8 if kind == "pred" else int(re.sub(r"\D", "", kind.removeprefix("b")))
    return math.prod(_dimensions(dimensions)) * max(bits, 8) // 8
