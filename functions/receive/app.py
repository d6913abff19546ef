"""The receive station as a Knative service, with the public doors for notices."""

from conveyor.cluster.receiving import serve

if __name__ == "__main__":
    serve()
