# retry SECONDS COMMAND...: until it succeeds or the time is up.
retry() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= end)); then
      echo "gave up: $*"
      return 1
    fi
    sleep 5
  done
}
# need COMMAND INSTALLER...: install what brings a command, where it is not there.
need() {
  if ! command -v "$1" >/dev/null; then
    retry 600 "${@:2}"
  fi
}
