"""The Open Inference Protocol over ONNX Runtime: a process per release, a router before them."""
