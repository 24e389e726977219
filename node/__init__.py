"""What runs on a cluster's instances. It has to run on Python 3.9, which Amazon Linux 2023 comes with."""
