# The head node's volumes. Half an hour is what the head node may take to export them.
need mount.nfs4 install_nfs_client
retry 1800 mount -a -t nfs4
