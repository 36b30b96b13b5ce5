# shellcheck shell=bash
# Prefect in a venv, .cache/prefect, from the pinned and hashed scripts/prefect/requirements.txt. Sourced by scripts/setup.
# uv does it in a fourth of pip's time and needs neither ensurepip nor the venv package; pip does it where uv can't.

setup_venv="$setup_cache/prefect"
setup_extras="$setup_cache/prefect-extras"
setup_pinned="$setup_root/scripts/prefect"

# setup_find_python LEAST MOST: prints a Python whose version is within; the plain `python3` first.
setup_find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.14 python3.11 python3.10 python; do
    if "$name" - "$1" "$2" 2>/dev/null <<'PYTHON'; then
import sys
version = lambda text: tuple(int(part) for part in text.split('.'))
sys.exit(not version(sys.argv[1]) <= sys.version_info[:2] <= version(sys.argv[2]))
PYTHON
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

setup_prefect() {
  local since stamp version='' have=''
  since=$(setup_now)
  # A venv holds its own path and leans on the Python that made it: when either is gone it is made anew.
  if [[ -x "$setup_venv/bin/python" && -f "$setup_venv/stamp" ]]; then
    have=$(<"$setup_venv/stamp")
    version=$("$setup_venv/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null || true)
  fi
  stamp=$(setup_stamp "$setup_pinned/requirements.txt" "$setup_pinned/extras.txt" <<<"$setup_venv $version")
  if [[ "$have" != "$stamp" ]]; then
    setup_run prefect 'Prefect 3.8.8 in a Python venv' \
      'Prefect wants Python 3.10 to 3.14 and PyPI: install python3, python3-venv and python3-pip, then try again' \
      setup_install_prefect
  else
    setup_line "$setup_ok" 'Prefect 3.8.8 in a Python venv' "$since"
  fi
}

setup_install_prefect() {
  local python version
  rm -rf "$setup_venv" "$setup_extras"
  if ! python=$(setup_find_python 3.10 3.14); then
    if ! setup_may_apt; then
      echo "no Python from 3.10 to 3.14 on PATH, and no right to apt-get one"
      return 1
    fi
    setup_apt_install python3 python3-venv
    python=$(setup_find_python 3.10 3.14)
  fi
  echo "with $python, $("$python" --version)"
  if setup_install_uv "$python" && setup_prefect_by_uv "$python"; then
    echo 'installed by uv'
  else
    echo 'uv could not do it: pip does'
    rm -rf "$setup_venv" "$setup_extras"
    setup_prefect_by_pip "$python"
  fi
  PREFECT_HOME="$TMPDIR/home" "$setup_venv/bin/python" -m prefect --version
  version=$("$setup_venv/bin/python" -c 'import sys; print(sys.version)')
  setup_stamp "$setup_pinned/requirements.txt" "$setup_pinned/extras.txt" <<<"$setup_venv $version" \
    >"$setup_venv/stamp.new"
  mv "$setup_venv/stamp.new" "$setup_venv/stamp"
  rm -rf "$setup_cache/uv" "$setup_cache/uv-cache" "$setup_cache/pip-venv"
}

# The three below are called in conditions, where `set -e` is off: every command answers for itself.

setup_install_uv() {
  rm -rf "$setup_cache/uv"
  setup_pip "$1" install --no-deps --require-hashes --only-binary :all: \
    --target "$setup_cache/uv" -r "$setup_pinned/uv.txt"
}

setup_prefect_by_uv() {
  local index
  # The machine's own mirror, as pip knows it; uv reads neither pip's files nor pip's variables.
  index="${PIP_INDEX_URL:-$(setup_pip "$1" config get global.index-url 2>/dev/null || true)}"
  (
    if [[ -n "$index" ]]; then export UV_DEFAULT_INDEX="$index"; fi
    export UV_CACHE_DIR="$setup_cache/uv-cache" UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
    unset VIRTUAL_ENV CONDA_PREFIX
    "$setup_cache/uv/bin/uv" venv --python "$1" "$setup_venv" &&
      "$setup_cache/uv/bin/uv" pip install --python "$setup_venv/bin/python" --require-hashes --compile-bytecode \
        --no-progress -r "$setup_pinned/requirements.txt" &&
      "$setup_cache/uv/bin/uv" pip install --python "$setup_venv/bin/python" --require-hashes --no-deps \
        --no-progress --target "$setup_extras" -r "$setup_pinned/extras.txt"
  )
}

# setup_pip PYTHON ARGUMENT…: that Python's pip; or the pip of a venv of it; or Debian's, where we may install it.
setup_pip() {
  local python=$1
  shift
  export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
  if ! "$python" -m pip --version >/dev/null 2>&1; then
    if [[ ! -f "$setup_cache/pip-venv/ready" ]]; then
      rm -rf "$setup_cache/pip-venv"
      "$python" -m venv "$setup_cache/pip-venv" >&2 || {
        setup_may_apt || { echo 'this Python has neither pip nor ensurepip, and there is no right to apt-get them' >&2; return 1; }
        setup_apt_install python3-venv >&2 && "$python" -m venv --clear "$setup_cache/pip-venv" >&2 || return
      }
      touch "$setup_cache/pip-venv/ready"
    fi
    python="$setup_cache/pip-venv/bin/python"
  fi
  "$python" -m pip "$@"
}

setup_prefect_by_pip() {
  "$1" -m venv --without-pip "$setup_venv" &&
    setup_pip "$1" --python "$setup_venv/bin/python" install --require-hashes \
      -r "$setup_pinned/requirements.txt" &&
    setup_pip "$1" --python "$setup_venv/bin/python" install --require-hashes --no-deps \
      --target "$setup_extras" -r "$setup_pinned/extras.txt"
}
