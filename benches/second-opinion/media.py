"""Features of media items: the program's beside numpy's, from the definitions in docs/MEDIA.md alone.

    cargo build -p sg-ai-media --example features
    venv/bin/python benches/second-opinion/media.py [--seed N] [--cases N] [--program FILE] [--golden FILE] [--lines FILE]

Random items and hostile ones (empty, one of everything, all at once, unsorted, other alphabets, zero vectors, tiny and huge
numbers, thousands of hits), the same for the same seed. Prints the worst difference of each feature, a share of the value or
of 1 where that is more, and ends with 1 where one is above 1e-12. `--golden` writes some of the items with their features,
for the crate's tests. `--lines` writes as many items as there are cases for `sg-ai media import`, and compares nothing.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-12
KEYWORDS = ["RSI", "rsi", "MACD", "support", "Resistance", "breakout", "Stop Loss", "stop-loss", "volume", "Fibonacci",
            "rsi divergence", "BREAKOUT", "stoploss", "Überkauft", "ёлка", "golden cross"]
CATEGORIES = ["technical_indicator", "price_action", "risk_management", "order_type", "Order_Type", "other"]
WORDS = ["we", "buy", "because", "Therefore", "reason", "due", "to", "example", "For instance", "such as", "first", "Second",
         "step", "third", "why?", "??", "price", "\n", "\t", "naïve", "日本", "due to", "RSI", "?"]


def features(item):
    """All of them but the time, by the words of the definitions."""
    hits, segments = item.get("keyword_hits", []), item.get("transcripts", [])
    vectors = np.array(item.get("embeddings", []), dtype=float)
    f = {}
    for name in ("technical_indicator", "price_action", "risk_management", "order_type"):
        f[f"{name}_count"] = sum(hit["category"].lower() == name for hit in hits)
    keywords = [hit["keyword"] for hit in hits]
    confidences = np.array([hit["confidence"] for hit in hits])
    starts = np.sort(np.array([hit["start_time"] for hit in hits]))
    f["keyword_diversity"] = len(set(keywords)) / len(hits) if hits else 0
    f["avg_confidence"] = np.mean(confidences) if hits else 0
    f["min_confidence"] = np.min(confidences) if hits else 0
    f["max_confidence"] = np.max(confidences) if hits else 0
    f["keyword_frequency"] = len(hits) / (starts[-1] - starts[0] + 1) if len(hits) > 1 else 0
    f["avg_time_between_keywords"] = np.mean(np.diff(starts)) if len(hits) > 1 else 0
    lower = {keyword.lower() for keyword in keywords}
    f["has_rsi"] = int("rsi" in lower)
    f["has_macd"] = int("macd" in lower)
    f["has_support_resistance"] = int("support" in lower or "resistance" in lower)
    f["has_breakout"] = int("breakout" in lower)
    f["has_stop_loss"] = int("stop loss" in lower or "stop-loss" in lower)
    text = " ".join(segment["text"] for segment in segments)
    f["total_words"] = len(text.split())
    f["avg_words_per_segment"] = len(text.split()) / len(segments) if segments else 0
    f["total_segments"] = len(segments)
    time = max((s["end_time"] for s in segments), default=0) - min((s["start_time"] for s in segments), default=0)
    f["speaking_rate_wpm"] = len(text.split()) / time * 60 if len(segments) > 1 and time > 0 else 0
    text = text.lower()
    f["has_explanation"] = int(any(part in text for part in ("because", "therefore", "reason", "due to")))
    f["has_examples"] = int(any(part in text for part in ("example", "for instance", "such as")))
    f["has_steps"] = int(any(part in text for part in ("first", "second", "third", "step")))
    f["question_density"] = text.count("?") / len(segments) if segments else 0
    n = len(vectors)
    f["embedding_dim"] = vectors.shape[1] if n else 0
    # Scaled: squares of tiny numbers are 0, those of huge ones infinite.
    most = np.max(np.abs(vectors), axis=1, keepdims=True) if n else np.zeros((0, 1))
    scaled = np.divide(vectors, most, out=np.zeros_like(vectors), where=most > 0) if n else vectors
    norms = np.linalg.norm(scaled, axis=1, keepdims=True) if n else most
    f["avg_embedding_norm"] = np.mean(most * norms) if n else 0
    f["avg_embedding_similarity"] = f["embedding_diversity"] = 0
    if n > 1:
        unit = np.divide(scaled, norms, out=np.zeros_like(scaled), where=norms > 0)
        cosines = unit @ unit.T
        f["avg_embedding_similarity"] = np.mean(cosines[np.triu_indices(n, 1)])
        f["embedding_diversity"] = 1 - f["avg_embedding_similarity"]
    f["timestamp"] = 0
    f["feature_count"] = len(f)
    return {name: float(value) for name, value in f.items()}


def random_item(rng, hits, segments, vectors, dim, scale=1.0):
    def at():
        start = rng.uniform(0, 3600)
        return start, start + rng.choice([0.0, rng.uniform(0, 5)])

    item = {"keyword_hits": [], "transcripts": [], "embeddings": []}
    for _ in range(hits):
        start, end = at()
        item["keyword_hits"].append({"keyword": rng.choice(KEYWORDS), "category": rng.choice(CATEGORIES), "start_time": start,
                                     "end_time": end, "confidence": rng.choice([0.0, 1.0, rng.random(), rng.random()])})
    for _ in range(segments):
        start, end = at()
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(12)))
        item["transcripts"].append({"text": text, "start_time": start, "end_time": end})
    middle = [rng.gauss(0, 1) for _ in range(dim)]
    near = rng.choice([0.0, 0.1, 1.0, 100.0])
    for _ in range(vectors):
        item["embeddings"].append([scale * (near * m + rng.gauss(0, 1)) for m in middle])
    return item


def hostile(rng):
    small = random_item(rng, 2, 2, 2, 3)
    one = random_item(rng, 1, 1, 1, 1)
    same = random_item(rng, 3, 3, 3, 4)
    for row in same["keyword_hits"] + same["transcripts"]:
        row["start_time"] = row["end_time"] = 7.5
    same["embeddings"] = [same["embeddings"][0]] * 3
    zero = random_item(rng, 0, 0, 4, 5)
    zero["embeddings"][0] = zero["embeddings"][2] = [0.0] * 5
    against = random_item(rng, 0, 0, 1, 6)
    against["embeddings"].append([-x for x in against["embeddings"][0]])
    yield from ({}, one, small, same, zero, against)
    yield {"embeddings": [[0.0], [0.0]]}
    yield {"transcripts": [{"text": "", "start_time": 0, "end_time": 0}, {"text": " \n ", "start_time": 0, "end_time": 0}]}
    yield random_item(rng, 0, 0, 30, 16, 1e-200)
    yield random_item(rng, 0, 0, 30, 16, 1e26)
    yield random_item(rng, 10_000, 2_000, 0, 1)
    yield random_item(rng, 0, 0, 1_000, 64)
    yield {"keyword_hits": [{"keyword": "rsi", "category": "x", "start_time": t, "end_time": 1e7, "confidence": c}
                            for t, c in ((1e7, 1e-300), (0.0, 0.1), (1e-9, 0.2))]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--program", default=str(ROOT / "target/debug/examples/features"))
    parser.add_argument("--golden")
    parser.add_argument("--lines")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    if args.lines:
        before = []
        with open(args.lines, "w", encoding="utf-8") as out:
            for k in range(args.cases):
                # Videos of ten minutes or so; one in ten tells another one's idea again.
                item = random_item(rng, 20, 40, 4, 256)
                if k % 10 == 9:
                    item["embeddings"] = [[x + 0.001 * rng.gauss(0, 1) for x in vector] for vector in before]
                before = item["embeddings"]
                out.write(json.dumps({"media_item_id": k + 1, **item}) + "\n")
        return
    odd = list(hostile(rng))
    items = odd + [random_item(rng, rng.choice([0, 1, 2, 5, 40]), rng.choice([0, 1, 2, 30]), rng.choice([0, 1, 2, 9]),
                               rng.choice([1, 3, 32])) for _ in range(args.cases)]
    lines = "".join(json.dumps(item) + "\n" for item in items)
    ran = subprocess.run([args.program], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(items), ran.stderr
    worst, wrong = {}, 0
    for k, (item, answer) in enumerate(zip(items, answers)):
        mine = features(item)
        if list(answer) != list(mine):
            sys.exit(f"item {k}: {answer} has not the names {list(mine)}")
        for name, value in mine.items():
            difference = abs(answer[name] - value) / max(1.0, abs(value))
            worst[name] = max(worst.get(name, 0.0), difference)
            if difference > LIMIT:
                wrong += 1
                print(f"item {k}: {name} is {answer[name]!r}, not {value!r}")
    if args.golden:
        chosen = odd[:8] + [item for item in items[len(odd):] if len(json.dumps(item)) < 2000][:24]
        rows = ["  " + json.dumps({"item": item, "features": features(item)}) for item in chosen]
        pathlib.Path(args.golden).write_text("[\n" + ",\n".join(rows) + "\n]\n")
    for name, difference in worst.items():
        print(f"{name:<28}{difference:.1e}")
    print(f"{len(items)} items, {len(odd)} of them hostile; {wrong} differences; seed {args.seed}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
