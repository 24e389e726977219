need mount.lustre install_lustre
retry 900 mount -a -t lustre
