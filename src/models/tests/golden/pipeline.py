"""Writes pipeline.onnx, a scikit-learn pipeline of a scaler and a small network, and pipeline.json: rows and its probabilities."""
import json
import sys

import numpy as np
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(1)
x = (rng.normal(size=(2000, 4)) * [1, 10, 0.1, 3] + [0, 50, 0, 2]).astype(np.float32)
y = (x[:, 0] * (x[:, 1] - 50) + 5 * rng.normal(size=2000) > 0).astype(int)
model = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=300, random_state=1)).fit(x, y)
folder = sys.argv[1]
with open(f"{folder}/pipeline.onnx", "wb") as file:
    opset = {"": 18, "ai.onnx.ml": 1}
    file.write(to_onnx(model, x[:1], target_opset=opset, options={"zipmap": False}).SerializeToString())
with open(f"{folder}/pipeline.json", "w") as file:
    rows = x[:50]
    json.dump({"rows": rows.tolist(), "probabilities": model.predict_proba(rows)[:, 1].tolist()}, file)
