"""The broker's dead-letter sink as a Knative service."""

from conveyor.cluster.deadletters import serve

if __name__ == "__main__":
    serve()
