# The head node's volumes. Half an hour is what the head node may take to export them.
need mount.nfs4 install_nfs_client
for directory in "${IMPORTS[@]}"; do
  retry 1800 mount_at "$directory" -t nfs4 -o hard,noatime,retry=0 "$HEAD:$directory"
done
