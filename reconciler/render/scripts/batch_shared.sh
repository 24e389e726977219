# What jobs find on their host. By the drop-in the agent does not start without the mounts, at no boot: an instance that
# cannot have them takes no jobs instead of writing to its own disk.
mkdir -p /etc/systemd/system/ecs.service.d
{
  echo "[Unit]"
  printf 'RequiresMountsFor="%s"\n' "${DIRECTORIES[@]}"
} >/etc/systemd/system/ecs.service.d/muster.conf
printf '%s,_netdev 0 0\n' "${MOUNTS[@]}" >>/etc/fstab
systemctl daemon-reload
mkdir -p "${DIRECTORIES[@]}"
