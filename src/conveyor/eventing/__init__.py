"""Events between the stations: the embedded broker, and the sources that listen outside."""
