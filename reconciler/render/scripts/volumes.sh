# EBS volumes. The head node attaches them itself: CloudFormation would have to detach them before it stops or replaces
# the node, which hangs while they are mounted.
device() {
  local link=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${1/-/}
  # Before Nitro there are no such links, but the name that was asked for.
  if [[ ! -b $link && -e $STATE/$1 ]]; then
    link=$(cat "$STATE/$1")
  fi
  readlink -f "$link"
}
there() { [[ -b $(device "$1") ]]; }

# attach VOLUME: under the first free name. Fails while the volume is another node's still.
attach() {
  local letter answer
  if there "$1"; then
    return
  fi
  for letter in {f..p}; do
    if answer=$(aws ec2 attach-volume --volume-id "$1" --instance-id "$INSTANCE" --device "/dev/sd$letter" 2>&1); then
      echo "/dev/xvd$letter" >"$STATE/$1"
      return
    fi
    if [[ $answer != *"/dev/sd$letter is already in use"* ]]; then
      echo "$answer"
      return 1
    fi
  done
  return 1
}
attach_all() {
  local volume
  for volume; do
    retry 1800 attach "$volume"
  done
  for volume; do
    retry 300 there "$volume"
  done
  udevadm settle
}

# blank DEVICE: whether it holds nothing at all: no file system, no partitions, no part of an array.
blank() {
  local found
  found=$(wipefs -n "$1") || exit 1
  [[ -z $found ]]
}
# mount_device DEVICE DIRECTORY new|kept: a new one gets a file system if it holds nothing, and all room is used.
mount_device() {
  if [[ $3 == new ]] && blank "$1"; then
    need mkfs.xfs install xfsprogs
    mkfs.xfs -q "$1"
  fi
  mount_at "$2" -o noatime "$1"
  if [[ $3 == new ]]; then
    open_up "$2"
    case $(findmnt -no FSTYPE "$2") in
      xfs) xfs_growfs -d "$2" ;;
      ext*) resize2fs "$1" ;;
    esac
  fi
  EXPORTS+=("$2")
}
