"""The vision family: image classification, run by ONNX Runtime.

`spec`, `score` and `runtime`, and what they import (`recipe`, `imaging`, `protocol`, `layer`,
`adapter`, `calibration`), are light: numpy, Pillow, pydantic, safetensors and ONNX Runtime.
`network`, `lessons`, `tune`, `export` and `importing` need PyTorch and Transformers.
"""
