"""The API of the line as a Knative service."""

from conveyor.cluster.desk import serve

if __name__ == "__main__":
    serve()
