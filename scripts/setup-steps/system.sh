# shellcheck shell=bash
# What set-up needs of the machine: a checkout it can write to, one run at a time, Debian's packages where it may.
# Sourced by scripts/setup.

setup_check_checkout() {
  if [[ "$setup_root" == *:* ]]; then
    setup_fail "the checkout's path has a colon: $setup_root" "move it: a colon can't stand in PATH"
  fi
  if ! mkdir -p "$setup_cache" 2>/dev/null || [[ ! -w "$setup_cache" || ! -w "$setup_root" ]]; then
    setup_fail "$setup_root can't be written by $(id -un 2>/dev/null || id -u)" \
      "use a clone of your own, or: sudo chown -R $(id -u):$(id -g) '$setup_root'"
  fi
}

# Two runs in one checkout would empty each other's folders: the second one waits.
setup_lock() {
  command -v flock >/dev/null || return 0
  exec {setup_lock_fd}>"$setup_cache/setup.lock"
  if ! flock -n "$setup_lock_fd"; then
    printf ' %s another set-up runs in this checkout: waiting for it\n' "$setup_todo" >&2
    flock -w 1800 "$setup_lock_fd" ||
      setup_fail "another set-up has held the lock for half an hour" "look for it: fuser -v '$setup_cache/setup.lock'"
  fi
}

setup_unlock() {
  if [[ -n "${setup_lock_fd:-}" ]]; then exec {setup_lock_fd}>&-; fi
}

# setup_stamp FILE…, with more words on stdin: one line that changes when any of them changes.
setup_stamp() {
  { cat -; cat -- "$@"; } | sha256sum | cut -d ' ' -f 1
}

# True when apt-get is there and we may use it.
setup_may_apt() {
  command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }
}

# In a subshell, for its lock: apt-get's own lists are locked without waiting.
setup_apt_install() (
  local as=() lock
  if command -v flock >/dev/null; then exec {lock}>"$setup_cache/apt.lock" && flock "$lock"; fi
  [[ $(id -u) == 0 ]] || as=(sudo -n)
  export DEBIAN_FRONTEND=noninteractive
  local get=("${as[@]}" apt-get -o DPkg::Lock::Timeout=300 -qq -y)
  "${get[@]}" install --no-install-recommends "$@" || {
    "${get[@]}" update
    "${get[@]}" install --no-install-recommends "$@"
  }
)

# openssl(1) is what some tests hold certgate's certificates against. Without it they are skipped, so this may fail.
setup_openssl() {
  command -v openssl >/dev/null && return 0
  if setup_may_apt; then
    setup_run openssl 'openssl by apt-get' 'install the package openssl by hand' setup_apt_install openssl
  else
    printf ' %s no openssl here, and no right to apt-get it: the tests that compare with it are skipped\n' "$setup_todo" >&2
  fi
}

# What imports certgate's certificates: NSS's tools, and GnuTLS's and Chromium itself (which is large) in CI and where they are
# asked for by name. Without them their tests are skipped, so this may fail: not every Debian or Ubuntu has Chromium as a package.
setup_browser() {
  local program wanted=()
  command -v pk12util >/dev/null || wanted+=(libnss3-tools)
  if [[ -n "${CI:-}" || "${setup_asked:-}" == browser ]]; then
    command -v certtool >/dev/null || wanted+=(gnutls-bin)
    command -v chromium >/dev/null || wanted+=(chromium)
  fi
  ((${#wanted[@]} > 0)) || return 0
  if ! setup_may_apt; then
    printf ' %s no %s here, and no right to apt-get: the tests that import into a browser are skipped\n' "$setup_todo" "${wanted[*]}" >&2
    return 0
  fi
  for program in "${wanted[@]}"; do
    setup_run browser "$program by apt-get, if there is one" "install the package $program by hand" setup_try_install "$program"
  done
}

setup_try_install() {
  setup_apt_install "$1" || echo "no $1: its tests are skipped"
}
