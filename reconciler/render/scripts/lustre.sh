need mount.lustre install_lustre
for entry in "${LUSTRE[@]}"; do
  read -r directory kind system name <<<"$entry"
  retry 900 mount_at "$directory" -t lustre -o noatime,flock "$system.fsx.$REGION.$SUFFIX@tcp:/$name"
  if [[ $kind == new ]]; then
    open_up "$directory"
  fi
done
