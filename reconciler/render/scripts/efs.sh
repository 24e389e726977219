need mount.nfs4 install_nfs_client
EFS_OPTIONS=nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,retry=0
for entry in "${EFS[@]}"; do
  read -r directory kind system <<<"$entry"
  retry 900 mount_at "$directory" -t nfs4 -o "$EFS_OPTIONS" "$system.efs.$REGION.$SUFFIX:/"
  if [[ $kind == new ]]; then
    open_up "$directory"
  fi
done
