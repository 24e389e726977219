"""`muster job`: jobs on the clusters of AWS Batch, from the user's machine."""
