"""The CSV of the archives that `cargo bench -p sg-ai-market --bench market` imports, read with polars and pandas.

    python benches/peers/market.py DIRECTORY [--ours]

With --ours `cargo bench -p sg-ai-market --bench market` runs right after the peers, so that both stand in one run.

Both read what sg-ai reads: twelve columns of unzipped CSV in memory into a table of floats and integers. Neither checks a
row, a time or a price. Medians of 5 runs; polars with all its threads and with one (POLARS_MAX_THREADS=1).
"""
import glob
import io
import os
import statistics
import subprocess
import sys
import time
import zipfile

import pandas
import polars

NAMES = ["t", "o", "h", "l", "c", "v", "e", "q", "n", "b", "k", "x"]


def main():
    places = [a for a in sys.argv[1:] if not a.startswith("--")]
    if not places:
        sys.exit("which folder of archives?")
    root = places[0]
    files = []
    for path in sorted(glob.glob(f"{root}/**/*.zip", recursive=True)):
        with zipfile.ZipFile(path) as archive:
            files.append(archive.read(archive.namelist()[0]))
    size = sum(map(len, files))
    rows = sum(f.count(b"\n") for f in files)
    print(f"{len(files)} files, {rows} rows, {size / 1e6:.1f} MB; polars {polars.__version__} "
          f"({polars.thread_pool_size()} threads), pandas {pandas.__version__}")

    def read_polars():
        for f in files:
            polars.read_csv(f, has_header=False, new_columns=NAMES)

    def read_pandas():
        for f in files:
            pandas.read_csv(io.BytesIO(f), header=None, names=NAMES)

    for name, work in [("polars.read_csv", read_polars), ("pandas.read_csv", read_pandas)]:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        median = statistics.median(times)
        print(f"{name:<20}{1e3 * median:>10.1f} ms{rows / median / 1e6:>10.2f} M rows/s{size / median / 1e6:>8.0f} MB/s")
    if "--ours" in sys.argv:
        sys.stdout.flush()
        environment = {**os.environ, "SG_BENCH_DIR": os.path.abspath(root)}
        subprocess.run(["cargo", "bench", "-p", "sg-ai-market", "--bench", "market"], check=True, env=environment)


main()
