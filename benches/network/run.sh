#!/usr/bin/env bash
# Seconds of a session with workers on this machine and behind networks with delay and loss: a row each, in the form of
# docs/SCALING.md. As root, after `cargo test --no-run`:
#
#   benches/network/run.sh [POPULATION,GENERATIONS | items=COUNT] [TIMES]
#
# With items=COUNT, so many items that take hardly any time to compute, in place of a session: what is left is what each costs beside.
# Workers behind a network are in network namespaces; each has a link of its own (link.py) and shares no directory: candles come over
# HTTP from the daemon. All of them share the processors of this machine, so that rows say what a network costs, not what machines
# bring. SLOTS is what each worker does at once (1). ROWS chooses other rows: workers, milliseconds there and back, percent lost; "-" for workers without a network.
set -euo pipefail
session=${1:-1000,30}
times=${2:-2}
test=seconds_of_a_session
if [ "${session#items=}" != "$session" ]; then test=seconds_of_small_items; fi
rows=${ROWS:-"0 - -;1 - -;2 - -;4 - -;1 20 0;2 20 0;4 20 0;1 100 0;2 100 0;4 100 0;1 20 1;1 100 1;4 100 1"}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
binary=""
for one in "$root"/target/debug/deps/system-*; do
    # The newest.
    if [ "${one##*.}" != d ] && [ -x "$one" ] && { [ -z "$binary" ] || [ "$one" -nt "$binary" ]; }; then binary=$one; fi
done
[ -n "$binary" ] || { echo "no test binary: run cargo test --no-run first" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "network namespaces need root" >&2; exit 1; }

links=()
namespaces=()
running=""
told=$(mktemp)
cleanup() {
    # The test, with the daemon and the workers that it started.
    [ -z "$running" ] || kill -- "-$running" 2>/dev/null || true
    for link in "${links[@]}"; do kill "$link" 2>/dev/null || true; done
    for link in "${links[@]}"; do wait "$link" 2>/dev/null || true; done
    for namespace in "${namespaces[@]}"; do ip netns del "$namespace"; done
    links=() namespaces=()
}
trap 'cleanup; rm -f "$told"' EXIT

echo "| workers | network | load before | session, s | own search, s | by workers | a search of theirs, s | bytes | packets | transactions |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for _ in $(seq "$times"); do
    while read -r workers delay loss; do
        named=""
        if [ "$delay" != - ]; then
            for i in $(seq "$workers"); do
                namespace="sgw$$-$i"
                namespace=${namespace:0:12}
                ip netns add "$namespace"
                namespaces+=("$namespace")
                : > "/tmp/$namespace.link"
                python3 "$here/link.py" "$namespace" "10.77.$i.1" "10.77.$i.2" "$delay" "$loss" > "/tmp/$namespace.link" &
                links+=($!)
                until grep -q ready "/tmp/$namespace.link"; do
                    kill -0 "${links[-1]}" || { echo "no link to $namespace" >&2; exit 1; }
                    sleep 0.1
                done
                rm "/tmp/$namespace.link"
                named+="${named:+,}$namespace=10.77.$i.1"
            done
            network="$delay ms, $loss % lost"
            near=0
        else
            network="none"
            near=$workers
        fi
        load=$(cut -d' ' -f1 /proc/loadavg)
        CARGO_MANIFEST_DIR="$root" CI=true SG_TEST_SESSION="$session,$near" SG_TEST_ITEMS="${session#items=},$near" \
            SG_TEST_SLOTS="${SLOTS:-1}" SG_TEST_NAMESPACES="$named" \
            setsid "$binary" --exact "daemon::work_seconds::$test" --nocapture > "$told" 2>&1 < /dev/null &
        running=$!
        wait "$running" || { cat "$told" >&2; exit 1; }
        running=""
        figures=$(sed -nE 's/.* far: ([0-9.]+) s, of which ([0-9.]+) s its own search; ([0-9]+) of ([0-9]+) .*\(([0-9.]+) s those of workers\).*; ([0-9]+) bytes in ([0-9]+) packets.*; ([0-9]+) transactions.*/\1 | \2 | \3 of \4 | \5 | \6 | \7 | \8/p' "$told")
        echo "| $workers | $network | $load | ${figures:-$(tail -1 "$told")} |"
        cleanup
    done < <(tr ';' '\n' <<< "$rows")
done
