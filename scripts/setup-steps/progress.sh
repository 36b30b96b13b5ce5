# shellcheck shell=bash
# How set-up speaks: one line a step with its time, on stderr; and how it fails: the step, the log's tail, the remedy.
# Sourced by scripts/setup. Never prints to stdout, never uses colour when stderr is no terminal or NO_COLOR is set.

setup_is_terminal=false
[[ -t 2 && "${TERM:-dumb}" != dumb ]] && setup_is_terminal=true

setup_ok='ok  '
setup_bad='FAIL'
setup_todo='... '
case "${LC_ALL:-${LC_CTYPE:-${LANG:-}}}" in
  *[Uu][Tt][Ff]*8*) if $setup_is_terminal; then setup_ok='✓' setup_bad='✗' setup_todo='…'; fi ;;
esac

# Milliseconds since the epoch.
setup_now() {
  local now=${EPOCHREALTIME/[.,]/}
  echo $((now / 1000))
}

# setup_line MARK TEXT SINCE: one finished step and the seconds that it took.
setup_line() {
  local mark=$1 text=$2 took=$(($(setup_now) - $3)) start=''
  $setup_is_terminal && start=$'\r\e[K'
  printf '%s %s %-58s %4d.%d s\n' "$start" "$mark" "$text" $((took / 1000)) $((took % 1000 / 100)) >&2
}

# setup_fail PROBLEM REMEDY [LOG]: says what is wrong and what to do about it, and ends the whole script.
setup_fail() {
  $setup_is_terminal && printf '\r\e[K' >&2
  printf ' %s %s\n' "$setup_bad" "$1" >&2
  if [[ -n "${3:-}" && -s "${3:-}" ]]; then
    printf '      from %s:\n' "$3" >&2
    setup_excerpt "$3" >&2
  fi
  printf 'error: set-up failed: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# A short log whole; of a long one both ends: npm says what is wrong first, pip says it last.
setup_excerpt() {
  if (($(wc -l <"$1") <= 24)); then
    sed 's/^/        /' -- "$1"
  else
    head -n 8 -- "$1" | sed 's/^/        /'
    echo '        ...'
    tail -n 12 -- "$1" | sed 's/^/        /'
  fi
}

# setup_run NAME TEXT REMEDY FUNCTION...: runs the function with its output in .cache/log/NAME.log.
# It runs in a subshell with `set -e` in force; so never call setup_run in a condition, which would switch that off.
setup_run() {
  local name=$1 text=$2 remedy=$3 status=0 since
  local log="$setup_cache/log/$name.log"
  shift 3
  since=$(setup_now)
  mkdir -p "$setup_cache/log"
  # Only one line of a terminal can be written over when its step has ended.
  if ! $setup_is_terminal; then
    printf ' %s %s\n' "$setup_todo" "$text" >&2
  elif ! $setup_is_beside; then
    printf ' %s %s' "$setup_todo" "$text" >&2
  fi
  set +e
  (
    set -euo pipefail
    export TMPDIR="$setup_cache/tmp/$name"
    mkdir -p "$TMPDIR"
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  rm -rf "$setup_cache/tmp/$name"
  if ((status > 128)); then
    setup_fail "$text: ended by signal $((status - 128))" "run the same command again; it goes on where it was" "$log"
  elif ((status != 0)); then
    setup_fail "$text: exit code $status" "$remedy" "$log"
  fi
  setup_line "$setup_ok" "$text" "$since"
}
