"""The text family: language models, run by llama.cpp.

`spec`, `score` and `runtime`, and what they import (`recipe`, `messages`, `protocol`, `layer`,
`calibration`), are light: numpy, pydantic and xllamacpp. `tune`, `export` and `importing` need
PyTorch, Transformers, PEFT, TRL and gguf.
"""
