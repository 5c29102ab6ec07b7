"""Faces: found, put upright and told apart, by a person's own ONNX models."""
