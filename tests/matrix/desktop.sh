#!/usr/bin/env bash
# olivine-chat: its store and its texts, the real window as a person uses it, and the program as it is
# installed: desktop.sh [BIN]. The display is one that no screen shows (Xvfb). Screenshots are kept in
# build/desktop-shots.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
[[ -x "$bin/olivine-chat" ]] || cannot_run "$bin/olivine-chat is not built; cmake/setup.sh --desktop installs Qt"
for tool in Xvfb openbox xdotool desktop-file-validate; do
    command -v "$tool" >/dev/null || cannot_run "$tool is not installed; cmake/setup.sh --tests installs it"
done
use_lavapipe 256
build=$(dirname "$bin")

# A display of our own, with a window manager, so that windows have the focus.
Xvfb -displayfd 3 -screen 0 1280x900x24 3>"$scratch/display" >"$scratch/xvfb.log" 2>&1 &
xvfb=$!
trap 'kill $xvfb 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do
    [[ ! -s "$scratch/display" ]] || break
    sleep 0.1
done
[[ -s "$scratch/display" ]] || cannot_run "Xvfb does not start: $(tail -n 3 "$scratch/xvfb.log")"
DISPLAY=:$(<"$scratch/display")
export DISPLAY XDG_RUNTIME_DIR="$scratch/run" XDG_DATA_HOME="$scratch/data" QT_QPA_PLATFORM=xcb
mkdir -m 700 "$XDG_RUNTIME_DIR"
openbox >"$scratch/openbox.log" 2>&1 &

QT_QPA_PLATFORM=offscreen run_tests "$bin/olivine_desktop_tests" ""

if [[ -z "$filter" ]]; then
    run_limited python3 "$root/tests/desktop/window.py" "$bin" "$root/build/desktop-shots" >"$scratch/window" 2>&1
    cat "$scratch/window"
    if [[ "$(tail -n 1 "$scratch/window")" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        add_counts window.py "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
    else
        broken "window.py ended with exit code $code"
    fi
fi

expect() {  # what, command...
    local what=$1
    shift
    echo "== $what"
    local code=0
    ("$@") 2>&1 || code=$?
    if ((code == 0)); then passed=$((passed + 1)); else broken "$what: exit code $code"; fi
}

exit_codes() {
    local code=0
    "$bin/olivine-chat" --version | grep -q '^olivine-chat [0-9]' || return
    "$bin/olivine-chat" --help | grep -q -- --model || return
    "$bin/olivine-chat" --no-such-flag || code=$?
    ((code == 2)) || return
    code=0
    "$bin/olivine-chat" --ctx many || code=$?
    ((code == 2)) || return
    code=0
    "$bin/olivine-chat" --data /proc/nowhere || code=$?
    ((code == 1)) || return
    code=0
    env -u DISPLAY -u WAYLAND_DISPLAY -u QT_QPA_PLATFORM "$bin/olivine-chat" || code=$?
    ((code == 1))
}
expect "its flags and exit codes" exit_codes

# As the application menu starts it: from the installed .desktop file, far from the build folder.
from_the_menu() {
    local prefix="$scratch/prefix" entry command window=""
    cmake --install "$build" --component desktop --prefix "$prefix" >"$scratch/install.log" || return
    entry="$prefix/share/applications/org.olivine.Chat.desktop"
    desktop-file-validate "$entry" || return
    [[ -s "$prefix/share/icons/hicolor/scalable/apps/org.olivine.Chat.svg" ]] || return
    [[ -s "$prefix/share/olivine/pebble/config.json" ]] || return
    command=$(sed -n 's/^Exec=\([^ ]*\).*/\1/p' "$entry" | head -n 1)
    cd "$scratch" && PATH="$prefix/bin:$PATH" "$command" >"$scratch/menu.log" 2>&1 &
    local program=$!
    window=$(timeout 60 xdotool search --sync --onlyvisible --name Olivine | head -n 1)
    sleep 2
    # With the keyboard of the display, not through a test's hands.
    xdotool windowactivate --sync "$window" type --delay 20 "What is 2 plus 3?"
    xdotool key Return
    local answer=""
    for _ in $(seq 300); do
        answer=$(python3 - "$XDG_DATA_HOME/olivine/olivine.db" 2>/dev/null <<'PYTHON' || true
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(*database.execute("SELECT text FROM message WHERE role = 1 AND state = 0").fetchone())
PYTHON
        )
        [[ -z "$answer" ]] || break
        sleep 0.1
    done
    xdotool key ctrl+q
    for _ in $(seq 100); do
        kill -0 $program 2>/dev/null || break
        sleep 0.1
    done
    ! kill $program 2>/dev/null || echo "it did not quit"
    cat "$scratch/menu.log"
    echo "answer: $answer"
    [[ -n "$answer" ]]
}
expect "from the application menu" from_the_menu
finish
