"""ONNX, for ONNX Runtime and whatever else reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seglib.exports.frozen import frozen_network
from seglib.models.model import SegmentationModel

_OPSET = 17


def write_onnx(model: SegmentationModel, path: Path) -> None:
    """Write the network: images float32 (N, H, W, C) → logits; N is free."""
    import tf2onnx

    frozen = frozen_network(model, batch=None)
    graph = frozen.graph.as_graph_def()
    _replace_erfc(graph)
    proto, _ = tf2onnx.convert.from_graph_def(
        graph,
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=_OPSET,
    )
    path.write_bytes(proto.SerializeToString())


def open_onnx(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an ONNX file, run by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _replace_erfc(graph: Any) -> None:
    """Write Erfc(x), which ONNX lacks, as 1 - Erf(x)."""
    for node in [node for node in graph.node if node.op == "Erfc"]:
        dtype = node.attr["T"].type
        one = graph.node.add(name=f"{node.name}/one", op="Const")
        one.attr["dtype"].type = dtype
        value = one.attr["value"].tensor
        value.dtype = dtype
        value.float_val.append(1.0)
        value.tensor_shape.SetInParent()
        erf = graph.node.add(name=f"{node.name}/erf", op="Erf", input=list(node.input))
        erf.attr["T"].type = dtype
        node.op = "Sub"
        node.input[:] = [one.name, erf.name]
