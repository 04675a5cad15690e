"""Golden vectors of the metrics and of logistic regression, by scikit-learn: prints JSON for metrics.json."""
import json

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

rng = np.random.default_rng(7)
n = 60
z = rng.normal(size=n)
# Two decimals, so that there are ties.
p = np.round(1 / (1 + np.exp(-z)), 2).clip(0.02, 0.98)
y = (rng.random(n) < p).astype(int)
bins = np.minimum((p * 10).astype(int), 9)
ece = sum((bins == b).sum() / n * abs(p[bins == b].mean() - y[bins == b].mean()) for b in range(10) if (bins == b).any())

x = np.round(rng.normal(size=(80, 3)) * [1.0, 20.0, 0.01] + [0.0, 5.0, 1.0], 6)
label = (rng.random(80) < 1 / (1 + np.exp(-(x[:, 0] + (x[:, 1] - 5) / 30)))).astype(int)
s = (x - x.mean(axis=0)) / x.std(axis=0)
l2 = 3.0
fit = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=10000).fit(s, label)
print(json.dumps({
    "p": p.tolist(), "y": y.tolist(), "log_loss": log_loss(y, p), "brier": brier_score_loss(y, p),
    "auc": roc_auc_score(y, p), "calibration_error": ece,
    "x": x.tolist(), "label": label.tolist(), "l2": l2, "coefficients": fit.coef_[0].tolist(),
    "probabilities": fit.predict_proba(s)[:, 1].tolist(),
}))
