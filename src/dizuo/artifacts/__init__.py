"""Stacks as OCI artifacts: blobs, manifests, the layout in a folder, remote registries."""
