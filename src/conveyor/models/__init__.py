"""Models: converted to ONNX, proved, scored; each heavy library in one module."""
