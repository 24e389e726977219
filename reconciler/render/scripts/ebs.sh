for entry in "${EBS[@]}"; do
  read -r directory kind volume <<<"$entry"
  attach_all "$volume"
  mount_device "$(device "$volume")" "$directory" "$kind"
done
