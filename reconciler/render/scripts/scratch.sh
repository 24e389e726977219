# The instance-store disks, by whatever name, striped into one volume. A stop of the instance empties them.
disks() {
  local name
  for name in /dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*; do
    readlink -e "$name" || true
  done
  for name in $(imds block-device-mapping/); do
    if [[ $name == ephemeral* ]]; then
      name=$(imds "block-device-mapping/$name")
      readlink -e "/dev/${name/#sd/xvd}" || true
    fi
  done
}
mapfile -t found < <(disks | sort -u)
if ((${#found[@]})); then
  need lvcreate install lvm2
  need mkfs.xfs install xfsprogs
  if ! vgchange -ay muster; then
    vgcreate -y muster "${found[@]}"
    lvcreate -y -n scratch -l 100%FREE -i "${#found[@]}" muster
    mkfs.xfs -q -f /dev/muster/scratch
  fi
  mount_at "$SCRATCH" -o noatime /dev/muster/scratch
  chmod 1777 "$SCRATCH"
fi
