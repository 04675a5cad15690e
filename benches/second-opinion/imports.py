"""Imports: files as the exchange and freqtrade and MetaTrader write them, odd ones too, through `sg-ai data import`;
what the cache holds then, read with pyarrow, beside what zipfile, pandas and json read from the very same files. A file
that must be refused must be, and must leave nothing.
"""

import functools
import io
import json
import math
import random
import zipfile

import archives
import markets
import pandas
import pyarrow.feather
import pyarrow.parquet
from markets import MINUTE_MS
from performance import call

STEPS = {"1m": MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": 60 * MINUTE_MS, "4h": 240 * MINUTE_MS}
COLUMNS = ["open_time_ms", "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume",
           "taker_buy_quote_volume"]
FOREIGN = {"freqtrade_feather": "feather", "freqtrade_json": "json", "mt5": "csv"}
ODD_ARCHIVES = [
    "late", "early end", "outage", "mark", "crlf", "doubled", "disorder", "numeric", "other script", "seconds interval",
    "mark price", "other symbol inside", "coin-margined", "trades", "truncated", "html", "empty", "two files",
    "other month", "nanoseconds", "seconds", "not a number", "no last column", "turn to microseconds", "many bad rows",
]
ODD_FOREIGN = ["-mark", "-funding_rate", "-futures", "other pair", "newest first", "not ordered"]


class File:
    """A file, and what must come of it."""

    def __init__(self, path, market, symbol, interval, taken=True, dropped=()):
        self.path, self.market, self.symbol, self.interval = path, market, symbol, interval
        self.taken, self.dropped = taken, set(dropped)


def archive(folder, rng, number, odd):
    """A dump archive: a month or a day, with a header or without, in milliseconds or microseconds."""
    interval, market = rng.choice(list(STEPS)), rng.choice(["spot", "um"])
    step_ms, symbol = STEPS[interval], f"D{number}USDT"
    count = rng.randrange(100, 180)
    daily = rng.random() < 0.3 and step_ms * 100 <= markets.DAY_MS
    if daily:
        count = min(count, markets.DAY_MS // step_ms)
    kind = rng.choice(markets.HOSTILE[:7]) if odd else None
    candles = markets.hostile(rng, kind, count, step_ms) if odd and rng.random() < 0.3 else markets.walk(
        rng, count, step_ms)
    begin = rng.randrange(len(candles))
    per_ms = rng.choice([1, 1000])
    lines = [archives.line(row, step_ms, per_ms) for row in candles.rows()]
    date, inside, taken, dropped, where = "2024-03", None, True, [], "klines"
    head = [archives.COLUMNS] if rng.random() < 0.5 else []
    if daily:
        date = "2024-03-01"
    if odd == "late" and len(lines) > 40:
        fields = lines[begin].split(",")
        fields[0] = str(int(fields[0]) + 7 * per_ms)
        lines[begin], dropped = ",".join(fields), [begin]
    elif odd == "early end":
        fields = lines[begin].split(",")
        fields[6] = str(int(fields[0]) + step_ms * per_ms // 2 - 1)
        lines[begin] = ",".join(fields)
    elif odd == "outage":
        del lines[begin:begin + 20]
        taken = bool(lines)
    elif odd == "mark":
        head = ["\ufeff" + archives.COLUMNS]
    elif odd == "crlf":
        lines = [line + "\r" for line in lines]
    elif odd == "doubled" and len(lines) > 40:
        lines.insert(begin, lines[begin])
        dropped = [begin + 1]
    elif odd == "disorder" and 1 < begin < len(lines) - 1 and len(lines) > 40:
        lines.append(lines.pop(begin))
        dropped = [len(lines) - 1]
    elif odd == "numeric":
        symbol = f"1000{number}"
    elif odd == "other script":
        symbol, taken = f"币安{number}USDT", False
    elif odd == "seconds interval":
        interval, taken = "1s", False
    elif odd == "mark price":
        where, taken = "markPriceKlines", False
    elif odd == "other symbol inside":
        inside, taken = f"X{symbol}-{interval}-{date}.csv", False
    elif odd == "coin-margined":
        symbol, market, taken = f"D{number}USD_PERP", "cm", False
    elif odd == "trades":
        interval, taken = "aggTrades", False
    elif odd in ("empty", "many bad rows"):
        lines, taken = ([], False) if odd == "empty" else ([line.replace(",", ",x", 1) for line in lines], False)
    elif odd == "other month":
        date, taken = "2024-05", False
    elif odd in ("nanoseconds", "seconds"):
        lines = [",".join([str(row[0] * 10**6 if odd == "nanoseconds" else row[0] // 1000), *line.split(",")[1:]])
                 for row, line in zip(candles.rows(), lines)]
        taken = False
    elif odd == "not a number" and len(lines) > 40:
        fields = lines[begin].split(",")
        fields[rng.randrange(1, 6)] = rng.choice(["NaN", "inf", "-1", "", "1e400"])
        lines[begin], dropped = ",".join(fields), [begin]
    elif odd == "no last column":
        lines = [line.rpartition(",")[0] for line in lines]
        head = [archives.COLUMNS.rpartition(",")[0]] if head else []
    elif odd == "turn to microseconds":
        lines = [archives.line(row, step_ms, 1000 if i >= begin else 1) for i, row in enumerate(candles.rows())]
    below = folder / market / ("daily" if daily else "monthly") / where / symbol / interval
    path = archives.dump(below, symbol, interval, date, head + lines, inside)
    if odd == "truncated":
        path.write_bytes(path.read_bytes()[:-rng.randrange(30, 90)])
        taken = False
    elif odd == "html":
        path.write_text("<html>503</html>")
        taken = False
    elif odd == "two files":
        with zipfile.ZipFile(path, "a") as more:
            more.writestr("more.csv", lines[0])
        taken = False
    return File(path, market, symbol, interval, taken, dropped)


def read_archive(path):
    """Rows by pandas, a time in ms first."""
    with zipfile.ZipFile(path) as whole:
        text = whole.read(whole.namelist()[0]).decode("utf-8-sig")
    table = pandas.read_csv(io.StringIO(text), header=0 if text[:1].isalpha() else None, float_precision="round_trip",
                            keep_default_na=False)
    rows = []
    for row in table.itertuples(index=False):
        time = int(row[0])
        rows.append((time // 1000 if time >= 10**14 else time, *row[1:6], row[7], row[8], row[9], row[10]))
    return rows


def foreign(folder, rng, number, mapping, odd):
    interval = rng.choice(["15m", "1h", "4h"])
    candles = markets.walk(rng, rng.randrange(20, 400), STEPS[interval])
    rows = [[row[0], *(v / markets.TICK for v in row[1:])] for row in candles.rows()]
    base, market, taken, dropped = f"F{mapping[-1].upper()}{number}", "spot", True, []
    tail = ""
    if odd in ("-mark", "-funding_rate"):
        tail, taken = odd, False
    elif odd == "-futures":
        tail, market = "_USDT", "um"
    elif odd == "other pair":
        base, taken = base + "-X_Y_Z", False
    elif odd == "newest first":
        rows.reverse()
    elif odd == "not ordered" and len(rows) > 60:
        at = rng.randrange(2, len(rows) - 2)
        rows.append(rows.pop(at))
        dropped = [len(rows) - 1]
    folder.mkdir(parents=True, exist_ok=True)
    if mapping == "mt5":
        names = {"15m": "M15", "1h": "H1", "4h": "H4"}
        path = folder / f"{base}USDT_{names[interval]}{'' if odd == '-futures' else tail}.csv"
        market = "spot"
        lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
        lines += ["\t".join([archives.utc(r[0]).strftime("%Y.%m.%d\t%H:%M:%S"), *map(repr, r[1:]), "0", "0"])
                  for r in rows]
        encoding = rng.choice(["utf-8", "utf-16"])
        path.write_text("\r\n".join(lines) + "\r\n", encoding=encoding, newline="")
        return File(path, market, f"{base}USDT", interval, taken, dropped)
    kind = "-futures" if odd == "-futures" else ""
    path = folder / f"{base}_USDT{tail if kind else ''}-{interval}{kind or tail}.{FOREIGN[mapping]}"
    if mapping == "freqtrade_json":
        path.write_text(json.dumps(rows))
    else:
        table = pandas.DataFrame(rows, columns=["date", "open", "high", "low", "close", "volume"])
        table["date"] = pandas.to_datetime(table["date"], unit="ms", utc=True).astype(
            f"datetime64[{rng.choice(['ms', 'us', 'ns'])}, UTC]")
        packed = rng.choice(["lz4", "zstd", "uncompressed"])
        pyarrow.feather.write_feather(pyarrow.Table.from_pandas(table), path, packed)
    return File(path, market, f"{base}USDT", interval, taken, dropped)


def read_foreign(path, mapping):
    if mapping == "freqtrade_json":
        rows = json.loads(path.read_text())
    elif mapping == "freqtrade_feather":
        table = pandas.read_feather(path)
        times = table["date"].astype("datetime64[ms, UTC]").astype("int64")
        rows = list(zip(times, *(table[name] for name in ["open", "high", "low", "close", "volume"])))
    else:
        encoding = "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        table = pandas.read_csv(path, sep="\t", encoding=encoding, float_precision="round_trip")
        times = pandas.to_datetime(table["<DATE>"] + " " + table["<TIME>"], format="%Y.%m.%d %H:%M:%S")
        times = times.astype("datetime64[ms]").astype("int64")
        names = ["<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<TICKVOL>"]
        rows = list(zip(times, *(table[name] for name in names)))
    return [(*row, 0, 0, 0, 0) for row in rows]


def stored(folder, file):
    below = folder / "data/candles" / file.market / file.symbol / file.interval
    months = sorted(below.glob("*.parquet"))
    tables = [pyarrow.parquet.read_table(path).select(COLUMNS).to_pydict() for path in months]
    return [row for table in tables for row in zip(*table.values())]


def difference(ours, theirs):
    """Infinite where one number of one row is another."""
    if len(ours) != len(theirs):
        return math.inf, f"{len(ours)} rows, expected {len(theirs)}"
    for a, b in zip(ours, theirs):
        if [float(v) for v in a] != [float(v) for v in b]:
            return math.inf, f"{a}, expected {b}"
    return 0.0, ""


def judge(tally, kind, folder, files, report, read):
    told = {entry["path"]: entry for entry in report["files"]}
    for file in files:
        entry, ours = told.get(str(file.path)), stored(folder, file)
        expected = sorted(row for i, row in enumerate(read(file.path)) if i not in file.dropped) if file.taken else []
        worst, what = difference(ours, expected)
        if entry is None or entry["imported"] != file.taken or (not file.taken and not entry["problems"]):
            worst, what = math.inf, "not told of" if entry is None else f"told as {entry['imported']}"
        elif file.taken and entry["rows_refused"] != len(file.dropped):
            worst, what = math.inf, f"{entry['rows_refused']} rows refused, expected {len(file.dropped)}"
        tally.add(kind, worst, 0.0, f"{file.path.name}: {what}: {(entry or {}).get('problems', [])[:1]}")


def run(tally, program, folder, seed, count, hostile_count):
    folder = folder / "imports"
    folder.mkdir()
    for hostile in (False, True):
        kind = f"imports, {'hostile' if hostile else 'random'}"
        rng, wanted = random.Random(f"{seed} {kind}"), hostile_count if hostile else count
        first = 100_000 if hostile else 0
        odd = ODD_ARCHIVES if hostile else [None]
        below, numbers = folder / kind / "dumps", range(math.ceil(wanted / 2))
        dumps = [archive(below, rng, first + i, odd[i % len(odd)]) for i in numbers]
        report = json.loads(call(program, folder, "data", "import", str(below), "--json", fails=True))
        judge(tally, kind, folder, dumps, report, read_archive)
        left = wanted - len(dumps)
        for at, mapping in enumerate(FOREIGN):
            numbers = range(at, left, len(FOREIGN))
            files = [foreign(folder / kind / mapping, rng, first + i, mapping,
                             ODD_FOREIGN[i // len(FOREIGN) % len(ODD_FOREIGN)] if hostile else None) for i in numbers]
            if files:
                told = call(program, folder, "data", "import", str(folder / kind / mapping), "--mapping", mapping,
                            *(["--market", "spot"] if mapping == "mt5" else []), "--json", fails=True)
                judge(tally, kind, folder, files, json.loads(told), functools.partial(read_foreign, mapping=mapping))
