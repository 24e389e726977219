# Last of all: jobs come as soon as Slurm knows the node.
python3 "$NODE" join
