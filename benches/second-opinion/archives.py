"""Files as the exchange and other programs write them, for the second opinion. Reads nothing back."""

import collections
import datetime
import zipfile

from markets import decimal

COLUMNS = ("open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
           "taker_buy_quote_volume,ignore")


def utc(time_ms):
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)


def months(rows):
    found = collections.defaultdict(list)
    for row in rows:
        found[utc(row[0]).strftime("%Y-%m")].append(row)
    return found


def line(row, step_ms, per_ms=1):
    """A row of a dump; counts and quote volumes are made up from the volume."""
    time, opens, high, low, close, volume = row
    quote, taker = volume // 3, volume // 2
    fields = [time * per_ms, *map(decimal, (opens, high, low, close, volume)), (time + step_ms) * per_ms - 1]
    return ",".join(map(str, [*fields, decimal(quote), volume % 1000, decimal(taker), decimal(quote // 2), 0]))


def dump(folder, symbol, interval, date, lines, inside=None):
    """One archive below `folder`; its name says symbol, interval and date."""
    path = folder / f"{symbol}-{interval}-{date}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside or f"{symbol}-{interval}-{date}.csv", "\n".join(lines) + "\n")
    return path


def store(folder, market, symbol, interval, candles):
    """All of them, month by month, as the exchange lays them out."""
    for month, rows in months(candles.rows()).items():
        lines = [line(row, candles.step_ms) for row in rows]
        dump(folder / market / "monthly/klines" / symbol / interval, symbol, interval, month, lines)
