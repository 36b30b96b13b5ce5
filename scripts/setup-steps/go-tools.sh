# shellcheck shell=bash
# Programs in Go that the tests hold certgate against: zlint, a linter of certificates, and GlobalSign's estclient, an EST
# client. Built from the Go module proxy, pinned by scripts/NAME/go.mod and hashed by its go.sum, into .cache/NAME. Half a
# minute with an empty Go cache. Where there is no Go, or for estclient no C compiler, the tests that ask them are skipped and
# say so, so these may go without; a build that fails is an error. Sourced by scripts/setup.

setup_zlint() {
  setup_go_tool zlint 'zlint 3.6.4 by Go'
}

setup_estclient() {
  # Its PKCS#11 is C.
  if ! command -v "$(go env CC 2>/dev/null || echo cc)" >/dev/null; then
    printf ' %s no go or no C compiler here: the tests that ask estclient are skipped\n' "$setup_todo" >&2
    return 0
  fi
  setup_go_tool estclient 'estclient 1.0.6 by Go'
}

# The Go package of a tool, whose module is scripts/NAME.
setup_go_package() {
  case "$1" in
    zlint) echo github.com/zmap/zlint/v3/cmd/zlint ;;
    estclient) echo github.com/globalsign/est/cmd/estclient ;;
    compose-go) echo github.com/compose-spec/compose-go/v2/cmd ;;
  esac
}

# setup_go_ahead NAME…: begins to build what is not built yet, beside steps that wait for the network. The step that needs
# it waits for that and finds it built; what fails here fails there once more, and says why.
setup_go_ahead() {
  local name todo=()
  command -v go >/dev/null || return 0
  for name in "$@"; do
    if [[ ! -f "$setup_cache/$name/stamp" ]]; then todo+=("$name"); fi
  done
  ((${#todo[@]} > 0)) || return 0
  mkdir -p "$setup_cache/log"
  (
    if [[ -n "${setup_lock_fd:-}" ]]; then exec {setup_lock_fd}>&-; fi
    for name in "${todo[@]}"; do
      # What a run that was killed left of it might look whole.
      rm -f "$setup_cache/$name/$name.new"
      (setup_go_build "$name") || true
    done
  ) >"$setup_cache/log/go-ahead.log" 2>&1 </dev/null &
  setup_go_ahead_pid=$!
}

# NAME and what to say.
setup_go_tool() {
  local since stamp folder="$setup_cache/$1" module="$setup_root/scripts/$1"
  if [[ -n "${setup_go_ahead_pid:-}" ]]; then
    wait "$setup_go_ahead_pid" || true
    setup_go_ahead_pid=''
  fi
  since=$(setup_now)
  if ! command -v go >/dev/null; then
    printf ' %s no go here: the tests that ask %s are skipped\n' "$setup_todo" "$1" >&2
    return 0
  fi
  stamp=$(setup_stamp "$module/go.mod" "$module/go.sum" < <(uname -sm))
  if [[ ! -x "$folder/$1" || ! -f "$folder/stamp" || "$(<"$folder/stamp")" != "$stamp" ]]; then
    setup_run "$1" "$2" "$1 wants Go 1.22 or newer and a Go module proxy: see \`go env GOPROXY\`" \
      setup_build_go_tool "$1" "$stamp"
  else
    setup_line "$setup_ok" "$2" "$since"
  fi
}

setup_build_go_tool() {
  local folder="$setup_cache/$1"
  mkdir -p "$folder"
  rm -f "$folder/stamp"
  setup_go_build "$1"
  mv "$folder/$1.new" "$folder/$1"
  printf '%s\n' "$2" >"$folder/stamp"
}

# Builds .cache/NAME/NAME.new, unless it is there and up to date. Not optimized: they run for moments, and compile in three
# fourths of the time. Without symbols they link in three fifths. Nor does the compiler collect what it will soon leave anyway.
setup_go_build() {
  mkdir -p "$setup_cache/$1"
  cd "$setup_root/scripts/$1" || return
  GOGC=off GOMEMLIMIT=2GiB GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -trimpath -buildvcs=false -gcflags='all=-N -l' -ldflags='-s -w' \
    -o "$setup_cache/$1/$1.new" "$(setup_go_package "$1")"
}
