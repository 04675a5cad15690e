"""Writes network.onnx: sigmoid(x W + b) of four features, the coefficients of `networks.rs`."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

weights = numpy_helper.from_array(np.array([[0.5], [-0.25], [0.125], [1.0]], dtype=np.float32), "W")
offset = numpy_helper.from_array(np.array([-0.75], dtype=np.float32), "b")
nodes = [
    helper.make_node("MatMul", ["x", "W"], ["xw"]),
    helper.make_node("Add", ["xw", "b"], ["odds"]),
    helper.make_node("Sigmoid", ["odds"], ["p"]),
]
graph = helper.make_graph(
    nodes, "line",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
    [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 1])],
    [weights, offset],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, sys.argv[1])
