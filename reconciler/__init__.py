"""The Muster operator: the resource, the renderer of cluster stacks, the loop and the two tables."""
