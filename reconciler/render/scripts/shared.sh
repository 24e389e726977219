# open_up DIRECTORY: what was made for the cluster and is still empty is for everybody, like /tmp.
open_up() {
  if [[ -z $(ls -A "$1") ]]; then
    chmod 1777 "$1"
  fi
}
# mount_at DIRECTORY MOUNT-ARGUMENT...: unless it is mounted.
mount_at() {
  mkdir -p "$1"
  mountpoint -q "$1" || mount "${@:2}" "$1"
}
