# The instance of a compute environment, before ECS's agent starts: its unit says After=cloud-final.service.
set -Eeuo pipefail
umask 022
