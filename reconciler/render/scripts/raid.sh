# Arrays. One that is there is found, one whose members all hold nothing is made, anything else is an error. A name has
# at most 32 characters: the first volume's id will do.
raid() {
  local level=$1 directory=$2 members=() member array blanks=0
  attach_all "${@:3}"
  need mdadm install mdadm
  for member in "${@:3}"; do
    member=$(device "$member")
    members+=("$member")
    if blank "$member"; then
      blanks=$((blanks + 1))
    fi
  done
  array=/dev/md/$3
  if ((blanks == ${#members[@]})); then
    mdadm --create "$array" --run --level="$level" --raid-devices="${#members[@]}" "${members[@]}"
  elif [[ -z $(array_of "${members[0]}") ]]; then
    mdadm --assemble "$array" "${members[@]}"
  fi
  udevadm settle
  mount_device "$(array_of "${members[0]}")" "$directory" new
}
# The array that a device is part of, by whatever name the kernel has put it together at boot.
array_of() { lsblk -nro PATH,TYPE "$1" | awk '$2 ~ /^raid/ { print $1; exit }'; }

for entry in "${RAIDS[@]}"; do
  read -ra words <<<"$entry"
  raid "${words[@]}"
done
