"""Converters to ONNX, one module a family, each run by `python -m` in a job of its own."""
