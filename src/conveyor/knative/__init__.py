"""Model services and jobs on a Kubernetes cluster; only this room imports `kubernetes`."""
