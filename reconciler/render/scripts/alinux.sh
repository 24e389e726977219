# Amazon Linux 2023.
install() { dnf install -y -q "$@"; }
install_nfs_client() { install nfs-utils; }
install_nfs_server() { install nfs-utils; }
install_cli() { install awscli-2; }
install_lustre() { install lustre-client; }
