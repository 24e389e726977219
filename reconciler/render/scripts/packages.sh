need aws install_cli
